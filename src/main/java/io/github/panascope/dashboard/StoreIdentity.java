package io.github.panascope.dashboard;

import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.RowsAtOnce;
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
import java.util.Collections;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * What must be equal for rows to belong together: model, SAE, weights, text and how they were run.
 *
 * @param entries what it is, in words, by name
 */
public record StoreIdentity(Map<String, String> entries) {
    /** The entry of an identity that folders are named by. */
    private static final String HOOK = "hook";

    private static final String CONTEXT = "context";
    /** To be counted up when the same rows of the same model would come out otherwise, be it in the last bit. */
    private static final int ARITHMETIC = 1;

    private static final String KEPT = "features";
    private static final String ROWS_AT_ONCE = "rows at once";
    /** The entries that collecting needs. */
    static final Set<String> NEEDED = Set.of(CONTEXT, ROWS_AT_ONCE);

    private static final Set<String> AFTER_HOOKS = Set.of("unembed.W_U", "unembed.b_U");
    /** Numbers of a weight that one sum of its fingerprint has. */
    private static final int SUMMED = 1 << 12;
    /** How many of a weight are taken at once: 2 MB as int64, which stay in a processor's cache. */
    private static final int AT_ONCE = 1 << 18;

    private static final Op VIEW_AS = Op.of("aten::view", "dtype");

    /** Copies the entries, and keeps their order. */
    public StoreIdentity {
        entries = Collections.unmodifiableMap(new LinkedHashMap<>(entries));
    }

    /** For a folder: the hook, and a few digits of a hash of all. */
    String shortName(int[] features) {
        try {
            byte[] hash = MessageDigest.getInstance("SHA-256")
                    .digest((entries + Arrays.toString(features)).getBytes(StandardCharsets.UTF_8));
            return entries.getOrDefault(HOOK, "features").replaceAll("[^A-Za-z0-9._]", "_") + "-"
                    + HexFormat.of().formatHex(hash, 0, 4);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }

    String difference(StoreIdentity other) {
        Set<String> keys = new TreeSet<>(entries.keySet());
        keys.addAll(other.entries.keySet());
        return keys.stream()
                .filter(key -> !Objects.equals(entries.get(key), other.entries.get(key)))
                .map(key -> key + " is " + other.entries.get(key) + " there and " + entries.get(key) + " here")
                .collect(Collectors.joining(", "));
    }

    /**
     * What rows of this model and SAE are: for {@link FeatureStore#open}.
     *
     * @param sae  as it is run; dashboards show features after {@link Sae#foldWDecNorm}
     * @param text what the rows are made of, in words: dataset, tokenization
     */
    public static StoreIdentity of(HookedTransformer model, Sae sae, String text, int context) {
        return of(model, sae, text, context, RowsAtOnce.on(model.device(), context));
    }

    /**
     * The same for rows that {@link FeatureCollector.Run#collect} runs so many at once off the CPU. It has all that the
     * numbers depend on: every field of both configurations, every weight up to the last hook point, the tokenizer, how
     * and on what the rows run, and the versions of the arithmetic.
     *
     * @throws IllegalArgumentException if the model has hooks, which nothing here could tell from others
     */
    public static StoreIdentity of(HookedTransformer model, Sae sae, String text, int context, int rowsAtOnce) {
        if (!model.isPlain())
            throw new IllegalArgumentException(
                    "features of a model with hooks cannot be kept: nothing tells these hooks from others");
        Map<String, String> entries = new LinkedHashMap<>();
        entries.put(HOOK, sae.config().hookName());
        entries.put("text", text);
        entries.put(CONTEXT, Integer.toString(context));
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
        entries.put(ROWS_AT_ONCE, Integer.toString(device.isCpu() ? FeatureCollector.ROWS_IN_BLOCK : rowsAtOnce));
        entries.put("arithmetic", ARITHMETIC + ", libtorch " + Torch.version());
        return new StoreIdentity(entries);
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
     * The identity of a folder that keeps the chosen features alone, not all of the SAE: quicker to fill, as only these
     * are encoded, but correlated features can then be looked for among the chosen alone.
     *
     * @param features those that the folder is opened for
     */
    public StoreIdentity ofChosen(int[] features) {
        Map<String, String> entries = new LinkedHashMap<>(this.entries);
        entries.put(
                KEPT,
                Arrays.stream(features)
                        .distinct()
                        .sorted()
                        .mapToObj(Integer::toString)
                        .collect(Collectors.joining(",")));
        return new StoreIdentity(entries);
    }

    /** Whether a folder keeps all features, not the chosen alone. */
    boolean keepsAll() {
        return !entries.containsKey(KEPT);
    }

    /** Tokens in a row. */
    int context() {
        return Integer.parseInt(entries.get(CONTEXT));
    }

    /** Rows that ran together, where that changes last bits. */
    int rowsAtOnce() {
        return Integer.parseInt(entries.get(ROWS_AT_ONCE));
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
}
