package io.github.panascope.dashboard;

import io.github.panascope.internal.PythonText;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * All that is shown of a feature. Activations are after {@code foldWDecNorm}: on the scale on which the feature's
 * decoder direction has length 1.
 *
 * @param feature     its number
 * @param statistics  of its activations
 * @param tables      neurons and features that go along with it
 * @param activations histogram of the activations that are greater than 0
 * @param logits      histogram of what its direction adds to the logits; null if it has none (it does not write to the
 *     residual stream)
 * @param logitsTable the largest and smallest of these; null as well
 * @param groups      sequences: the highest activations, then intervals from the highest down
 */
public record FeatureDashboard(
        int feature,
        Statistics statistics,
        Tables tables,
        Histogram activations,
        @Nullable Histogram logits,
        @Nullable LogitsTable logitsTable,
        List<SequenceGroup> groups) {
    /** Copies the groups. */
    public FeatureDashboard {
        groups = List.copyOf(groups);
    }

    /** Whether it never fires on the positions that count. */
    public boolean dead() {
        return statistics.active() == 0;
    }

    /**
     * The tokens at its highest activations, from the highest down, each once and with the highest that it has there.
     */
    public Map<Integer, Float> strongestTokens() {
        Map<Integer, Float> strongest = new LinkedHashMap<>();
        if (groups.isEmpty()) return strongest;
        for (Sequence sequence : groups.getFirst().sequences()) {
            int at = sequence.position() - sequence.first();
            strongest.putIfAbsent(sequence.tokenIds()[at], sequence.activations()[at]);
        }
        return strongest;
    }

    /** The ids of these tokens. */
    public int[] strongestTokenIds() {
        return strongestTokens().keySet().stream().mapToInt(Integer::intValue).toArray();
    }

    /**
     * Of its activations over all positions, zeros included; sums in double precision.
     *
     * @param positions    all positions
     * @param excluded     how many of them do not count (there the feature counts as zero)
     * @param active       positions with an activation greater than 0
     * @param fracNonzero  share of all positions with one greater than 1e-6
     * @param max          the largest
     * @param mean         over all positions
     * @param meanActive   over those where it is active
     * @param std          the standard deviation over all positions, divided by n
     * @param skew         E(x-m)^3 / std^3
     * @param kurtosis     E(x-m)^4 / std^4 - 3
     * @param quantileData at {@link Dashboards#quantiles}, linearly interpolated, without the zeros at its beginning,
     *     rounded to 6 decimals
     */
    public record Statistics(
            long positions,
            long excluded,
            long active,
            double fracNonzero,
            float max,
            double mean,
            double meanActive,
            double std,
            double skew,
            double kurtosis,
            double[] quantileData) {
        /** The share of all positions where it is active. */
        public double density() {
            return (double) active / positions;
        }
    }

    /** One line of a table: what it is about, and two numbers. */
    public record Entry(int index, double value, double second) {}

    /**
     * What goes along with it.
     *
     * @param neuronAlignment    the dimensions with the largest entries of its decoder direction: value, and its share
     *     of the sum of absolute values
     * @param correlatedNeurons  the dimensions of the activation that correlate most with it: Pearson's correlation,
     *     and the cosine
     * @param correlatedFeatures the other features that do, the same
     */
    public record Tables(List<Entry> neuronAlignment, List<Entry> correlatedNeurons, List<Entry> correlatedFeatures) {
        /** Copies the lists. */
        public Tables {
            neuronAlignment = List.copyOf(neuronAlignment);
            correlatedNeurons = List.copyOf(correlatedNeurons);
            correlatedFeatures = List.copyOf(correlatedFeatures);
        }
    }

    /** The largest and smallest logits, from the extreme inwards. */
    public record LogitsTable(int[] topTokenIds, float[] topLogits, int[] bottomTokenIds, float[] bottomLogits) {}

    /**
     * Sequences whose activations are of one kind.
     *
     * @param kind      how they were chosen
     * @param low       the least activation of the interval; NaN for the highest activations
     * @param high      the largest activation of the interval, or of the feature
     * @param contains  the share of all positions whose activations are in the interval, both ends included; NaN for
     *     the highest activations
     * @param sequences highest activation first, or in random order
     */
    public record SequenceGroup(Kind kind, double low, double high, double contains, List<Sequence> sequences) {
        /** How sequences are chosen. */
        public enum Kind {
            /** Those with the highest activations. */
            TOP,
            /** A random sample of those in an interval of activations. */
            INTERVAL
        }

        /** Copies the sequences. */
        public SequenceGroup {
            sequences = List.copyOf(sequences);
        }

        /** The two lines that SAEDashboard writes above them. */
        List<String> title() {
            return kind == Kind.TOP
                    ? List.of("TOP ACTIVATIONS", "MAX = " + PythonText.fixed(high, 3))
                    : List.of(
                            "INTERVAL " + PythonText.fixed(low, 3) + " - " + PythonText.fixed(high, 3),
                            "CONTAINS " + PythonText.percent(contains, 3));
        }

        SequenceGroup with(List<Sequence> others) {
            return new SequenceGroup(kind, low, high, contains, others);
        }
    }

    /**
     * A piece of a row, around a position.
     *
     * @param row         of the dataset
     * @param position    in the row
     * @param first       position of the first token shown
     * @param tokenIds    the tokens
     * @param activations of the feature there
     * @param tokenLogits what the feature's direction adds to the logit of each token; empty if it has none
     * @param ablation    what taking the feature away does, or null
     */
    public record Sequence(
            int row,
            int position,
            int first,
            int[] tokenIds,
            float[] activations,
            float[] tokenLogits,
            @Nullable Ablation ablation) {
        Sequence with(Ablation found) {
            return new Sequence(row, position, first, tokenIds, activations, tokenLogits, found);
        }
    }

    /**
     * What taking the feature away from the whole row does to the tokens of a sequence, by running the model again.
     *
     * @param lossEffect     loss of each token with the feature, less the loss without it: negative where the feature
     *     helps; 0 for the first token of a row, which nothing predicts; empty for a prompt that was not run again
     * @param lensLossEffect the same by the linear lens, the feature's direct path alone: the last residual stream,
     *     less the feature's part, divided by its standard deviation (n-1), times W_U (sae_vis's formula); empty if the
     *     feature has no direction, or the SAE puts its input's scale back
     * @param topIds         for each token (empty where the loss effects are), those whose log-probabilities at the
     *     position before it the feature raises most
     * @param topValues      by how much
     * @param bottomIds      those that it lowers most
     * @param bottomValues   by how much, negative
     */
    public record Ablation(
            float[] lossEffect,
            float[] lensLossEffect,
            int[][] topIds,
            float[][] topValues,
            int[][] bottomIds,
            float[][] bottomValues) {}
}
