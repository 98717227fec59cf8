package io.github.panascope.dashboard;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import io.github.panascope.lens.Forward;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.model.HookPoint;
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
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntConsumer;
import java.util.function.LongFunction;

/**
 * Runs a model over rows of tokens up to an SAE's hook point, encodes, and puts the features into a
 * {@link FeatureStore}.
 *
 * <p>Rows run in blocks of eight, counted from row 0, each on one thread and always of the same shape (rows that are
 * not wanted are filled in): so what comes out for a row depends on that row, its number and the machine's instruction
 * set, on nothing else. Several blocks run at once. While this runs, operators of the whole process use one thread
 * each.
 */
public final class FeatureCollector {
    static final int ROWS_IN_BLOCK = 8;
    /** Features that are encoded together: a block's are then 2 MB, where all would be 100 MB. */
    private static final int FEATURES_IN_GROUP = 512;

    static final String COLLECTING = "collecting features";

    private final HookedTransformer model;
    private final Sae sae;
    private final int context;
    private final int dIn;
    private final int stopLayer;
    private final boolean residualIsIt;
    /** For each thread, what a block needs again and again: the activations, and a group of features. */
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
        String hook = sae.config().hookName();
        this.buffers = ThreadLocal.withInitial(() -> new float[][] {
            new float[ROWS_IN_BLOCK * context * dIn], new float[ROWS_IN_BLOCK * context * FEATURES_IN_GROUP]
        });
        HookPoint point = HookPoint.of(hook).orElseThrow();
        this.residualIsIt = point.isInBlock() && point.part().equals("hook_resid_pre");
        this.stopLayer = point.isInBlock()
                ? point.block() + (residualIsIt ? 0 : 1)
                : point.block() == HookPoint.AFTER_BLOCKS ? -1 : 0;
    }

    /** How rows are collected into a store: the defaults, and what should be otherwise. */
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

        /** Rows in a shard at most, of which each is on the disk before the next begins; 256 unless it is said. */
        public Run shardRows(int rows) {
            if (rows < 1) throw new IllegalArgumentException("shards need at least one row, not " + rows);
            shardRows = rows;
            return this;
        }

        /** Blocks of rows that run at once on the CPU; 1 unless it is said. The bytes in the store are the same. */
        public Run threads(int count) {
            if (count < 1) throw new IllegalArgumentException("there should be at least one thread, not " + count);
            threads = count;
            return this;
        }

        /** What is told how many rows were collected, now and then, from any thread. */
        public Run progress(IntConsumer listener) {
            progress = Objects.requireNonNull(listener, "progress needs something to call");
            return this;
        }

        /**
         * Collects the rows from first (inclusive) to end (exclusive) that the store lacks, shard by shard.
         *
         * @param row the token ids of a row, as many as the store's rows have
         * @throws io.github.panascope.RunInterruptedException if the thread was interrupted; complete shards are on the
         *     disk
         */
        public void collect(LongFunction<int[]> row, long first, long end) {
            if (first < 0 || end < first)
                throw new IllegalArgumentException("rows from " + first + " to " + end + " are none");
            if (!store.missing(first, end).isEmpty()) store.requireWritable();
            FeatureCollector.collect(this, row, first, end);
        }
    }

    /** Collects features of a model and an SAE into a store that was opened for their {@link StoreIdentity}. */
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
                ExecutorService pool = Executors.newFixedThreadPool(
                        threads,
                        Thread.ofPlatform()
                                .daemon()
                                .name("panascope-collect-", 0)
                                .factory())) {
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
                pool.shutdownNow(); // after an exception, what has not begun does not begin
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
        List<ActivationShard.Part> parts = new ArrayList<>();
        try {
            for (Future<ActivationShard.Part> each : running) {
                RunInterruptedException.check(COLLECTING);
                parts.add(each.get());
            }
        } catch (ExecutionException e) {
            if (e.getCause() instanceof RuntimeException cause) throw cause;
            if (e.getCause() instanceof Error cause) throw cause;
            throw new IllegalStateException(e.getCause());
        } catch (InterruptedException e) {
            throw RunInterruptedException.of(COLLECTING, e);
        }
        return parts;
    }

    /** Rows {@code from} to {@code to} of a block, with the others filled in. */
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

    /** What the SAE reads, of tokens [rows, context] on the model's device. */
    Tensor activation(Tensor tokens) {
        Forward run = model.forward(tokens);
        if (residualIsIt) return run.stopAtLayer(stopLayer);
        String hook = sae.config().hookName();
        run.caching(hook);
        if (stopLayer < 0) run.logits();
        else run.stopAtLayer(stopLayer);
        return run.cache().get(hook);
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

    /** Refuses an activation that is not finite, of positions from the first of a row on. */
    void requireFinite(float[] norms, long firstRow) {
        for (int t = 0; t < norms.length; t++) {
            if (Float.isFinite(norms[t])) continue;
            throw new InputException("the activation at " + sae.config().hookName() + " is not finite at row "
                    + (firstRow + t / context) + ", position " + t % context + ".");
        }
    }

    /** Sums over the positions of each row, in double precision and in order; rows are then added exactly. */
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
        for (int e = 0; e < entries.size; ) { // by feature, then position: a row's entries of a feature lie together
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

        /** A group, [position, feature]: found position by position, then placed by feature. */
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

        /** The same by position and then feature: counted, then placed. */
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
