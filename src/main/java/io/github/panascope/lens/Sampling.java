package io.github.panascope.lens;

import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * How the next token is chosen, as TransformerLens's {@code sample_logits} does: temperature, then the penalty on what
 * was said already, then top-k or else top-p, then a draw. Immutable; {@code Sampling.GREEDY.temperature(...)} and the
 * others make new ones.
 *
 * @param temperature      divides the logits; at 0 the largest logit wins and nothing else applies
 * @param topK             keeps the k most probable tokens; 0 keeps all
 * @param topP             keeps the most probable tokens up to and including the one that reaches this probability; 1
 *     keeps all. Not looked at if topK is given
 * @param frequencyPenalty subtracted from a token's logit for each time it stands in the text so far, the prompt
 *     included
 */
public record Sampling(double temperature, int topK, double topP, double frequencyPenalty) {
    /** The most probable token, always. */
    public static final Sampling GREEDY = new Sampling(0, 0, 1, 0);
    /** A draw from what the model says. */
    public static final Sampling PLAIN = new Sampling(1, 0, 1, 0);

    /** Checks the numbers. */
    public Sampling {
        if (!(temperature >= 0) || Double.isInfinite(temperature))
            throw new IllegalArgumentException("temperature should be at least 0, not " + temperature);
        if (topK < 0) throw new IllegalArgumentException("topK should be at least 1, or 0 for all, not " + topK);
        if (!(topP > 0 && topP <= 1))
            throw new IllegalArgumentException("topP should lie above 0 and at most at 1, not at " + topP);
        if (!Double.isFinite(frequencyPenalty))
            throw new IllegalArgumentException("frequencyPenalty should be a number, not " + frequencyPenalty);
    }

    /** The same with another temperature. */
    public Sampling temperature(double other) {
        return new Sampling(other, topK, topP, frequencyPenalty);
    }

    /** The same with another k. */
    public Sampling topK(int other) {
        return new Sampling(temperature, other, topP, frequencyPenalty);
    }

    /** The same with another p. */
    public Sampling topP(double other) {
        return new Sampling(temperature, topK, other, frequencyPenalty);
    }

    /** The same with another penalty. */
    public Sampling frequencyPenalty(double other) {
        return new Sampling(temperature, topK, topP, other);
    }

    /**
     * The probabilities that a draw follows, [d_vocab], in float64; those of tokens that are left out are 0.
     *
     * @param logits of the next token, [d_vocab]
     * @param before the tokens so far
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

    /** The token at which the running sum of the probabilities passes a number between 0 and 1. */
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

    /** The first of the largest, as torch.argmax. */
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
