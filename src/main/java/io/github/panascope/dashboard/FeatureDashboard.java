package io.github.panascope.dashboard;

import io.github.panascope.InputException;
import io.github.panascope.internal.PythonText;
import java.io.DataInput;
import java.io.DataOutput;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The dashboard of a feature. Activations are those after {@code foldWDecNorm}: on the scale on which the feature's
 * decoder direction has length 1.
 *
 * @param feature     the number of the feature
 * @param statistics  statistics of its activations
 * @param tables      the neurons and features that correlate most with it, and the largest entries of its decoder
 *     direction
 * @param activations the histogram of the activations that are greater than 0
 * @param logits      the histogram of the logits of its direction; null if it does not write to the residual stream
 * @param logitsTable the largest and smallest of these logits; null if it does not write to the residual stream
 * @param groups      the groups of sequences: the highest activations, then the intervals from the highest down; empty
 *     if the feature never fires
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

    /**
     * Writes this dashboard in a compact form, so that it can be kept or sent to another machine. The form has a
     * version and a checksum, and keeps the bits of all numbers. Several dashboards may be written one after another.
     *
     * @param out receives the bytes
     * @throws IOException if {@code out} throws it
     */
    public void writeTo(DataOutput out) throws IOException {
        DashboardBytes.write(this, out);
    }

    /**
     * Reads a dashboard that {@link #writeTo} wrote, and no byte more.
     *
     * @param in gives the bytes
     * @return the dashboard
     * @throws InputException if the bytes are damaged, end early, or are of another version
     * @throws IOException    if {@code in} throws it
     */
    public static FeatureDashboard readFrom(DataInput in) throws IOException {
        return DashboardBytes.read(in);
    }

    /** {@return whether the feature never fires on the positions that count} */
    public boolean dead() {
        return statistics.active() == 0;
    }

    /**
     * {@return the ids of the tokens at the feature's highest activations, with the highest activation at each token,
     * from the highest down; a new map}
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

    /**
     * {@return the ids of the tokens at the feature's highest activations, from the highest down, without repetitions;
     * a new array}
     */
    public int[] strongestTokenIds() {
        return strongestTokens().keySet().stream().mapToInt(Integer::intValue).toArray();
    }

    /**
     * Statistics of a feature's activations over all positions, zeros included. Sums are in double precision.
     *
     * @param positions    the number of positions
     * @param excluded     the number of positions that are excluded, where the feature counts as zero
     * @param active       the number of positions with an activation greater than 0
     * @param fracNonzero  the share of all positions with an activation greater than 1e-6
     * @param max          the largest activation
     * @param mean         the mean over all positions
     * @param meanActive   the mean over the positions where the feature is active; 0 if there are none
     * @param std          the standard deviation over all positions, divided by n
     * @param skew         the skewness E(x-m)^3 / std^3; NaN if the feature never fires
     * @param kurtosis     the excess kurtosis E(x-m)^4 / std^4 - 3; NaN if the feature never fires
     * @param quantileData the quantiles at the levels of {@link Dashboards#quantiles}, linearly interpolated and
     *     rounded to 6 decimals, without the zeros at the beginning
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
        /** {@return the share of all positions where the feature is active} */
        public double density() {
            return (double) active / positions;
        }
    }

    /**
     * A row of a table.
     *
     * @param index  the number of the neuron or feature
     * @param value  the value by which the table is sorted
     * @param second a second value; the table says what it is
     */
    public record Entry(int index, double value, double second) {}

    /**
     * The tables of neurons and features that belong to a feature.
     *
     * @param neuronAlignment    the dimensions with the largest entries of its decoder direction: the entry, and the
     *     share of its absolute value in the sum of absolute values
     * @param correlatedNeurons  the dimensions of the activation that correlate most with it: Pearson's correlation,
     *     and the cosine
     * @param correlatedFeatures the other features that correlate most with it: Pearson's correlation, and the cosine
     */
    public record Tables(List<Entry> neuronAlignment, List<Entry> correlatedNeurons, List<Entry> correlatedFeatures) {
        /** Copies the lists. */
        public Tables {
            neuronAlignment = List.copyOf(neuronAlignment);
            correlatedNeurons = List.copyOf(correlatedNeurons);
            correlatedFeatures = List.copyOf(correlatedFeatures);
        }
    }

    /**
     * The largest and smallest logits of a feature's direction.
     *
     * @param topTokenIds    the ids of the tokens with the largest logits, largest first
     * @param topLogits      the logits of these tokens
     * @param bottomTokenIds the ids of the tokens with the smallest logits, smallest first
     * @param bottomLogits   the logits of these tokens
     */
    public record LogitsTable(int[] topTokenIds, float[] topLogits, int[] bottomTokenIds, float[] bottomLogits) {}

    /**
     * A group of sequences that were chosen by one criterion.
     *
     * @param kind      the criterion
     * @param low       the smallest activation of the interval; NaN for the highest activations
     * @param high      the largest activation of the interval, or of the feature
     * @param contains  the share of all positions whose activations are in the interval, both ends included; NaN for
     *     the highest activations
     * @param sequences the sequences, by descending activation for the highest activations, in random order for an
     *     interval
     */
    public record SequenceGroup(Kind kind, double low, double high, double contains, List<Sequence> sequences) {
        /** How sequences are chosen. */
        public enum Kind {
            /** The sequences with the highest activations. */
            TOP,
            /** A random sample of the sequences in an interval of activations. */
            INTERVAL
        }

        /** Copies the sequences. */
        public SequenceGroup {
            sequences = List.copyOf(sequences);
        }

        /** {@return the two lines that SAEDashboard writes above the group} */
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
     * A part of a row, around a position.
     *
     * @param row         the row of the dataset; -1 for a prompt
     * @param position    the position in the row that the sequence is about
     * @param first       the position in the row of the first token shown
     * @param tokenIds    the ids of the tokens shown
     * @param activations the activations of the feature at these tokens
     * @param tokenLogits the logits of these tokens for the feature's direction; empty if it has none
     * @param ablation    the effect of removing the feature; null if it was not computed
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
     * The effect of removing the feature from the whole row on the tokens of a sequence, found by running the model
     * again.
     *
     * @param lossEffect     for each token the loss with the feature minus the loss without it, in nats: negative where
     *     the feature helps; 0 for the first token of a row, which no position predicts. Empty for a prompt without
     *     ablation experiments
     * @param lensLossEffect the loss effect by the linear lens, which covers only the feature's direct path: logits are
     *     the last residual stream, without the feature's part, divided by its standard deviation (n-1), times W_U (the
     *     formula of sae_vis). Empty if the feature has no direction, or the SAE scales its output by a scale of its
     *     input
     * @param topIds         for each token the ids of the tokens whose log-probabilities, at the position before it,
     *     the feature raises most; empty if {@code lossEffect} is empty
     * @param topValues      the increases of these log-probabilities
     * @param bottomIds      for each token the ids of the tokens whose log-probabilities the feature lowers most
     * @param bottomValues   the changes of these log-probabilities, which are negative
     */
    public record Ablation(
            float[] lossEffect,
            float[] lensLossEffect,
            int[][] topIds,
            float[][] topValues,
            int[][] bottomIds,
            float[][] bottomValues) {}
}
