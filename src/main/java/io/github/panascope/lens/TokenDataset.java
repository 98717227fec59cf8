package io.github.panascope.lens;

import io.github.panascope.hub.InputException;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/**
 * Rows of token ids of one length, made from documents as TransformerLens's {@code tokenize_and_concatenate} makes them.
 * Holds the ids on the Java heap, four bytes each. The same rows come out whatever the number of threads.
 */
public final class TokenDataset {
    private static final int GROUP = 1000;
    private static final int PIECES = 20;

    private final int rowLength;
    private final long documents;
    private int[] tokens = new int[1 << 16];
    private int size;

    /** Something that hands over documents in order, such as {@code TextDataset::forEach}. */
    @FunctionalInterface
    public interface Documents {
        /** Calls the consumer with each document. */
        void forEach(Consumer<String> consumer);
    }

    private final Tokenizer tokenizer;
    private final Tokenization tokenization;
    private final int payload;

    private TokenDataset(Documents source, Tokenizer tokenizer, Tokenization tokenization, int maxLength) {
        if (maxLength < 2) throw new IllegalArgumentException("rows should be at least 2 tokens long, one of them <|endoftext|>: " + maxLength);
        this.rowLength = maxLength;
        this.payload = maxLength - 1;
        this.tokenizer = tokenizer;
        this.tokenization = tokenization;
        List<String> group = new ArrayList<>(GROUP);
        long[] count = {0};
        source.forEach(document -> {
            count[0]++;
            group.add(document);
            if (group.size() == GROUP) addGroup(group);
        });
        if (!group.isEmpty()) addGroup(group);
        this.documents = count[0];
        if (size == 0) throw new InputException("the dataset is empty: its " + documents + " documents hold nothing but white space.");
    }

    /**
     * Tokenizes, joins and cuts into rows of {@code maxLength} ids, the first of which is {@code <|endoftext|>}.
     *
     * @throws InputException if no row comes out
     */
    public static TokenDataset tokenizeAndConcatenate(Documents documents, Tokenizer tokenizer, Tokenization tokenization, int maxLength) {
        return new TokenDataset(documents, tokenizer, tokenization, maxLength);
    }

    /** The number of rows. */
    public int rows() {
        return size / rowLength;
    }

    /** Tokens in a row, the first one included. */
    public int rowLength() {
        return rowLength;
    }

    /** How many documents were read. */
    public long documents() {
        return documents;
    }

    /** A copy of one row. */
    public int[] row(int index) {
        return Arrays.copyOfRange(tokens, java.util.Objects.checkIndex(index, rows()) * rowLength, (index + 1) * rowLength);
    }

    /** Rows from start (inclusive) to end (exclusive) as an int64 CPU tensor [end - start, rowLength]. */
    public Tensor batch(int start, int end) {
        java.util.Objects.checkFromToIndex(start, end, rows());
        long[] ids = new long[(end - start) * rowLength];
        for (int i = 0; i < ids.length; i++) ids[i] = tokens[start * rowLength + i];
        return Tensor.of(ids, Shape.of(end - start, rowLength));
    }

    // ------------------------------------------------------------------------------------------------- one group

    private void addGroup(List<String> group) {
        int[] ids = switch (tokenization) {
            case CHARACTER_CHUNKS, WHITESPACE_CHUNKS -> chunked(String.join(Tokenizer.END_OF_TEXT, group));
            case PER_DOCUMENT -> perDocument(group);
        };
        group.clear();
        if (ids == null) return;
        if (ids.length < payload) { // too little for one row: filled up with the end token
            int from = ids.length;
            ids = Arrays.copyOf(ids, payload);
            Arrays.fill(ids, from, payload, tokenizer.endOfText());
        }
        int rows = ids.length / payload;
        int needed = Math.addExact(size, Math.multiplyExact(rows, rowLength));
        if (needed > tokens.length) tokens = Arrays.copyOf(tokens, (int) Math.min(Integer.MAX_VALUE - 8, Math.max(needed, tokens.length * 2L)));
        for (int row = 0; row < rows; row++) {
            tokens[size] = tokenizer.endOfText();
            System.arraycopy(ids, row * payload, tokens, size + 1, payload);
            size += rowLength;
        }
    }

    /** Null if the text is blank. */
    private int[] chunked(String text) {
        if (text.codePoints().allMatch(PythonText::isSpace)) return null;
        List<String> pieces = pieces(text);
        int[][] encoded = pieces.parallelStream().map(tokenizer::encode).toArray(int[][]::new);
        // The separator is also the padding that the peers drop, so separators, and the literal in texts, disappear.
        return Arrays.stream(encoded).flatMapToInt(Arrays::stream).filter(id -> id != tokenizer.endOfText()).toArray();
    }

    /** Lengths count code points; each piece begins where the one before it ended. */
    private List<String> pieces(String text) {
        int length = text.codePointCount(0, text.length());
        int pieceLength = (length - 1) / PIECES + 1;
        int lookahead = tokenization == Tokenization.WHITESPACE_CHUNKS ? pieceLength / 10 : 0;
        List<String> pieces = new ArrayList<>(PIECES);
        int start = 0;
        for (int i = 0, done = 0; i < PIECES; i++) {
            int take = Math.min(pieceLength, length - done);
            int end = text.offsetByCodePoints(start, take);
            for (int extra = 0; extra < lookahead && end < text.length() && !PythonText.isSpace(text.codePointAt(end)); extra++) {
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
        int[] end = {tokenizer.endOfText()};
        return IntStream.range(0, encoded.length)
                .mapToObj(i -> i == 0 ? Arrays.stream(encoded[i]) : IntStream.concat(Arrays.stream(end), Arrays.stream(encoded[i])))
                .flatMapToInt(ids -> ids).toArray();
    }
}
