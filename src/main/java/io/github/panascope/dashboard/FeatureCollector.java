package io.github.panascope.dashboard;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import io.github.panascope.lens.Forward;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.RowsAtOnce;
import io.github.panascope.model.HookPoint;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Op;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Torch;
import java.lang.reflect.RecordComponent;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntConsumer;
import java.util.function.LongFunction;
import java.util.stream.Collectors;

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
    private static final int ROWS_IN_BLOCK = 8;
    /** Features that are encoded together: a block's are then 2 MB, where all would be 100 MB. */
    private static final int FEATURES_IN_GROUP = 512;
    /** To be counted up when the same rows of the same model would come out otherwise, be it in the last bit. */
    private static final int ARITHMETIC = 1;

    private static final String KEPT = "features";
    private static final String ROWS_AT_ONCE = "rows at once";
    static final String COLLECTING = "collecting features";
    private static final Set<String> AFTER_HOOKS = Set.of("unembed.W_U", "unembed.b_U");
    /** Numbers of a weight that one sum of its fingerprint has. */
    private static final int SUMMED = 1 << 12;
    /** How many of a weight are taken at once: 2 MB as int64, which stay in a processor's cache. */
    private static final int AT_ONCE = 1 << 18;

    private static final Op VIEW_AS = Op.of("aten::view", "dtype");

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

    /**
     * What rows of this model and SAE are: for {@link FeatureStore#open}.
     *
     * @param sae  as it is run; dashboards show features after {@link Sae#foldWDecNorm}
     * @param text what the rows are made of, in words: dataset, tokenization
     */
    public static FeatureStore.Identity identity(HookedTransformer model, Sae sae, String text, int context) {
        return identity(model, sae, text, context, RowsAtOnce.on(model.device(), context));
    }

    /**
     * The same for rows that {@link #collect} runs so many at once off the CPU. It has all that the numbers depend on:
     * every field of both configurations, every weight up to the last hook point, the tokenizer, how and on what the
     * rows run, and the versions of the arithmetic.
     *
     * @throws IllegalArgumentException if the model has hooks, which nothing here could tell from others
     */
    public static FeatureStore.Identity identity(
            HookedTransformer model, Sae sae, String text, int context, int rowsAtOnce) {
        if (!model.isPlain())
            throw new IllegalArgumentException(
                    "features of a model with hooks cannot be kept: nothing tells these hooks from others");
        Map<String, String> entries = new LinkedHashMap<>();
        entries.put(FeatureStore.HOOK, sae.config().hookName());
        entries.put("text", text);
        entries.put("context", Integer.toString(context));
        entries.put("tokenizer", model.tokenizer().fingerprint());
        entries.put("model", model.name());
        putFields("model", model.config(), entries);
        entries.put("model.operators", operators(model.isExact()));
        entries.put("sae", sae.name());
        putFields("sae", sae.config(), entries);
        entries.put("sae.dtype", sae.dtype().toString());
        entries.put("sae.operators", operators(sae.isExact()));
        entries.put("weights", fingerprint(model, sae));
        Device device = model.device();
        entries.put(
                "device",
                device.type().toString().toLowerCase(Locale.ROOT) + " "
                        + (device.isCpu()
                                ? Torch.cpuCapability()
                                : device.describe().name()));
        // Products round as their shape has it.
        entries.put(ROWS_AT_ONCE, Integer.toString(device.isCpu() ? ROWS_IN_BLOCK : rowsAtOnce));
        entries.put("arithmetic", ARITHMETIC + ", libtorch " + Torch.version());
        return new FeatureStore.Identity(entries);
    }

    /** Whose last bits differ. */
    private static String operators(boolean exact) {
        return exact ? "exact" : "fused";
    }

    /** Puts every component of a record, and of the records in it, under its name: a new one cannot be forgotten. */
    static void putFields(String prefix, Record fields, Map<String, String> entries) {
        for (RecordComponent component : fields.getClass().getRecordComponents()) {
            String name = prefix + "." + component.getName();
            Object value;
            try {
                value = component.getAccessor().invoke(fields);
            } catch (ReflectiveOperationException e) {
                throw new IllegalStateException("the fields of public records can be read", e);
            }
            if (value instanceof Record inner) putFields(name, inner, entries);
            else
                entries.put(
                        name,
                        value instanceof Map<?, ?> map
                                ? new TreeMap<>(map).toString()
                                : String.valueOf(value)); // a Map's own order is another each time
        }
    }

    /**
     * What rows are in a folder that keeps the chosen features alone, not all of the SAE: quicker to fill, as only
     * these are encoded, but correlated features can then be looked for among the chosen alone.
     *
     * @param all      as {@link #identity(HookedTransformer, Sae, String, int)} has it
     * @param features those that the folder is opened for
     */
    public static FeatureStore.Identity identityOfChosen(FeatureStore.Identity all, int[] features) {
        Map<String, String> entries = new LinkedHashMap<>(all.entries());
        entries.put(
                KEPT,
                Arrays.stream(features)
                        .distinct()
                        .sorted()
                        .mapToObj(Integer::toString)
                        .collect(Collectors.joining(",")));
        return new FeatureStore.Identity(entries);
    }

    /** Whether a folder keeps all features, not the chosen alone. */
    static boolean keepsAll(FeatureStore store) {
        return !store.identity().entries().containsKey(KEPT);
    }

    /**
     * SHA-256 of all weights but those that come after every hook point: of their names, shapes and dtypes, and of sums
     * that are made where they lie, so that little has to be read.
     */
    private static String fingerprint(HookedTransformer model, Sae sae) {
        try (var _ = TensorScope.open()) {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            Map<String, Tensor> weights = new LinkedHashMap<>();
            for (String name : model.weightNames())
                if (!AFTER_HOOKS.contains(name))
                    weights.put("model " + name, model.weight(name).contiguous());
            for (String name : sae.weightNames()) weights.put("sae " + name, sae.weight(name));
            Tensor factors = Tensor.of(
                    new SplittableRandom(0)
                            .longs(SUMMED)
                            .map(factor -> factor | 1)
                            .toArray(),
                    Shape.of(SUMMED),
                    model.device());
            List<Tensor> sums = new ArrayList<>();
            weights.forEach((name, weight) -> {
                digest.update(
                        (name + " " + weight.shape() + " " + weight.dtype() + "\n").getBytes(StandardCharsets.UTF_8));
                sums.add(sums(weight, factors));
            });
            // Copied together: each copy waits for the device.
            long[] all = Tensor.cat(0, sums.toArray(Tensor[]::new)).toLongs();
            ByteBuffer bytes = ByteBuffer.allocate(all.length * Long.BYTES);
            bytes.asLongBuffer().put(all);
            digest.update(bytes);
            return HexFormat.of().formatHex(digest.digest(), 0, 16);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }

    /**
     * Sums of the bits of a weight, each number's times a factor of its own, modulo 2^64: int64, one of {@link #SUMMED}
     * numbers, on the weight's device. Factors are odd, so that a number that differs is seen for certain.
     */
    private static Tensor sums(Tensor weight, Tensor factors) {
        try (var _ = TensorScope.open()) {
            Tensor bits = VIEW_AS.tensor(
                    weight.contiguous().reshape(-1), weight.dtype() == DType.BFLOAT16 ? DType.INT16 : DType.INT32);
            List<Tensor> sums = new ArrayList<>();
            long elements = bits.shape().elements();
            long whole = elements / SUMMED * SUMMED;
            for (long start = 0; start < whole; start += AT_ONCE) {
                sums.add(products(
                        bits.slice(0, start, Math.min(whole, start + AT_ONCE)).reshape(-1, SUMMED), factors));
            }
            if (whole < elements)
                sums.add(
                        products(bits.slice(0, whole, elements).reshape(1, -1), factors.slice(0, 0, elements - whole)));
            return Tensor.cat(0, sums.toArray(Tensor[]::new)).promote();
        }
    }

    private static Tensor products(Tensor bits, Tensor factors) {
        try (var _ = TensorScope.open()) {
            return bits.to(DType.INT64).mul_(factors).sum(-1, false).promote();
        }
    }

    /**
     * Collects the rows from first (inclusive) to end (exclusive) that a store lacks, shard by shard; each is on the
     * disk when the next begins.
     *
     * @param row       the token ids of a row, {@code context} of them
     * @param shardRows rows in a shard at most
     * @param threads   blocks that run at once on the CPU
     * @param progress  told how many rows were collected, now and then
     * @throws io.github.panascope.RunInterruptedException if the thread was interrupted; complete shards are on
     *     the disk
     */
    public static void collect(
            HookedTransformer model,
            Sae sae,
            FeatureStore store,
            LongFunction<int[]> row,
            long first,
            long end,
            int context,
            int shardRows,
            int threads,
            IntConsumer progress) {
        if (shardRows < 1 || threads < 1)
            throw new IllegalArgumentException(
                    "shards need at least one row and one thread, not " + shardRows + " and " + threads);
        if (first < 0 || end < first)
            throw new IllegalArgumentException("rows from " + first + " to " + end + " are none");
        String contextOfStore = store.identity().entries().get("context");
        if (!Integer.toString(context).equals(contextOfStore))
            throw new IllegalArgumentException(
                    "the store is for rows of " + contextOfStore + " tokens, not of " + context);
        if (!store.missing(first, end).isEmpty()) store.requireWritable();
        BitSet kept = keepsAll(store) ? null : new BitSet();
        if (kept != null) for (int feature : store.sums().features()) kept.set(feature);
        FeatureCollector collector = new FeatureCollector(model, sae, context, kept);
        if (!model.device().isCpu()) {
            int rowsInBlock = Integer.parseInt(store.identity().entries().get(ROWS_AT_ONCE));
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
        NeuronCorrelationSums sums = store.begin();
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
        store.commit(first, end, parts, context);
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
