package io.github.panascope.dashboard;

import io.github.panascope.RunInterruptedException;
import io.github.panascope.dashboard.FeatureDashboard.Entry;
import io.github.panascope.dashboard.FeatureDashboard.LogitsTable;
import io.github.panascope.dashboard.FeatureDashboard.Statistics;
import io.github.panascope.dashboard.FeatureDashboard.Tables;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.ReadAhead;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Torch;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * Makes dashboards of features from a {@link FeatureStore}, one after the other, with SAEDashboard's statistics. What
 * comes out for a feature does not depend on the others that are asked for (but with
 * {@link DashboardConfig.CorrelationScope#CHOSEN}), nor on the number of threads.
 */
public final class Dashboards {
    /** Activations that are held at once, of as many features as that is: 8 bytes each. */
    private static final int ENTRIES_AT_ONCE = 32 << 20;

    private static final int FEATURES_AT_ONCE = 4096;
    /** Features whose logits come from a device together: 51 MB. */
    private static final int FEATURES_IN_COPY = 256;
    /** How many numbers are looked at together, to see whether any of them needs to be looked at. */
    private static final int BLOCK = 256;

    static final double SMALLEST = 1e-6;
    private static final double[] QUANTILES = levels();
    static final String MAKING = "making dashboards";

    private final Sae sae;
    private final DashboardConfig config;
    private final StoredActivations corpus;
    private final BitSet excluded;
    private final NeuronCorrelationSums neurons;
    private final Sequences sequences;
    private final DecoderDirections directions;
    private final Ablations ablations;
    private final int dSae;
    /** Of every feature, √(nΣx² − (Σx)²). */
    private final double[] spreads;

    private final CorrelatedFeatures correlated;

    private Dashboards(HookedTransformer model, Sae sae, FeatureStore store, DashboardConfig config) {
        if (config.correlatedFeatures() == DashboardConfig.CorrelationScope.ALL
                && !store.identity().keepsAll()) {
            throw new IllegalArgumentException(
                    "the folder keeps the chosen features alone: correlated ones can be looked for among these");
        }
        this.sae = sae;
        this.config = config;
        this.dSae = sae.config().dSae();
        this.corpus = new StoredActivations(store, dSae);
        this.excluded = corpus.excluded(config);
        this.neurons = store.sums();
        this.spreads = new double[dSae];
        for (int feature = 0; feature < dSae; feature++)
            spreads[feature] = spread(corpus.sums[feature], corpus.squares[feature]);
        this.correlated = new CorrelatedFeatures(corpus, spreads, config.nRows());
        this.sequences = new Sequences(corpus, excluded, config);
        this.directions = new DecoderDirections(model, sae);
        this.ablations = config.performAblationExperiments()
                ? new Ablations(model, sae, directions, config.topLogitsHoverdata())
                : null;
    }

    /**
     * Reads a store's shards. The model and the SAE are those that filled it, and live as long as this.
     *
     * @throws io.github.panascope.InputException if the store lacks rows between its first and its last
     */
    public static Dashboards of(HookedTransformer model, Sae sae, FeatureStore store, DashboardConfig config) {
        sae.requireFits(model);
        return new Dashboards(model, sae, store, config);
    }

    /** Rows of the store. */
    public int rows() {
        return corpus.rows;
    }

    /** Tokens in a row. */
    public int context() {
        return corpus.context;
    }

    /** How many positions do not count. */
    public int excluded() {
        return excluded.cardinality();
    }

    /** How often each feature of the SAE is not zero, over all positions. */
    public int[] counts() {
        return corpus.counts.clone();
    }

    /** Where features' activations are listed by quantile: SAEDashboard's 2,350 levels, finer towards 1. */
    public static double[] quantiles() {
        return QUANTILES.clone();
    }

    private static double[] levels() {
        List<Double> levels = new ArrayList<>();
        double[][] ranges = {{0, 0.95, 1e-3}, {0.95, 0.99, 1e-4}, {0.99, 1, 1e-5}};
        for (double[] range : ranges) {
            int count = (int) Math.round((range[1] - range[0]) / range[2]);
            for (int i = 0; i < count; i++) levels.add(range[0] + i * range[2]);
        }
        return levels.stream().mapToDouble(Double::doubleValue).toArray();
    }

    /**
     * Makes them, by ascending number of the feature.
     *
     * @param features those wanted; each must be among those that the store was opened for
     * @param threads  features that are worked on at once
     * @param consumer gets them one by one, on the calling thread
     * @throws io.github.panascope.RunInterruptedException if the thread was interrupted
     */
    public void forEach(int[] features, int threads, Consumer<FeatureDashboard> consumer) {
        forEach(features, threads, dashboard -> dashboard, consumer);
    }

    /**
     * The same, making something of each where it was made: on many threads at once.
     *
     * @param made what becomes of a dashboard
     */
    public <T> void forEach(int[] features, int threads, Function<FeatureDashboard, T> made, Consumer<T> consumer) {
        if (threads < 1) throw new IllegalArgumentException("there should be at least 1 thread, not " + threads);
        int[] wanted = Arrays.stream(features).distinct().sorted().toArray();
        for (int feature : wanted) {
            if (feature < 0 || feature >= dSae)
                throw new IndexOutOfBoundsException(
                        "feature " + feature + " is outside the SAE's features 0 to " + (dSae - 1));
            if (neurons.place(feature) < 0)
                throw new IllegalArgumentException("the store was not opened for feature " + feature);
        }
        try (var _ = Torch.singleThreaded();
                TensorScope scope = TensorScope.shared();
                ExecutorService pool = Executors.newFixedThreadPool(
                        threads,
                        Thread.ofPlatform()
                                .daemon()
                                .name("panascope-dashboard-", 0)
                                .factory())) {
            try {
                // Pairs of all with all, each once, are half the work of all with those wanted, where these are most.
                if (config.correlatedFeatures() == DashboardConfig.CorrelationScope.ALL && wanted.length > dSae / 2)
                    finished(() -> correlated.findAll(
                            pool, threads, batches(IntStream.range(0, dSae).toArray())));
                Queue<Memory> idle = new ConcurrentLinkedQueue<>();
                for (int i = 0; i < threads; i++) idle.add(new Memory(scope));
                for (int[] batch : batches(wanted)) batch(pool, idle, wanted, batch, made, consumer);
            } finally {
                pool.shutdownNow();
            }
        }
    }

    /** What a thread needs for one group after the other; got anew each time, it would have to be cleared. */
    private final class Memory {
        final CorrelatedFeatures.Worker correlations = correlated.new Worker();
        final float[] logits = new float[directions.vocabulary()];
        final Tensor logitsOfGroup;

        Memory(TensorScope scope) {
            if (!sae.device().isCpu()) {
                logitsOfGroup = null; // one is enough: all are made by one thread
                return;
            }
            try (var _ = TensorScope.open()) {
                logitsOfGroup = scope.adopt(directions.logitsMemory());
            }
        }
    }

    /** As many at a time as may be held at once. */
    private int[][] batches(int[] features) {
        List<int[]> batches = new ArrayList<>();
        for (int start = 0, end; start < features.length; start = end) {
            long entries = corpus.counts[features[start]];
            end = start + 1;
            while (end < features.length
                    && end - start < FEATURES_AT_ONCE
                    && (entries += corpus.counts[features[end]]) <= ENTRIES_AT_ONCE) end++;
            batches.add(Arrays.copyOfRange(features, start, end));
        }
        return batches.toArray(int[][]::new);
    }

    private <T> void batch(
            ExecutorService pool,
            Queue<Memory> idle,
            int[] chosen,
            int[] features,
            Function<FeatureDashboard, T> made,
            Consumer<T> consumer) {
        FeatureActivations[] columns = corpus.columns(features, dSae);
        if (!sae.device().isCpu()) {
            onDevice(pool, idle, chosen, columns, made, consumer);
            return;
        }
        List<Future<List<Callable<T>>>> running = new ArrayList<>();
        for (int start = 0, end; start < columns.length; start = end) {
            int first = start;
            int group = group(columns[start]);
            end = endOfGroup(columns, start);
            int last = end;
            running.add(pool.submit(() -> with(
                    idle, memory -> group(memory, group, chosen, Arrays.copyOfRange(columns, first, last), made))));
        }
        finished(() -> {
            for (int i = 0; i < running.size(); i++) {
                List<Future<T>> finished = new ArrayList<>();
                for (Callable<T> rest : running.set(i, null).get())
                    finished.add(
                            ablations == null
                                    ? CompletableFuture.completedFuture(call(rest))
                                    : pool.submit(rest)); // and lets go of what was handed over
                accept(finished, consumer);
            }
        });
    }

    /**
     * As many features at a time as fill a copy from the device; the statistics of some are made while it is at work on
     * the next, and on many threads.
     */
    private <T> void onDevice(
            ExecutorService pool,
            Queue<Memory> idle,
            int[] chosen,
            FeatureActivations[] columns,
            Function<FeatureDashboard, T> made,
            Consumer<T> consumer) {
        int[] among = config.correlatedFeatures() == DashboardConfig.CorrelationScope.ALL ? null : chosen;
        int dOut = sae.config().dOut();
        int vocabulary = directions.exist() ? directions.vocabulary() : 0;
        try (ReadAhead ahead = new ReadAhead(MAKING);
                TensorScope scope = TensorScope.open()) {
            Tensor memory = scope.adopt(directions.logitsMemory());
            for (int start = 0; start < columns.length; start += FEATURES_IN_COPY) {
                FeatureActivations[] some =
                        Arrays.copyOfRange(columns, start, Math.min(columns.length, start + FEATURES_IN_COPY));
                ahead.next(() -> decoderAndLogits(some, memory), found -> {
                    float[] rows = found.toFloats();
                    List<Future<FeatureDashboard>> running = new ArrayList<>();
                    for (int i = 0; i < some.length; i++) {
                        FeatureActivations column = some[i];
                        int at = i * (dOut + vocabulary);
                        running.add(pool.submit(() -> with(idle, own -> {
                            float[] direction = Arrays.copyOfRange(rows, at, at + dOut);
                            float[] logits = vocabulary == 0 ? null : own.logits;
                            if (logits != null) System.arraycopy(rows, at + dOut, logits, 0, vocabulary);
                            return one(column, own.correlations.of(column, among), direction, logits);
                        })));
                    }
                    finished(() -> {
                        List<Future<T>> ready = new ArrayList<>();
                        for (int i = 0; i < some.length; i++) {
                            RunInterruptedException.check(MAKING);
                            FeatureDashboard dashboard = running.set(i, null).get();
                            FeatureDashboard whole =
                                    ablations == null ? dashboard : ablations.of(dashboard, some[i], corpus);
                            ready.add(pool.submit(() -> made.apply(whole)));
                        }
                        accept(ready, consumer);
                    });
                });
            }
        }
    }

    /**
     * Of features, ascending: the row of W_dec and the logits of each, side by side, float32 [features, d_out +
     * d_vocab] on the device.
     */
    private Tensor decoderAndLogits(FeatureActivations[] columns, Tensor memory) {
        List<Tensor> decoders = new ArrayList<>();
        List<Tensor> logits = new ArrayList<>();
        for (int start = 0, end; start < columns.length; start = end) {
            int group = group(columns[start]);
            end = endOfGroup(columns, start);
            long[] inGroup = Arrays.stream(columns, start, end)
                    .mapToLong(column -> column.feature - (long) group * DecoderDirections.GROUP)
                    .toArray();
            Tensor wanted = Tensor.of(inGroup, Shape.of(inGroup.length), sae.device());
            decoders.add(directions.decoder(group).indexSelect(0, wanted).to(DType.FLOAT32));
            Tensor ofGroup = directions.logits(group, memory);
            if (ofGroup != null) logits.add(ofGroup.indexSelect(0, wanted).to(DType.FLOAT32));
        }
        Tensor all = Tensor.cat(0, decoders.toArray(Tensor[]::new));
        return logits.isEmpty() ? all : Tensor.cat(1, all, Tensor.cat(0, logits.toArray(Tensor[]::new)));
    }

    private static int group(FeatureActivations column) {
        return column.feature / DecoderDirections.GROUP;
    }

    /** Where the features of the group that begins at {@code start} end. */
    private static int endOfGroup(FeatureActivations[] columns, int start) {
        int end = start;
        while (end < columns.length && group(columns[end]) == group(columns[start])) end++;
        return end;
    }

    private static <T> T with(Queue<Memory> idle, Function<Memory, T> work) {
        Memory memory = idle.remove();
        try {
            return work.apply(memory);
        } finally {
            idle.add(memory);
        }
    }

    private static <T> void accept(List<Future<T>> running, Consumer<T> consumer)
            throws ExecutionException, InterruptedException {
        for (Future<T> each : running) {
            RunInterruptedException.check(MAKING);
            consumer.accept(each.get());
        }
    }

    private interface Waiting {
        void run() throws ExecutionException, InterruptedException;
    }

    /** Waits, and throws what was thrown on another thread. */
    private static void finished(Waiting waiting) {
        try {
            waiting.run();
        } catch (ExecutionException e) {
            if (e.getCause() instanceof RuntimeException cause) throw cause;
            if (e.getCause() instanceof Error cause) throw cause;
            throw new IllegalStateException(e.getCause());
        } catch (InterruptedException e) {
            throw RunInterruptedException.of(MAKING, e);
        }
    }

    private static <T> T call(Callable<T> rest) {
        try {
            return rest.call();
        } catch (RuntimeException e) {
            throw e;
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    /** What is left to be done with each feature of a group: ablations, which take long, by themselves. */
    private <T> List<Callable<T>> group(
            Memory memory, int group, int[] chosen, FeatureActivations[] columns, Function<FeatureDashboard, T> made) {
        List<Callable<T>> found = new ArrayList<>();
        int[] among = config.correlatedFeatures() == DashboardConfig.CorrelationScope.ALL ? null : chosen;
        try (var _ = TensorScope.open()) {
            Tensor decoder = directions.decoder(group).to(DType.FLOAT32);
            Tensor logits = directions.logits(group, memory.logitsOfGroup);
            for (FeatureActivations column : columns) {
                RunInterruptedException.check(MAKING); // of this thread of the pool, once nobody waits for it
                try (var _ = TensorScope.open()) {
                    int inGroup = column.feature - group * DecoderDirections.GROUP;
                    float[] direction = decoder.select(0, inGroup).toFloats();
                    float[] own = logits == null ? null : memory.logits;
                    if (own != null) logits.select(0, inGroup).toFloats(own);
                    FeatureDashboard dashboard = one(column, memory.correlations.of(column, among), direction, own);
                    if (ablations != null) {
                        found.add(() -> made.apply(ablations.of(dashboard, column, corpus)));
                        continue;
                    }
                    T ready = made.apply(dashboard);
                    found.add(() -> ready);
                }
            }
        }
        return found;
    }

    private FeatureDashboard one(
            FeatureActivations column, List<Entry> correlatedFeatures, float[] direction, float[] logits) {
        Tables tables = new Tables(alignment(direction), correlatedNeurons(column.feature), correlatedFeatures);
        FeatureActivations counted = column.without(excluded);
        return new FeatureDashboard(
                column.feature,
                statistics(counted),
                tables,
                Histogram.of(counted.values, counted.size, config.nBins()),
                logits == null ? null : Histogram.of(logits, logits.length, config.nBins()),
                logits == null ? null : logitsTable(logits),
                sequences.of(counted, logits));
    }

    // ------------------------------------------------------------------------------------------------- numbers

    private Statistics statistics(FeatureActivations column) {
        double n = corpus.positions;
        double sum = 0;
        long nonzero = 0;
        for (int i = 0; i < column.size; i++) {
            sum += column.values[i];
            if (column.values[i] > SMALLEST) nonzero++;
        }
        double mean = sum / n;
        double zeros = n - column.size;
        double second = zeros * mean * mean;
        double third = -zeros * mean * mean * mean;
        double fourth = zeros * mean * mean * mean * mean;
        for (int i = 0; i < column.size; i++) {
            double d = column.values[i] - mean;
            second += d * d;
            third += d * d * d;
            fourth += d * d * d * d;
        }
        double variance = second / n;
        double std = Math.sqrt(variance);
        return new Statistics(
                corpus.positions,
                excluded.cardinality(),
                column.size,
                nonzero / n,
                column.max(),
                mean,
                column.size == 0 ? 0 : sum / column.size,
                std,
                third / n / (variance * std),
                fourth / n / (variance * variance) - 3,
                quantileData(column));
    }

    private double[] quantileData(FeatureActivations column) {
        float[] sorted = Arrays.copyOf(column.values, column.size);
        Arrays.sort(sorted);
        long zeros = (long) corpus.positions - column.size;
        double[] levels = QUANTILES;
        double[] data = new double[levels.length];
        int leading = 0;
        for (int i = 0; i < levels.length; i++) {
            double rank = levels[i] * (corpus.positions - 1.0);
            long below = (long) rank;
            double low = valueAt(sorted, zeros, below);
            double high = valueAt(sorted, zeros, Math.min(below + 1, corpus.positions - 1));
            data[i] = Histogram.rounded(low + (rank - below) * (high - low), 6);
            if (leading == i && Math.abs(data[i]) <= SMALLEST) leading++;
        }
        return Arrays.copyOfRange(data, leading, data.length);
    }

    private static double valueAt(float[] sorted, long zeros, long rank) {
        return rank < zeros ? 0 : sorted[(int) (rank - zeros)];
    }

    private List<Entry> alignment(float[] direction) {
        double l1 = 0;
        for (float value : direction) l1 += Math.abs(value);
        double sum = l1;
        return Arrays.stream(largest(direction, config.nRows()))
                .mapToObj(i -> new Entry(i, direction[i], Math.abs(direction[i]) / sum))
                .toList();
    }

    private List<Entry> correlatedNeurons(int feature) {
        int place = neurons.place(feature);
        int count = neurons.dIn();
        double[] pearson = new double[count];
        double[] cosine = new double[count];
        double x = corpus.sums[feature];
        double xx = corpus.squares[feature];
        for (int j = 0; j < count; j++) {
            double xy = neurons.xy(place, j);
            double y = neurons.y(j);
            double yy = neurons.ySquared(j);
            pearson[j] = pearson(xy, x, spreads[feature], y, yy);
            cosine[j] = xy / (Math.sqrt(xx * yy) + SMALLEST);
        }
        if (xx == 0) return List.of();
        return Arrays.stream(largest(pearson, config.nRows()))
                .mapToObj(j -> new Entry(j, pearson[j], cosine[j]))
                .toList();
    }

    /** (nΣxy − ΣxΣy) / (√((nΣx² − (Σx)²)(nΣy² − (Σy)²)) + 1e-6), SAEDashboard's, over all positions. */
    private double pearson(double xy, double x, double spread, double y, double yy) {
        return (corpus.positions * xy - x * y) / (spread * spread(y, yy) + SMALLEST);
    }

    /** √(nΣx² − (Σx)²). */
    private double spread(double sum, double squares) {
        return Math.sqrt(Math.max(0, corpus.positions * squares - sum * sum));
    }

    private LogitsTable logitsTable(float[] logits) {
        Largest highest = new Largest(Math.min(config.nLogits(), logits.length));
        Largest lowest = new Largest(Math.min(config.nLogits(), logits.length));
        for (int start = 0; start < logits.length; start += BLOCK) {
            int end = Math.min(start + BLOCK, logits.length);
            float most = Float.NEGATIVE_INFINITY;
            float least = Float.POSITIVE_INFINITY;
            for (int i = start; i < end; i++) { // by itself, so that it is done on many at once
                most = Math.max(most, logits[i]);
                least = Math.min(least, logits[i]);
            }
            if (!(most <= highest.least))
                for (int i = start; i < end; i++) if (logits[i] > highest.least) highest.offer(i, logits[i]);
            if (!(-least <= lowest.least))
                for (int i = start; i < end; i++) if (-logits[i] > lowest.least) lowest.offer(i, -logits[i]);
        }
        int[] top = highest.found();
        int[] bottom = lowest.found();
        return new LogitsTable(top, at(logits, top), bottom, at(logits, bottom));
    }

    private static float[] at(float[] values, int[] indices) {
        float[] found = new float[indices.length];
        for (int i = 0; i < found.length; i++) found[i] = values[indices[i]];
        return found;
    }

    /** The places of the largest values, largest first; of equal ones those that come first. */
    static int[] largest(float[] values, int wanted) {
        Largest largest = new Largest(Math.min(wanted, values.length));
        for (int i = 0; i < values.length; i++) if (values[i] > largest.least) largest.offer(i, values[i]);
        return largest.found();
    }

    private static int[] largest(double[] values, int wanted) {
        Largest largest = new Largest(Math.min(wanted, values.length));
        for (int start = 0; start < values.length; start += BLOCK) {
            int end = Math.min(start + BLOCK, values.length);
            double most = Double.NEGATIVE_INFINITY;
            for (int i = start; i < end; i++) most = Math.max(most, values[i]);
            if (!(most <= largest.least))
                for (int i = start; i < end; i++) if (values[i] > largest.least) largest.offer(i, values[i]);
        }
        return largest.found();
    }

    /** Keeps the largest of those that are offered in order. */
    private static final class Largest {
        private final int[] places;
        private final double[] values;
        private int size;
        /** What is not greater need not be offered. */
        double least;

        Largest(int capacity) {
            places = new int[capacity];
            values = new double[capacity];
            least = capacity == 0 ? Double.POSITIVE_INFINITY : Double.NEGATIVE_INFINITY;
        }

        void offer(int place, double value) {
            int at = size < places.length ? size++ : size - 1;
            for (; at > 0 && values[at - 1] < value; at--) {
                values[at] = values[at - 1];
                places[at] = places[at - 1];
            }
            values[at] = value;
            places[at] = place;
            if (size == places.length) least = values[size - 1];
        }

        int[] found() {
            return Arrays.copyOf(places, size);
        }
    }

    /** What they are made of. */
    @Override
    public String toString() {
        return "Dashboards(" + rows() + " rows of " + context() + " tokens, " + dSae + " features)";
    }
}
