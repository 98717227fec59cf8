package io.github.panascope.tokens;

import io.github.panascope.internal.PythonText;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;

/**
 * TransformerLens's {@code tokenize_and_concatenate} in its three forms, on one group of documents at a time, as
 * Hugging Face's {@code map} passes them on: tokens that do not fill a row at the end of a group are dropped. The
 * pieces of a group are tokenized in parallel.
 */
final class TokenizeAndConcatenate {
    private static final int PIECES = 20;

    private final Tokenizer tokenizer;
    private final ChunkingStrategy chunking;
    private final int maxLength;
    /** 1 if rows begin with the end token, otherwise 0. */
    private final int bos;

    private final Consumer<int[]> rows;

    TokenizeAndConcatenate(
            Tokenizer tokenizer, ChunkingStrategy chunking, int maxLength, boolean addBosToken, Consumer<int[]> rows) {
        this.tokenizer = tokenizer;
        this.chunking = chunking;
        this.maxLength = maxLength;
        this.bos = addBosToken ? 1 : 0;
        if (maxLength <= bos)
            throw new IllegalArgumentException("rows of " + maxLength + " tokens have no room for text");
        TokenDataset.requireFits(maxLength);
        this.rows = rows;
    }

    /** Processes all documents and returns their number. */
    long all(TokenDataset.Documents source) {
        List<String> group = new ArrayList<>(TokenDataset.DOCUMENTS_IN_GROUP);
        long[] count = {0};
        source.forEach(document -> {
            count[0]++;
            group.add(document);
            if (group.size() == TokenDataset.DOCUMENTS_IN_GROUP) addGroup(group);
        });
        if (!group.isEmpty()) addGroup(group);
        return count[0];
    }

    private void addGroup(List<String> group) {
        int[] ids = switch (chunking) {
            case CHARACTER_CHUNKS, WHITESPACE_CHUNKS -> chunked(String.join(tokenizer.token(tokenizer.eos()), group));
            case PER_DOCUMENT -> perDocument(group);
        };
        group.clear();
        if (ids == null) return;
        int payload = maxLength - bos;
        if (ids.length < payload) { // too few tokens for one row, which is padded with the end token
            int from = ids.length;
            ids = Arrays.copyOf(ids, payload);
            Arrays.fill(ids, from, payload, tokenizer.pad());
        }
        for (int start = 0; start + payload <= ids.length; start += payload) {
            int[] row = new int[maxLength];
            row[0] = tokenizer.bos();
            System.arraycopy(ids, start, row, bos, payload);
            rows.accept(row);
        }
    }

    /** Returns the ids of a text that is tokenized in pieces; null if the text is blank. */
    private int[] chunked(String text) {
        if (text.codePoints().allMatch(PythonText::isSpace)) return null;
        List<String> pieces = pieces(text);
        int[][] encoded =
                pieces.parallelStream().map(tokenizer::encodeWithSpecialTokens).toArray(int[][]::new);
        int[] all = new int[Arrays.stream(encoded).mapToInt(ids -> ids.length).sum()];
        int size = 0;
        // The Python library pads the pieces and drops the padding token: where it is also the separator, as for GPT-2,
        // separators and its literal vanish.
        int pad = tokenizer.pad();
        for (int[] ids : encoded) for (int id : ids) if (id != pad) all[size++] = id;
        return Arrays.copyOf(all, size);
    }

    /** Cuts a text into pieces. Lengths count code points; each piece begins at the end of the one before. */
    private List<String> pieces(String text) {
        int length = text.codePointCount(0, text.length());
        int pieceLength = (length - 1) / PIECES + 1;
        int lookahead = chunking == ChunkingStrategy.WHITESPACE_CHUNKS ? pieceLength / 10 : 0;
        List<String> pieces = new ArrayList<>(PIECES);
        int start = 0;
        for (int i = 0, done = 0; i < PIECES; i++) {
            int take = Math.min(pieceLength, length - done);
            int end = text.offsetByCodePoints(start, take);
            for (int extra = 0;
                    extra < lookahead && end < text.length() && !PythonText.isSpace(text.codePointAt(end));
                    extra++) {
                end = text.offsetByCodePoints(end, 1);
                take++;
            }
            pieces.add(text.substring(start, end));
            start = end;
            done += take;
        }
        return pieces;
    }

    private int[] perDocument(List<String> group) {
        int[][] encoded = group.parallelStream().map(tokenizer::encode).toArray(int[][]::new);
        int[] all =
                new int[Arrays.stream(encoded).mapToInt(ids -> ids.length + 1).sum() - 1];
        int size = 0;
        for (int i = 0; i < encoded.length; i++) {
            if (i > 0) all[size++] = tokenizer.eos();
            System.arraycopy(encoded[i], 0, all, size, encoded[i].length);
            size += encoded[i].length;
        }
        return all;
    }
}
