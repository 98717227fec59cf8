package io.github.panascope.dashboard;

import io.github.panascope.dashboard.FeatureDashboard.Sequence;
import io.github.panascope.dashboard.FeatureDashboard.SequenceGroup;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;

/**
 * The choice of the sequences that are shown of a feature: those with the highest activations, sorted by value, row and
 * position; and, from each interval, the positions that come first in the {@link SampleOrder}.
 */
final class Sequences {
    private final StoredActivations corpus;
    private final BitSet excluded;
    private final DashboardConfig config;
    /** The positions of a row that a sequence may be about. */
    private final int firstCandidate, endCandidate;

    Sequences(StoredActivations corpus, BitSet excluded, DashboardConfig config) {
        this.corpus = corpus;
        this.excluded = excluded;
        this.config = config;
        int buffer = config.buffer();
        // SAEDashboard leaves out one more position at the beginning, because the first token has no loss.
        this.firstCandidate = buffer < 0 ? 0 : buffer + 1;
        this.endCandidate = buffer < 0 ? corpus.context : corpus.context - buffer;
    }

    private boolean isCandidate(int index) {
        int position = index % corpus.context;
        return position >= firstCandidate && position < endCandidate && !excluded.get(index);
    }

    /**
     * Returns all groups of a feature; none if it never fires.
     *
     * @param logits the logits of the feature's direction [d_vocab]; null if it has none
     */
    List<SequenceGroup> of(FeatureActivations column, float[] logits) {
        List<SequenceGroup> groups = new ArrayList<>();
        float max = column.max();
        if (!(max > 0)) return groups;
        groups.add(new SequenceGroup(
                SequenceGroup.Kind.TOP, Double.NaN, max, Double.NaN, sequences(top(column), column, logits)));
        SampleOrder order = new SampleOrder(config.seed(), column.feature);
        for (int i = config.nQuantiles() - 1; i >= 0; i--) {
            float low = Histogram.linspace(0, max, config.nQuantiles() + 1, i);
            float high = Histogram.linspace(0, max, config.nQuantiles() + 1, i + 1);
            long inside = low <= 0 ? corpus.positions - column.size : 0;
            for (int e = 0; e < column.size; e++) if (column.values[e] >= low && column.values[e] <= high) inside++;
            double contains = (double) inside / corpus.positions;
            int[] sample = low <= 0 ? sampleWithZeros(column, high, order) : sample(column, low, high, order);
            groups.add(new SequenceGroup(
                    SequenceGroup.Kind.INTERVAL, low, high, contains, sequences(sample, column, logits)));
        }
        return groups;
    }

    /** {@return the indices of the highest activations, highest first; of equal ones the lower index comes first} */
    private int[] top(FeatureActivations column) {
        TopK top = new TopK(config.topActsGroupSize());
        for (int e = 0; e < column.size; e++)
            if (column.values[e] > top.least() && isCandidate(column.indices[e]))
                top.offer(column.indices[e], column.values[e]);
        return top.indices();
    }

    /** Keeps those k of the offered positions that come first in a {@link SampleOrder}. */
    private static final class SampleTopK {
        private final TopK top;

        SampleTopK(int k) {
            top = new TopK(k);
        }

        /** {@return whether a place is among the first k places so far} */
        boolean takes(long place) {
            return -place > top.least();
        }

        void offer(int index, int unsignedPlace) {
            long place = Integer.toUnsignedLong(unsignedPlace);
            if (takes(place)) top.offer(index, -place);
        }

        int[] indices() {
            return top.indices();
        }
    }

    private int[] sample(FeatureActivations column, float low, float high, SampleOrder order) {
        SampleTopK first = new SampleTopK(config.quantileGroupSize());
        for (int e = 0; e < column.size; e++) {
            if (column.values[e] >= low && column.values[e] <= high && isCandidate(column.indices[e]))
                first.offer(column.indices[e], order.place(column.indices[e]));
        }
        return first.indices();
    }

    /**
     * Draws the sample of the lowest interval, which includes all positions where the feature does not fire. If there
     * are few positions, hashes them all; otherwise goes through the places 0, 1, 2 and so on until enough are found.
     */
    private int[] sampleWithZeros(FeatureActivations column, float high, SampleOrder order) {
        int wanted = config.quantileGroupSize();
        if ((double) corpus.positions * corpus.positions < (1L << 32) * (double) wanted) {
            SampleTopK first = new SampleTopK(wanted);
            int[] places = new int[Math.max(0, endCandidate - firstCandidate)];
            for (int start = firstCandidate; start < corpus.positions; start += corpus.context) {
                // Most rows have no position that sorts before those already kept, so their activations are not looked
                // up.
                if (!first.takes(order.places(start, places))) continue;
                for (int i = 0; i < places.length; i++) {
                    if (first.takes(Integer.toUnsignedLong(places[i]))
                            && column.at(start + i) <= high
                            && !excluded.get(start + i)) first.offer(start + i, places[i]);
                }
            }
            return first.indices();
        }
        int[] sample = new int[wanted];
        int count = 0;
        for (long place = 0; place < 1L << 32 && count < wanted; place++) {
            int index = order.index((int) place);
            if (index >= 0 && index < corpus.positions && isCandidate(index) && column.at(index) <= high)
                sample[count++] = index;
        }
        return Arrays.copyOf(sample, count);
    }

    private List<Sequence> sequences(int[] indices, FeatureActivations column, float[] logits) {
        List<Sequence> sequences = new ArrayList<>(indices.length);
        for (int index : indices) {
            int row = index / corpus.context;
            int position = index % corpus.context;
            int first = config.buffer() < 0 ? 0 : position - config.buffer();
            int count = config.buffer() < 0 ? corpus.context : 2 * config.buffer() + 1;
            int[] tokens = corpus.tokens(row * corpus.context + first, count);
            float[] activations = new float[count];
            float[] tokenLogits = new float[logits == null ? 0 : count];
            for (int i = 0; i < count; i++) {
                activations[i] = column.at(row * corpus.context + first + i);
                if (logits != null) tokenLogits[i] = logits[tokens[i]];
            }
            sequences.add(new Sequence(row, position, first, tokens, activations, tokenLogits, null));
        }
        return sequences;
    }
}
