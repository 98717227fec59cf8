package io.github.panascope.lens;

import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * The method by which the next token is chosen, as in TransformerLens's {@code sample_logits}: temperature, then the
 * penalty on tokens that the text has already, then top-k or else top-p, then a draw. Immutable;
 * {@code Sampling.GREEDY.temperature(...)} and the like return new values.
 *
 * @param temperature      divides the logits; at 0 the largest logit is taken and no other setting applies
 * @param topK             keeps the k most probable tokens; 0 keeps all
 * @param topP             keeps the most probable tokens up to and including the one whose running sum of probabilities
 *     exceeds this; 1 keeps all. Ignored if {@code topK} is not 0
 * @param frequencyPenalty subtracted from a token's logit for each time that the token occurs in the text so far, the
 *     prompt included
 */
public record Sampling(double temperature, int topK, double topP, double frequencyPenalty) {
    /** Always the most probable token. */
    public static final Sampling GREEDY = new Sampling(0, 0, 1, 0);
    /** A draw from the probabilities of the model, unchanged. */
    public static final Sampling PLAIN = new Sampling(1, 0, 1, 0);

    /**
     * Checks the numbers.
     *
     * @throws IllegalArgumentException if the temperature is negative or infinite, if {@code topK} is negative, if
     *     {@code topP} is not above 0 and at most 1, or if the penalty is not finite
     */
    public Sampling {
        if (!(temperature >= 0) || Double.isInfinite(temperature))
            throw new IllegalArgumentException("temperature should be at least 0, not " + temperature);
        if (topK < 0) throw new IllegalArgumentException("topK should be at least 1, or 0 for all, not " + topK);
        if (!(topP > 0 && topP <= 1))
            throw new IllegalArgumentException("topP should lie above 0 and at most at 1, not at " + topP);
        if (!Double.isFinite(frequencyPenalty))
            throw new IllegalArgumentException("frequencyPenalty should be a number, not " + frequencyPenalty);
    }

    /**
     * Returns this method with another temperature.
     *
     * @param other the temperature, at least 0
     * @return the new method
     */
    public Sampling temperature(double other) {
        return new Sampling(other, topK, topP, frequencyPenalty);
    }

    /**
     * Returns this method with another number of most probable tokens.
     *
     * @param other the number of tokens to keep; 0 keeps all
     * @return the new method
     */
    public Sampling topK(int other) {
        return new Sampling(temperature, other, topP, frequencyPenalty);
    }

    /**
     * Returns this method with another limit on the sum of probabilities.
     *
     * @param other the limit, above 0 and at most 1; 1 keeps all tokens
     * @return the new method
     */
    public Sampling topP(double other) {
        return new Sampling(temperature, topK, other, frequencyPenalty);
    }

    /**
     * Returns this method with another frequency penalty.
     *
     * @param other the penalty for each occurrence of a token
     * @return the new method
     */
    public Sampling frequencyPenalty(double other) {
        return new Sampling(temperature, topK, topP, other);
    }

    /**
     * Computes the probabilities that a draw follows.
     *
     * @param logits the logits of the next token, [d_vocab]
     * @param before the token ids so far
     * @return the probabilities, [d_vocab]; 0 for tokens that are left out
     * @throws IllegalArgumentException if there are no logits
     * @throws IndexOutOfBoundsException if an id of {@code before} is outside the vocabulary
     */
    public double[] probabilities(float[] logits, int[] before) {
        if (logits.length == 0) throw new IllegalArgumentException("there are no logits to choose from");
        for (int token : before)
            if (token < 0 || token >= logits.length)
                throw new IndexOutOfBoundsException(
                        "token id " + token + " is outside the vocabulary of " + logits.length + " tokens");
        double[] values = new double[logits.length];
        if (temperature == 0) {
            values[largest(logits)] = 1;
            return values;
        }
        for (int i = 0; i < values.length; i++) values[i] = logits[i] / temperature;
        if (frequencyPenalty != 0) for (int token : before) values[token] -= frequencyPenalty;
        if (topK > 0 && topK < values.length) keepTopK(values);
        else if (topK == 0 && topP < 1) keepTopP(values);
        return softmax(values);
    }

    /**
     * Returns the token at which the running sum of the probabilities exceeds a number.
     *
     * @param at the number, from 0 to 1
     */
    int draw(float[] logits, int[] before, double at) {
        if (temperature == 0) return largest(logits);
        double[] probabilities = probabilities(logits, before);
        double sum = 0;
        int last = 0;
        for (int i = 0; i < probabilities.length; i++) {
            if (probabilities[i] == 0) continue;
            sum += probabilities[i];
            last = i;
            if (sum > at) break;
        }
        return last;
    }

    /** Returns the index of the largest logit; of equal ones the first, as torch.argmax does. */
    private static int largest(float[] logits) {
        int best = 0;
        for (int i = 1; i < logits.length; i++) if (logits[i] > logits[best]) best = i;
        return best;
    }

    private void keepTopK(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        double smallest = sorted[sorted.length - topK];
        for (int i = 0; i < values.length; i++) if (values[i] < smallest) values[i] = Double.NEGATIVE_INFINITY;
    }

    private void keepTopP(double[] values) {
        double[] probabilities = softmax(values);
        int[] order = IntStream.range(0, values.length)
                .boxed()
                .sorted((a, b) -> Double.compare(values[b], values[a]))
                .mapToInt(Integer::intValue)
                .toArray();
        double before = 0;
        for (int token : order) {
            if (before > topP) values[token] = Double.NEGATIVE_INFINITY; // the tokens before it exceed p already
            before += probabilities[token];
        }
    }

    private static double[] softmax(double[] values) {
        double max = Arrays.stream(values).max().orElseThrow();
        double sum = 0;
        double[] result = new double[values.length];
        for (int i = 0; i < values.length; i++) sum += result[i] = Math.exp(values[i] - max);
        for (int i = 0; i < values.length; i++) result[i] /= sum;
        return result;
    }
}
