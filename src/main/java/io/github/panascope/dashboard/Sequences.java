package io.github.panascope.dashboard;

import io.github.panascope.dashboard.FeatureDashboard.Sequence;
import io.github.panascope.dashboard.FeatureDashboard.SequenceGroup;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;

/**
 * The sequences that are shown of a feature: those with the highest activations, by value, then row, then position; and
 * some of each interval, the first in the {@link SampleOrder}.
 */
final class Sequences {
    private final StoredActivations corpus;
    private final BitSet excluded;
    private final DashboardConfig config;
    /** Positions of a row that a sequence may be about. */
    private final int firstCandidate, endCandidate;

    Sequences(StoredActivations corpus, BitSet excluded, DashboardConfig config) {
        this.corpus = corpus;
        this.excluded = excluded;
        this.config = config;
        int buffer = config.buffer();
        // SAEDashboard leaves one more out at the beginning, for the loss of a first token.
        this.firstCandidate = buffer < 0 ? 0 : buffer + 1;
        this.endCandidate = buffer < 0 ? corpus.context : corpus.context - buffer;
    }

    private boolean isCandidate(int index) {
        int position = index % corpus.context;
        return position >= firstCandidate && position < endCandidate && !excluded.get(index);
    }

    /** All groups of a feature that fires; none of one that does not. {@code logits} may be null. */
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

    /** The indices of the highest activations, highest first; earlier ones before equal later ones. */
    private int[] top(FeatureActivations column) {
        TopK top = new TopK(config.topActsGroupSize());
        for (int e = 0; e < column.size; e++)
            if (column.values[e] > top.least() && isCandidate(column.indices[e]))
                top.offer(column.indices[e], column.values[e]);
        return top.indices();
    }

    /** Keeps the first k positions in a {@link SampleOrder}, of those that are offered. */
    private static final class SampleTopK {
        private final TopK top;

        SampleTopK(int k) {
            top = new TopK(k);
        }

        /** Whether a place in the order is among the first k so far. */
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
     * The same for the lowest interval, to which all positions belong where the feature does not fire: in the order of
     * places, or of positions, whichever is shorter.
     */
    private int[] sampleWithZeros(FeatureActivations column, float high, SampleOrder order) {
        int wanted = config.quantileGroupSize();
        if ((double) corpus.positions * corpus.positions < (1L << 32) * (double) wanted) {
            SampleTopK first = new SampleTopK(wanted);
            int[] places = new int[Math.max(0, endCandidate - firstCandidate)];
            for (int start = firstCandidate; start < corpus.positions; start += corpus.context) {
                // Few come this early in the order: whether the others belong here need not be known.
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
