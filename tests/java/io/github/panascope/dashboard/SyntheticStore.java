package io.github.panascope.dashboard;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Folders of random features that need no model, of any size. The content of a row depends on its number alone.
 *
 * @param identity the identity of all rows
 * @param features the features, ascending, at least 4
 * @param dIn      the number of dimensions of the activation
 * @param context  the number of tokens in a row
 */
record SyntheticStore(StoreIdentity identity, int[] features, int dIn, int context) {
    private static final int ACTIVE = 4;

    /** Adds rows to a folder, in shards of {@code shardRows}. */
    void add(Path folder, int first, int end, int shardRows) {
        try (FeatureStore store = FeatureStore.open(folder, identity, features, dIn)) {
            for (int at = first; at < end; at += shardRows) add(store, at, Math.min(end, at + shardRows));
        }
    }

    private void add(FeatureStore store, int first, int end) {
        int positions = (end - first) * context;
        int[] tokens = new int[positions];
        float[] norms = new float[positions];
        int[] counts = new int[positions];
        Arrays.fill(counts, ACTIVE);
        int[] active = new int[positions * ACTIVE];
        float[] values = new float[positions * ACTIVE];
        try (FeatureStore.Shard shard = store.begin()) {
            for (int row = first; row < end; row++) {
                SplittableRandom random = new SplittableRandom(row);
                shard.sums().addNeurons(doubles(random), doubles(random));
                for (int place = 0; place < features.length; place++)
                    shard.sums().addProducts(place, doubles(random));
                for (int t = (row - first) * context; t < (row - first + 1) * context; t++) {
                    tokens[t] = random.nextInt(50257);
                    norms[t] = random.nextInt(100);
                    int[] found = random.ints(0, features.length)
                            .distinct()
                            .limit(ACTIVE)
                            .sorted()
                            .toArray();
                    for (int i = 0; i < ACTIVE; i++) {
                        active[t * ACTIVE + i] = features[found[i]];
                        values[t * ACTIVE + i] = 1 + random.nextInt(1000) / 64f;
                    }
                }
            }
            shard.commit(
                    first,
                    end,
                    List.of(new ActivationShard.Part(
                            tokens, norms, counts, active, values, positions, positions * ACTIVE)),
                    context);
        }
    }

    private double[] doubles(SplittableRandom random) {
        double[] values = new double[dIn];
        for (int j = 0; j < dIn; j++) values[j] = random.nextLong() * 0x1p-50;
        return values;
    }
}
