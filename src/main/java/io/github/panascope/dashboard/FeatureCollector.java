package io.github.panascope.dashboard;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Torch;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntConsumer;
import java.util.function.LongFunction;

/**
 * A collector of features: it runs a model over rows of tokens up to an SAE's hook point, encodes the activations, and
 * writes the features to a {@link FeatureStore}.
 *
 * <p>On the CPU, rows run in blocks of eight, counted from row 0. Each block runs on one thread and always has the same
 * shape; rows that are not wanted are filled in. The features of a row therefore depend only on the row, its number and
 * the instruction set of the machine. Several blocks run at once. During a run, operators of the whole process use one
 * thread each.
 *
 * <p>The class comment of {@link Dashboards} has an example.
 */
public final class FeatureCollector {
    static final int ROWS_IN_BLOCK = 8;
    /**
     * The number of features that are encoded together. The features of a block then take 2 MB; all of them together
     * would take 100 MB.
     */
    static final int FEATURES_IN_GROUP = 512;

    static final String COLLECTING = "collecting features";

    private final HookedTransformer model;
    private final Sae sae;
    private final int context;
    private final int dIn;
    /** The buffers that each thread reuses for all blocks: the activations, and a group of features. */
    private final ThreadLocal<float[][]> buffers;

    /** The features that are kept; null for all. */
    private final BitSet kept;

    private FeatureCollector(HookedTransformer model, Sae sae, int context, BitSet kept) {
        sae.requireFits(model);
        this.model = model;
        this.sae = sae;
        this.context = context;
        this.kept = kept;
        this.dIn = sae.config().dIn();
        this.buffers = ThreadLocal.withInitial(() -> new float[][] {
            new float[ROWS_IN_BLOCK * context * dIn], new float[ROWS_IN_BLOCK * context * FEATURES_IN_GROUP]
        });
    }

    /** Settings of a collection of rows into a store. Each setting has a default. */
    public static final class Run {
        private final HookedTransformer model;
        private final Sae sae;
        private final FeatureStore store;
        private int shardRows = 256;
        private int threads = 1;
        private IntConsumer progress = _ -> {};

        private Run(HookedTransformer model, Sae sae, FeatureStore store) {
            this.model = model;
            this.sae = sae;
            this.store = store;
        }

        /**
         * Sets the largest number of rows in a shard. Each shard is on the disk before the next one begins. The default
         * is 256.
         *
         * @param rows the number of rows, at least 1
         * @return this run
         * @throws IllegalArgumentException if the number is less than 1
         */
        public Run shardRows(int rows) {
            if (rows < 1) throw new IllegalArgumentException("shards need at least one row, not " + rows);
            shardRows = rows;
            return this;
        }

        /**
         * Sets the number of blocks that run at once on the CPU. The bytes in the store do not depend on it. The
         * default is 1; a GPU ignores the setting.
         *
         * @param count the number of threads, at least 1
         * @return this run
         * @throws IllegalArgumentException if the number is less than 1
         */
        public Run threads(int count) {
            if (count < 1) throw new IllegalArgumentException("there should be at least one thread, not " + count);
            threads = count;
            return this;
        }

        /**
         * Sets a listener that is notified of progress. The default does nothing.
         *
         * @param listener called from time to time with the number of rows that this run has collected so far; may be
         *     called from any thread, and from several at once
         * @return this run
         * @throws NullPointerException if the listener is null
         */
        public Run progress(IntConsumer listener) {
            progress = Objects.requireNonNull(listener, "progress needs something to call");
            return this;
        }

        /**
         * Collects the rows of a range that the store lacks, shard by shard.
         *
         * @param row   returns the token ids of a row for the row's number; all rows have as many tokens as the store's
         *     identity says. On the CPU it is called from several threads at once
         * @param first the first row, inclusive, at least 0
         * @param end   the last row, exclusive
         * @throws io.github.panascope.InputException          if the store is read-only or cannot be written, the SAE
         *     does not fit the model, or an activation is not finite
         * @throws io.github.panascope.RunInterruptedException if the thread is interrupted; complete shards are on the
         *     disk
         * @throws IllegalArgumentException                    if the range is negative, or a row has another number of
         *     tokens
         * @throws IllegalStateException                       if rows are missing and the store was closed
         */
        public void collect(LongFunction<int[]> row, long first, long end) {
            if (first < 0 || end < first)
                throw new IllegalArgumentException("rows from " + first + " to " + end + " are none");
            if (!store.missing(first, end).isEmpty()) store.requireWritable();
            FeatureCollector.collect(this, row, first, end);
        }
    }

    /**
     * Prepares the collection of a model's and an SAE's features into a store.
     *
     * @param store the store, opened for a {@link StoreIdentity} of this model and SAE
     * @param model the model
     * @param sae   the SAE
     * @return the settings of the run; {@link Run#collect} starts it
     * @throws IllegalArgumentException if the identity of the store was not made by {@link StoreIdentity#of}
     */
    public static Run into(FeatureStore store, HookedTransformer model, Sae sae) {
        if (!store.identity().entries().keySet().containsAll(StoreIdentity.NEEDED))
            throw new IllegalArgumentException("the store's identity should be made by StoreIdentity.of");
        return new Run(model, sae, store);
    }

    private static void collect(Run run, LongFunction<int[]> row, long first, long end) {
        HookedTransformer model = run.model;
        Sae sae = run.sae;
        FeatureStore store = run.store;
        int context = store.identity().context();
        int shardRows = run.shardRows;
        int threads = run.threads;
        IntConsumer progress = run.progress;
        BitSet kept = store.identity().keepsAll() ? null : new BitSet();
        if (kept != null) for (int feature : store.features()) kept.set(feature);
        FeatureCollector collector = new FeatureCollector(model, sae, context, kept);
        if (!model.device().isCpu()) {
            int rowsInBlock = store.identity().rowsAtOnce();
            AtomicInteger collected = new AtomicInteger();
            DeviceCollector.collect(
                    collector,
                    sae,
                    store,
                    row,
                    first,
                    end,
                    context,
                    shardRows,
                    rowsInBlock,
                    kept,
                    n -> progress.accept(collected.addAndGet(n)));
            return;
        }
        AtomicInteger done = new AtomicInteger();
        try (var _ = Torch.singleThreaded();
                ExecutorService pool = Workers.pool(threads, "panascope-collect")) {
            try {
                for (long[] gap : store.missing(first, end)) {
                    for (long at = gap[0]; at < gap[1]; at += shardRows)
                        collector.shard(
                                pool,
                                store,
                                row,
                                at,
                                Math.min(gap[1], at + shardRows),
                                n -> progress.accept(done.addAndGet(n)));
                }
            } finally {
                pool.shutdownNow(); // after an exception, tasks that have not begun are dropped
            }
        }
    }

    private void shard(
            ExecutorService pool,
            FeatureStore store,
            LongFunction<int[]> row,
            long first,
            long end,
            IntConsumer progress) {
        try (FeatureStore.Shard shard = store.begin()) {
            shard.commit(first, end, parts(pool, shard.sums(), row, first, end, progress), context);
        }
    }

    private List<ActivationShard.Part> parts(
            ExecutorService pool,
            NeuronCorrelationSums sums,
            LongFunction<int[]> row,
            long first,
            long end,
            IntConsumer progress) {
        List<Callable<ActivationShard.Part>> blocks = new ArrayList<>();
        for (long block = first / ROWS_IN_BLOCK; block * ROWS_IN_BLOCK < end; block++) {
            long start = block * ROWS_IN_BLOCK;
            blocks.add(() -> {
                int from = (int) Math.max(0, first - start);
                int to = (int) Math.min(ROWS_IN_BLOCK, end - start);
                ActivationShard.Part part = block(row, start, from, to, sums);
                progress.accept(to - from);
                return part;
            });
        }
        List<Future<ActivationShard.Part>> running = new ArrayList<>();
        for (Callable<ActivationShard.Part> block : blocks) running.add(pool.submit(block));
        return Workers.await(COLLECTING, () -> {
            List<ActivationShard.Part> parts = new ArrayList<>();
            for (Future<ActivationShard.Part> each : running) {
                RunInterruptedException.check(COLLECTING);
                parts.add(each.get());
            }
            return parts;
        });
    }

    /**
     * Runs a block and returns the features of the rows {@code from} to {@code to} (exclusive). The other rows are
     * filled in.
     */
    private ActivationShard.Part block(
            LongFunction<int[]> row, long start, int from, int to, NeuronCorrelationSums sums) {
        int positions = (to - from) * context;
        int offset = from * context;
        long[] ids = new long[ROWS_IN_BLOCK * context];
        int[] tokens = new int[positions];
        for (int r = from; r < to; r++) {
            int[] own = row.apply(start + r);
            if (own.length != context)
                throw new IllegalArgumentException(
                        "row " + (start + r) + " has " + own.length + " tokens, not " + context);
            for (int i = 0; i < context; i++) {
                ids[r * context + i] = own[i];
                tokens[(r - from) * context + i] = own[i];
            }
        }
        try (var _ = TensorScope.open()) {
            Tensor activation = activation(Tensor.of(ids, Shape.of(ROWS_IN_BLOCK, context)));
            float[] y = buffers.get()[0];
            float[] group = buffers.get()[1];
            sae.inputRows(activation).slice(0, offset, offset + positions).toFloats(y);
            Entries entries = new Entries(positions);
            sae.encodeInGroups(
                    activation,
                    FEATURES_IN_GROUP,
                    first -> kept == null
                            || kept.get(first, first + FEATURES_IN_GROUP).cardinality() > 0,
                    (first, features) -> {
                        features.slice(0, offset, offset + positions).toFloats(group);
                        entries.add(first, (int) features.size(1), group, kept);
                    });
            float[] norms = norms(y, positions, start + from);
            addTo(sums, entries, y, to - from);
            return entries.byPosition(tokens, norms);
        }
    }

    /**
     * Computes the activation that the SAE reads.
     *
     * @param tokens the token ids [rows, context] on the model's device
     */
    Tensor activation(Tensor tokens) {
        return model.forward(tokens).activation(sae.config().hookName());
    }

    private float[] norms(float[] y, int positions, long firstRow) {
        float[] norms = new float[positions];
        for (int t = 0; t < positions; t++) {
            double sum = 0;
            for (int j = 0; j < dIn; j++) sum += (double) y[t * dIn + j] * y[t * dIn + j];
            norms[t] = (float) Math.sqrt(sum);
        }
        requireFinite(norms, firstRow);
        return norms;
    }

    /**
     * Refuses activations that are not finite.
     *
     * @param norms    the norms of the activations at consecutive positions
     * @param firstRow the row whose first position the norms begin with
     */
    void requireFinite(float[] norms, long firstRow) {
        for (int t = 0; t < norms.length; t++) {
            if (Float.isFinite(norms[t])) continue;
            throw new InputException("the activation at " + sae.config().hookName() + " is not finite at row "
                    + (firstRow + t / context) + ", position " + t % context + ".");
        }
    }

    /**
     * Adds the sums of rows. The positions of a row are summed in double precision, in order; rows are then added
     * exactly.
     */
    private void addTo(NeuronCorrelationSums sums, Entries entries, float[] y, int rows) {
        double[] sum = new double[dIn];
        double[] squared = new double[dIn];
        for (int r = 0; r < rows; r++) {
            Arrays.fill(sum, 0);
            Arrays.fill(squared, 0);
            for (int t = r * context; t < (r + 1) * context; t++) {
                for (int j = 0; j < dIn; j++) {
                    double value = y[t * dIn + j];
                    sum[j] += value;
                    squared[j] += value * value;
                }
            }
            sums.addNeurons(sum, squared);
        }
        for (int e = 0; e < entries.size; ) { // the entries of a feature in a row are adjacent
            int feature = entries.features[e];
            int place = sums.place(feature);
            int r = entries.positions[e] / context;
            int end = e;
            while (end < entries.size && entries.features[end] == feature && entries.positions[end] / context == r)
                end++;
            if (place >= 0) {
                Arrays.fill(sum, 0);
                for (; e < end; e++) {
                    double value = entries.values[e];
                    int at = entries.positions[e] * dIn;
                    for (int j = 0; j < dIn; j++) sum[j] += value * y[at + j];
                }
                sums.addProducts(place, sum);
            }
            e = end;
        }
    }

    /** The features of a block that are not zero, by feature and then position. */
    private static final class Entries {
        private final int positionCount;
        private int[] features = new int[1 << 12];
        private int[] positions = new int[1 << 12];
        private float[] values = new float[1 << 12];
        private int[] places = new int[1 << 12];
        private int size;

        Entries(int positionCount) {
            this.positionCount = positionCount;
        }

        /**
         * Adds a group of features. Active features are found position by position and then sorted by feature.
         *
         * @param group the features [position, feature]
         * @param kept  the features to keep; null for all
         */
        void add(int first, int width, float[] group, BitSet kept) {
            int found = 0;
            for (int t = 0, i = 0; t < positionCount; t++) {
                for (int f = 0; f < width; f++, i++) {
                    if (group[i] == 0 || kept != null && !kept.get(first + f)) continue;
                    if (found == places.length) places = Arrays.copyOf(places, 2 * found);
                    places[found++] = i;
                }
            }
            int[] next = new int[width + 1];
            for (int e = 0; e < found; e++) next[places[e] % width + 1]++;
            for (int f = 0; f < width; f++) next[f + 1] += next[f];
            if (size + found > features.length) grow(size + found);
            for (int e = 0; e < found; e++) {
                int f = places[e] % width;
                int at = size + next[f]++;
                features[at] = first + f;
                positions[at] = places[e] / width;
                values[at] = group[places[e]];
            }
            size += found;
        }

        private void grow(int needed) {
            int capacity = Math.max(2 * features.length, needed);
            features = Arrays.copyOf(features, capacity);
            positions = Arrays.copyOf(positions, capacity);
            values = Arrays.copyOf(values, capacity);
        }

        /** {@return the entries sorted by position and then feature, by counting} */
        ActivationShard.Part byPosition(int[] tokens, float[] norms) {
            int[] counts = new int[positionCount];
            int[] next = new int[positionCount];
            for (int e = 0; e < size; e++) counts[positions[e]]++;
            for (int t = 1; t < positionCount; t++) next[t] = next[t - 1] + counts[t - 1];
            int[] sortedFeatures = new int[size];
            float[] sortedValues = new float[size];
            for (int e = 0; e < size; e++) {
                int at = next[positions[e]]++;
                sortedFeatures[at] = features[e];
                sortedValues[at] = values[e];
            }
            return new ActivationShard.Part(tokens, norms, counts, sortedFeatures, sortedValues, positionCount, size);
        }
    }
}
