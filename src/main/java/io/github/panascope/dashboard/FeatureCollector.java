package io.github.panascope.dashboard;

import io.github.panascope.hub.InputException;
import io.github.panascope.lens.Forward;
import io.github.panascope.lens.HookNames;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.RowsAtOnce;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.RunInterruptedException;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Torch;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntConsumer;
import java.util.function.LongFunction;
import java.util.stream.LongStream;

/**
 * Runs a model over rows of tokens up to an SAE's hook point, encodes, and puts the features into a {@link FeatureStore}.
 *
 * <p>Rows run in blocks of eight, counted from row 0, each on one thread and always of the same shape (rows that are not wanted are filled in): so what comes out for a row
 * depends on that row, its number and the machine's instruction set, on nothing else. Several blocks run at once. While this runs, operators of the whole process use one
 * thread each.
 */
public final class FeatureCollector {
    private static final int ROWS_IN_BLOCK = 8;
    /** Features that are encoded together: a block's are then 2 MB, where all would be 100 MB. */
    private static final int FEATURES_IN_GROUP = 512;
    private static final int SAMPLED = 4096;
    private static final String KEPT = "features";
    private static final String ROWS_AT_ONCE = "rows at once";
    static final String COLLECTING = "collecting features";
    /** Numbers of a tensor up to which a fingerprint has all of it. */
    private static final long WHOLE = 1 << 17;
    private static final List<String> BLOCK_WEIGHTS = List.of("W_QKV", "b_QKV", "W_O", "b_O", "W_in", "b_in", "W_out", "b_out", "ln1_w", "ln1_b", "ln2_w", "ln2_b");

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
        this.buffers = ThreadLocal.withInitial(() -> new float[][] {new float[ROWS_IN_BLOCK * context * dIn], new float[ROWS_IN_BLOCK * context * FEATURES_IN_GROUP]});
        OptionalInt layer = HookNames.layer(hook);
        this.residualIsIt = layer.isPresent() && hook.equals("blocks." + layer.getAsInt() + ".hook_resid_pre");
        this.stopLayer = layer.isPresent() ? layer.getAsInt() + (residualIsIt ? 0 : 1) : hook.startsWith("ln_final") ? -1 : 0;
    }

    /**
     * What rows of this model and SAE are: for {@link FeatureStore#open}.
     *
     * @param sae  as it is run; dashboards show features after {@link Sae#foldWDecNorm}
     * @param text what the rows are made of, in words: dataset, tokenization
     */
    public static FeatureStore.Identity identity(HookedTransformer model, Sae sae, String text, int context) {
        return identity(model, sae, text, context, RowsAtOnce.on(model.device(), context));
    }

    /** The same for rows that {@link #collect} runs so many at once off the CPU. */
    public static FeatureStore.Identity identity(HookedTransformer model, Sae sae, String text, int context, int rowsAtOnce) {
        Map<String, String> entries = new LinkedHashMap<>();
        entries.put("model", model.name());
        entries.put("sae", sae.name());
        entries.put("hook", sae.config().hookName());
        entries.put("d_sae", Integer.toString(sae.config().dSae()));
        entries.put("dtype", sae.dtype().toString());
        entries.put("device", model.device().type().toString().toLowerCase(java.util.Locale.ROOT));
        // Whose products round as their shape has it; on the CPU it is always the same.
        if (!model.device().isCpu()) entries.put(ROWS_AT_ONCE, Integer.toString(rowsAtOnce));
        entries.put("text", text);
        entries.put("context", Integer.toString(context));
        entries.put("weights", fingerprint(model, sae));
        entries.put("operators", model.isExact() ? "exact" : "fused"); // whose last bits differ
        return new FeatureStore.Identity(entries);
    }

    /**
     * What rows are in a folder that keeps the chosen features alone, not all of the SAE: quicker to fill, as only these are encoded, but correlated features can then be
     * looked for among the chosen alone.
     *
     * @param all      as {@link #identity(HookedTransformer, Sae, String, int)} has it
     * @param features those that the folder is opened for
     */
    public static FeatureStore.Identity identityOfChosen(FeatureStore.Identity all, int[] features) {
        Map<String, String> entries = new LinkedHashMap<>(all.entries());
        int[] sorted = Arrays.stream(features).distinct().sorted().toArray();
        entries.put(KEPT, sorted.length + " chosen features, " + Integer.toHexString(Arrays.hashCode(sorted)));
        return new FeatureStore.Identity(entries);
    }

    /** Whether a folder keeps all features, not the chosen alone. */
    static boolean keepsAll(FeatureStore store) {
        return !store.identity().entries().containsKey(KEPT);
    }

    /**
     * SHA-256 of the weights and of what else decides about features: of small tensors every number, of large ones a sample, so that nothing large has to be read whole. A few
     * numbers that were changed inside a large one may go unnoticed.
     */
    private static String fingerprint(HookedTransformer model, Sae sae) {
        try (var _ = TensorScope.open()) {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            digest.update((sae.config().architecture() + " " + sae.config().k() + " " + sae.config().rescaleActsByDecoderNorm() + " " + sae.config().applyBDecToInput() + " " + sae.config().normalization() + " "
                    + sae.config().reshapeHookZ()).getBytes(java.nio.charset.StandardCharsets.UTF_8));
            List<Tensor> weights = new ArrayList<>();
            for (String name : sae.weightNames()) weights.add(sae.weight(name));
            for (String name : new String[] {"embed.W_E", "embed.W_pos"}) weights.add(model.weight(name));
            for (int layer = 0; layer < model.config().nLayers(); layer++) {
                for (String name : BLOCK_WEIGHTS) if (model.hasWeight("blocks_" + layer + "." + name)) weights.add(model.weight("blocks_" + layer + "." + name));
            }
            // Copied together: each copy waits for the device.
            float[] samples = Tensor.cat(0, weights.stream().map(FeatureCollector::sample).toArray(Tensor[]::new)).toFloats();
            for (float value : samples) {
                int bits = Float.floatToRawIntBits(value);
                for (int shift = 0; shift < 32; shift += 8) digest.update((byte) (bits >>> shift));
            }
            return HexFormat.of().formatHex(digest.digest(), 0, 16);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }

    /** Numbers of a weight, float32, on its device. */
    private static Tensor sample(Tensor weight) {
        long elements = weight.shape().elements(), step = elements <= WHOLE ? 1 : Math.max(1, elements / SAMPLED);
        long[] at = LongStream.iterate(0, i -> i < elements, i -> i + step).toArray();
        return weight.reshape(-1).indexSelect(0, Tensor.of(at, Shape.of(at.length), weight.device())).to(DType.FLOAT32);
    }

    /**
     * Collects the rows from first (inclusive) to end (exclusive) that a store lacks, shard by shard; each is on the disk when the next begins.
     *
     * @param row       the token ids of a row, {@code context} of them
     * @param shardRows rows in a shard at most
     * @param threads   blocks that run at once on the CPU
     * @param progress  told how many rows were collected, now and then
     * @throws io.github.panascope.torch.RunInterruptedException if the thread was interrupted; complete shards are on the disk
     */
    public static void collect(HookedTransformer model, Sae sae, FeatureStore store, LongFunction<int[]> row, long first, long end, int context, int shardRows, int threads, IntConsumer progress) {
        if (shardRows < 1 || threads < 1) throw new IllegalArgumentException("shards need at least one row and one thread, not " + shardRows + " and " + threads);
        if (!store.missing(first, end).isEmpty()) store.requireWritable();
        BitSet kept = keepsAll(store) ? null : new BitSet();
        if (kept != null) for (int feature : store.sums().features()) kept.set(feature);
        FeatureCollector collector = new FeatureCollector(model, sae, context, kept);
        if (!model.device().isCpu()) {
            int rowsInBlock = Integer.parseInt(store.identity().entries().get(ROWS_AT_ONCE));
            AtomicInteger collected = new AtomicInteger();
            DeviceCollector.collect(collector, sae, store, row, first, end, context, shardRows, rowsInBlock, kept, n -> progress.accept(collected.addAndGet(n)));
            return;
        }
        AtomicInteger done = new AtomicInteger();
        try (var _ = Torch.singleThreaded(); ExecutorService pool = Executors.newFixedThreadPool(threads, Thread.ofPlatform().daemon().name("panascope-collect-", 0).factory())) {
            try {
                for (long[] gap : store.missing(first, end)) {
                    for (long at = gap[0]; at < gap[1]; at += shardRows) collector.shard(pool, store, row, at, Math.min(gap[1], at + shardRows), n -> progress.accept(done.addAndGet(n)));
                }
            } finally {
                pool.shutdownNow(); // after an exception, what has not begun does not begin
            }
        }
    }

    private void shard(ExecutorService pool, FeatureStore store, LongFunction<int[]> row, long first, long end, IntConsumer progress) {
        NeuronSums sums = store.begin();
        List<Callable<ActivationShard.Part>> blocks = new ArrayList<>();
        for (long block = first / ROWS_IN_BLOCK; block * ROWS_IN_BLOCK < end; block++) {
            long start = block * ROWS_IN_BLOCK;
            blocks.add(() -> {
                int from = (int) Math.max(0, first - start), to = (int) Math.min(ROWS_IN_BLOCK, end - start);
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
        store.commit(first, end, parts, context);
    }

    /** Rows {@code from} to {@code to} of a block, with the others filled in. */
    private ActivationShard.Part block(LongFunction<int[]> row, long start, int from, int to, NeuronSums sums) {
        int positions = (to - from) * context, offset = from * context;
        long[] ids = new long[ROWS_IN_BLOCK * context];
        int[] tokens = new int[positions];
        for (int r = from; r < to; r++) {
            int[] own = row.apply(start + r);
            if (own.length != context) throw new IllegalArgumentException("row " + (start + r) + " has " + own.length + " tokens, not " + context);
            for (int i = 0; i < context; i++) {
                ids[r * context + i] = own[i];
                tokens[(r - from) * context + i] = own[i];
            }
        }
        try (var _ = TensorScope.open()) {
            Tensor activation = activation(Tensor.of(ids, Shape.of(ROWS_IN_BLOCK, context)));
            float[] y = buffers.get()[0], group = buffers.get()[1];
            sae.inputRows(activation).slice(0, offset, offset + positions).toFloats(y);
            Entries entries = new Entries(positions);
            sae.encodeInGroups(activation, FEATURES_IN_GROUP, first -> kept == null || kept.get(first, first + FEATURES_IN_GROUP).cardinality() > 0, (first, features) -> {
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
            throw new InputException("the activation at " + sae.config().hookName() + " is not finite at row " + (firstRow + t / context) + ", position " + t % context + ".");
        }
    }

    /** Sums over the positions of each row, in double precision and in order; rows are then added exactly. */
    private void addTo(NeuronSums sums, Entries entries, float[] y, int rows) {
        double[] sum = new double[dIn], squared = new double[dIn];
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
        for (int e = 0; e < entries.size;) { // by feature, then position: a row's entries of a feature lie together
            int feature = entries.features[e], place = sums.place(feature), r = entries.positions[e] / context;
            int end = e;
            while (end < entries.size && entries.features[end] == feature && entries.positions[end] / context == r) end++;
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
        private int[] features = new int[1 << 12], positions = new int[1 << 12];
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
                int f = places[e] % width, at = size + next[f]++;
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
            int[] counts = new int[positionCount], next = new int[positionCount];
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
