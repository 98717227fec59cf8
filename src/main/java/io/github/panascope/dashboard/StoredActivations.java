package io.github.panascope.dashboard;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import java.nio.IntBuffer;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;

/**
 * All shards of a store as one: positions by index (row * context + position), and sums over all positions for every
 * feature. Immutable once made, so that many threads may use it.
 */
final class StoredActivations {
    /** The number that SAEDashboard adds to the denominators of correlations and cosines. */
    static final double EPSILON = 1e-6;

    final List<ActivationShard> shards;
    final int context, positions, rows;
    /** The number of positions at which each feature is not zero. */
    final int[] counts;

    /** Σx and Σx² of the activations of each feature. */
    final double[] sums, squares;
    /** The {@link #spread} of each feature. */
    final double[] spreads;

    private final int[] firstIndex;

    StoredActivations(FeatureStore store, int dSae) {
        shards = store.shards();
        context = shards.getFirst().context;
        ActivationShard last = shards.getLast();
        long all = (last.firstRow + last.rows) * context;
        if (all > Integer.MAX_VALUE)
            throw new InputException(
                    "the store holds " + all + " positions; dashboards are made of at most " + Integer.MAX_VALUE + ".");
        positions = (int) all;
        rows = positions / context;
        firstIndex = shards.stream()
                .mapToInt(shard -> (int) shard.firstRow * context)
                .toArray();
        counts = new int[dSae];
        sums = new double[dSae];
        squares = new double[dSae];
        for (ActivationShard shard : shards) {
            RunInterruptedException.check(Dashboards.MAKING);
            for (int e = 0, entries = shard.features.capacity(); e < entries; e++) {
                int feature = shard.features.get(e);
                double value = shard.values.get(e);
                counts[feature]++;
                sums[feature] += value;
                squares[feature] += value * value;
            }
        }
        spreads = new double[dSae];
        for (int feature = 0; feature < dSae; feature++) spreads[feature] = spread(sums[feature], squares[feature]);
    }

    /** {@return √(nΣx² − (Σx)²) over all positions, for Σx and Σx²} */
    double spread(double sum, double squared) {
        return Math.sqrt(Math.max(0, positions * squared - sum * sum));
    }

    /** {@return the activations of features, in the order of the features} */
    FeatureActivations[] columns(int[] features, int dSae) {
        int[] place = new int[dSae];
        Arrays.fill(place, -1);
        FeatureActivations[] columns = new FeatureActivations[features.length];
        for (int i = 0; i < features.length; i++) {
            place[features[i]] = i;
            columns[i] = new FeatureActivations(features[i], counts[features[i]]);
        }
        for (int s = 0; s < firstIndex.length; s++) {
            RunInterruptedException.check(Dashboards.MAKING);
            ActivationShard shard = shards.get(s);
            for (int t = 0, e = 0; t < shard.positions(); t++) {
                for (int end = shard.starts.get(t + 1); e < end; e++) {
                    int at = place[shard.features.get(e)];
                    if (at >= 0) columns[at].add(firstIndex[s] + t, shard.values.get(e));
                }
            }
        }
        return columns;
    }

    /** {@return the number of the shard that holds an index} */
    private int shard(int index) {
        int found = Arrays.binarySearch(firstIndex, index);
        return found >= 0 ? found : -found - 2;
    }

    int token(int index) {
        int s = shard(index);
        return shards.get(s).tokens.get(index - firstIndex[s]);
    }

    int[] tokens(int index, int count) {
        int[] tokens = new int[count];
        int s = shard(index);
        for (int i = 0; i < count; i++) tokens[i] = shards.get(s).tokens.get(index - firstIndex[s] + i);
        return tokens;
    }

    /**
     * Adds x·v to the sums of all features from {@code first} on, for every position where the column has activation x
     * and the feature has activation v.
     */
    void addProducts(FeatureActivations column, double[] products, int first) {
        int[] features = new int[256];
        float[] values = new float[256];
        for (int i = 0; i < column.size; i++) {
            int s = shard(column.indices[i]);
            int t = column.indices[i] - firstIndex[s];
            ActivationShard shard = shards.get(s);
            int end = shard.starts.get(t + 1);
            int start = first(shard.features, shard.starts.get(t), end, first);
            int size = end - start;
            if (size > features.length) {
                features = new int[2 * size];
                values = new float[2 * size];
            }
            // Entries are copied first, because many small reads of a mapped file take longer than the products.
            shard.features.get(start, features, 0, size);
            shard.values.get(start, values, 0, size);
            double x = column.values[i];
            for (int e = 0; e < size; e++) products[features[e]] += x * values[e];
        }
    }

    /** {@return the index of the first entry of a feature from {@code first} on} */
    private static int first(IntBuffer features, int start, int end, int first) {
        if (first == 0) return start;
        int low = start;
        int high = end;
        while (low < high) {
            int middle = low + high >>> 1;
            if (features.get(middle) < first) low = middle + 1;
            else high = middle;
        }
        return low;
    }

    /** {@return the indices of the positions at which features count as zero} */
    BitSet excluded(DashboardConfig config) {
        BitSet excluded = new BitSet();
        Exclusion exclusion = new Exclusion(config);
        if (exclusion.isEmpty()) return excluded;
        int[] tokens = new int[context];
        float[] norms = new float[context];
        for (int s = 0; s < firstIndex.length; s++) {
            ActivationShard shard = shards.get(s);
            for (int r = 0; r < shard.rows; r++) {
                shard.tokens.get(r * context, tokens);
                if (exclusion.usesNorms()) shard.norms.get(r * context, norms);
                exclusion.addTo(excluded, firstIndex[s] + r * context, tokens, norms);
            }
        }
        return excluded;
    }
}
