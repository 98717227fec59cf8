package io.github.panascope.lens;

import io.github.panascope.tokens.Tokenizer;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * Converts texts to tensors of token ids and back, as TransformerLens does: with the bos token before each text where
 * it belongs there, cut to the model's context, and padded to one length. {@link HookedTransformer} has the same
 * methods and describes them.
 */
final class TextCodec {
    private final Tokenizer tokenizer;
    private final boolean prependsBos;
    private final int nCtx;
    private final int dVocab;

    /**
     * Creates a codec of a model.
     *
     * @param prependsBos whether texts of the model usually begin with the bos token
     * @param nCtx        the largest number of tokens of a text
     */
    TextCodec(Tokenizer tokenizer, boolean prependsBos, int nCtx, int dVocab) {
        this.dVocab = dVocab;
        this.tokenizer = tokenizer;
        this.prependsBos = prependsBos;
        this.nCtx = nCtx;
    }

    Tensor toTokens(List<String> texts, boolean prependBos, HookedTransformer.PaddingSide side) {
        if (texts.isEmpty()) throw new IllegalArgumentException("there should be at least one text");
        List<int[]> rows = texts.stream().map(text -> encode(text, prependBos)).toList();
        int length = rows.stream().mapToInt(row -> row.length).max().orElseThrow();
        long[] ids = new long[rows.size() * length];
        if (rows.stream().anyMatch(row -> row.length < length)) Arrays.fill(ids, filler());
        for (int row = 0; row < rows.size(); row++) {
            int start = side == HookedTransformer.PaddingSide.LEFT ? length - rows.get(row).length : 0;
            for (int i = 0; i < rows.get(row).length; i++) ids[row * length + start + i] = rows.get(row)[i];
        }
        return Tensor.of(ids, Shape.of(rows.size(), length));
    }

    /**
     * Returns the id that rows are filled up with: the pad token, or one that the model has a row for where that was
     * added to the tokenizer only.
     */
    int filler() {
        if (tokenizer.pad() < dVocab) return tokenizer.pad();
        return tokenizer.eos() < dVocab ? tokenizer.eos() : 0;
    }

    Tensor attentionMask(Tensor tokens, HookedTransformer.PaddingSide side, boolean prependBos) {
        int length = (int) tokens.size(1);
        int count = (int) tokens.size(0);
        long[] ids = tokens.toLongs();
        long[] mask = new long[ids.length];
        Arrays.fill(mask, 1);
        for (int row = 0; row < count; row++) {
            int filled = 0;
            while (filled < length
                    && ids[row * length + (side == HookedTransformer.PaddingSide.LEFT ? filled : length - 1 - filled)]
                            == filler()) filled++;
            boolean begins = prependBos && tokenizer.bos() == filler();
            if (side == HookedTransformer.PaddingSide.LEFT && begins) filled = Math.max(0, filled - 1);
            int from = row * length + (side == HookedTransformer.PaddingSide.LEFT ? 0 : length - filled);
            Arrays.fill(mask, from, from + filled, 0);
        }
        return Tensor.of(mask, Shape.of(count, length));
    }

    /** Returns the ids of a text of any length, with the bos token before it if texts of the model begin so. */
    int[] encode(String text) {
        return prependsBos ? tokenizer.encodeAfterBos(text) : tokenizer.encode(text);
    }

    /**
     * Returns the ids of a text, cut to the context. As in TransformerLens, a text without the bos token that the
     * model's texts usually have is cut so that it would still fit.
     */
    private int[] encode(String text, boolean prependBos) {
        int[] ids = prependBos ? tokenizer.encodeAfterBos(text) : tokenizer.encode(text);
        int longest = prependBos || !prependsBos ? nCtx : nCtx - 1;
        return ids.length > longest ? Arrays.copyOf(ids, longest) : ids;
    }

    String toString(Tensor tokens) {
        return tokenizer.decode(ids(tokens));
    }

    List<String> toStrings(Tensor tokens) {
        return LongStream.range(0, tokens.size(0))
                .mapToObj(row -> {
                    try (var _ = TensorScope.open()) {
                        return toString(tokens.select(0, row));
                    }
                })
                .toList();
    }

    List<String> toStrTokens(String text, boolean prependBos) {
        return tokenizer.tokens(encode(text, prependBos));
    }

    List<String> toStrTokens(Tensor tokens) {
        return tokenizer.tokens(ids(tokens));
    }

    int toSingleToken(String text) {
        int[] ids = tokenizer.encode(text);
        if (ids.length != 1)
            throw new IllegalArgumentException("'" + text + "' is not a single token, but " + tokenizer.tokens(ids));
        return ids[0];
    }

    String toSingleStrToken(int token) {
        return tokenizer.decode(token);
    }

    int tokenPosition(String token, Tensor tokens) {
        return positions(token, tokens)[0];
    }

    int lastTokenPosition(String token, Tensor tokens) {
        int[] positions = positions(token, tokens);
        return positions[positions.length - 1];
    }

    private int[] positions(String token, Tensor tokens) {
        int wanted = toSingleToken(token);
        int[] ids = ids(tokens);
        int[] found =
                IntStream.range(0, ids.length).filter(i -> ids[i] == wanted).toArray();
        if (found.length == 0) throw new IllegalArgumentException("'" + token + "' does not occur in the tokens");
        return found;
    }

    private static int[] ids(Tensor tokens) {
        if (tokens.shape().rank() > 2 || tokens.shape().rank() == 2 && tokens.size(0) != 1)
            throw new IllegalArgumentException("ids should be [pos] or [1, pos], not " + tokens.describe());
        if (tokens.dtype() != DType.INT64 && tokens.dtype() != DType.INT32)
            throw new IllegalArgumentException("ids should be whole numbers, not " + tokens.dtype());
        return Arrays.stream(tokens.toLongs()).mapToInt(Math::toIntExact).toArray();
    }
}
