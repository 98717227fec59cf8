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
 * The identity of rows: model, SAE, weights, text, and how they were run. A {@link FeatureStore} holds only rows of one
 * identity.
 *
 * @param entries the parts of the identity as text, by name, in order
 */
public record StoreIdentity(Map<String, String> entries) {
    /** The entry of an identity that the names of folders begin with. */
    private static final String HOOK = "hook";

    private static final String CONTEXT = "context";
    /**
     * The version of the arithmetic. It is incremented when a change of the code changes the features of unchanged
     * rows, even in the last bit.
     */
    private static final int ARITHMETIC = 1;

    private static final String KEPT = "features";
    private static final String ROWS_AT_ONCE = "rows at once";
    /** The entries that {@link FeatureCollector} needs. */
    static final Set<String> NEEDED = Set.of(CONTEXT, ROWS_AT_ONCE);

    private static final Set<String> AFTER_HOOKS = Set.of("unembed.W_U", "unembed.b_U");
    /** The number of a weight's elements that one sum of its fingerprint covers. */
    private static final int SUMMED = 1 << 12;
    /** The number of a weight's elements that are read at once: 2 MB as int64, which stay in a processor's cache. */
    private static final int AT_ONCE = 1 << 18;
    /**
     * The number of elements from which a weight is read through one piece of memory. New memory for each piece would
     * not be reused, because the sums that stay lie in between: 8 bytes for each element.
     */
    private static final int LARGE = 1 << 24;

    private static final Op VIEW_AS = Op.of("aten::view", "dtype");

    /** Copies the entries and keeps their order. */
    public StoreIdentity {
        entries = Collections.unmodifiableMap(new LinkedHashMap<>(entries));
    }

    /** {@return a name for a folder: the hook point, and a few digits of a hash of the identity and the features} */
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
     * Describes rows of a model and an SAE with the default number of rows per batch, for {@link FeatureStore#open}.
     *
     * @param model   the model
     * @param sae     the SAE in the form in which it runs; dashboards show features after {@link Sae#foldWDecNorm}
     * @param text    a description of the text and how rows are made of it: dataset, tokenization
     * @param context the number of tokens in a row
     * @return the identity
     * @throws IllegalArgumentException if the model has hooks, because an identity cannot describe them
     */
    public static StoreIdentity of(HookedTransformer model, Sae sae, String text, int context) {
        return of(model, sae, text, context, RowsAtOnce.on(model.device(), context));
    }

    /**
     * Describes rows of a model and an SAE. The identity contains everything that the numbers depend on: every field of
     * both configurations, every weight up to the last hook point, the tokenizer, the device, the number of rows that
     * run together, and the versions of the arithmetic.
     *
     * @param model      the model
     * @param sae        the SAE in the form in which it runs; dashboards show features after {@link Sae#foldWDecNorm}
     * @param text       a description of the text and how rows are made of it: dataset, tokenization
     * @param context    the number of tokens in a row
     * @param rowsAtOnce the number of rows that {@link FeatureCollector.Run#collect} runs together on a GPU; not used
     *     on the CPU
     * @return the identity
     * @throws IllegalArgumentException if the model has hooks, because an identity cannot describe them
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
        // The rounding of a product depends on its shape.
        entries.put(ROWS_AT_ONCE, Integer.toString(device.isCpu() ? FeatureCollector.ROWS_IN_BLOCK : rowsAtOnce));
        entries.put("arithmetic", ARITHMETIC + ", libtorch " + Torch.version());
        return new StoreIdentity(entries);
    }

    /** {@return the name of the kind of operators; the kinds differ in the last bits} */
    private static String operators(boolean exact) {
        return exact ? "exact" : "fused";
    }

    /**
     * Puts every component of a record, and of the records in it, under its name. The components are read by
     * reflection, so that a new one cannot be forgotten.
     */
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
                                : String.valueOf(value)); // the order of a Map may vary
        }
    }

    /**
     * Returns the identity of a folder that keeps only chosen features. It is filled faster, because only these are
     * encoded, but correlated features can then only be chosen among them.
     *
     * @param features the features for which the folder is opened, in any order
     * @return the identity
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

    /** {@return whether a folder keeps all features, not only chosen ones} */
    boolean keepsAll() {
        return !entries.containsKey(KEPT);
    }

    /** {@return the number of tokens in a row} */
    int context() {
        return Integer.parseInt(entries.get(CONTEXT));
    }

    /** {@return the number of rows that run together} */
    int rowsAtOnce() {
        return Integer.parseInt(entries.get(ROWS_AT_ONCE));
    }

    /**
     * Computes a SHA-256 over the names, shapes and dtypes of all weights except those after the last hook point, and
     * over sums of their bits. The sums are computed on the weights' device, so that few bytes are copied.
     */
    private static String fingerprint(HookedTransformer model, Sae sae) {
        // On a busy machine, threads that wait for each other at every small piece take many times longer.
        try (var _ = Torch.singleThreaded();
                var _ = TensorScope.open()) {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            Tensor factors = Tensor.of(
                    new SplittableRandom(0)
                            .longs(SUMMED)
                            .map(factor -> factor | 1)
                            .toArray(),
                    Shape.of(SUMMED),
                    model.device());
            List<Tensor> sums = new ArrayList<>();
            for (String name : model.weightNames()) {
                if (AFTER_HOOKS.contains(name)) continue;
                // Some weights are computed for this call, so each is freed before the next.
                try (var _ = TensorScope.open()) {
                    sums.add(sums("model " + name, model.weight(name), factors, digest)
                            .promote());
                }
            }
            for (String name : sae.weightNames()) sums.add(sums("sae " + name, sae.weight(name), factors, digest));
            // All sums are copied together, because each copy waits for the device.
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
     * Puts a weight's name, shape and dtype into a digest, and computes sums of its bits, modulo 2^64, in which each
     * element has its own factor. Factors are odd, so that a change of a single element always changes a sum.
     *
     * @return int64, one sum for each {@link #SUMMED} elements, on the weight's device, in the innermost scope
     */
    private static Tensor sums(String name, Tensor weight, Tensor factors, MessageDigest digest) {
        digest.update((name + " " + weight.shape() + " " + weight.dtype() + "\n").getBytes(StandardCharsets.UTF_8));
        try (var _ = TensorScope.open()) {
            Tensor bits = VIEW_AS.tensor(
                    weight.contiguous().reshape(-1), weight.dtype() == DType.BFLOAT16 ? DType.INT16 : DType.INT32);
            List<Tensor> sums = new ArrayList<>();
            long elements = bits.shape().elements();
            Tensor memory = elements < LARGE ? null : Tensor.empty(DType.INT64, Shape.of(AT_ONCE), bits.device());
            long whole = elements / SUMMED * SUMMED;
            for (long start = 0; start < whole; start += AT_ONCE) {
                sums.add(products(bits.slice(0, start, Math.min(whole, start + AT_ONCE)), SUMMED, factors, memory));
            }
            if (whole < elements)
                sums.add(products(
                        bits.slice(0, whole, elements),
                        elements - whole,
                        factors.slice(0, 0, elements - whole),
                        memory));
            return Tensor.cat(0, sums.toArray(Tensor[]::new)).promote();
        }
    }

    /**
     * Computes the sums of bits times factors, each over {@code width} elements.
     *
     * @param memory int64, at least as many elements as there are bits, which is overwritten; null for new memory
     */
    private static Tensor products(Tensor bits, long width, Tensor factors, Tensor memory) {
        try (var _ = TensorScope.open()) {
            Tensor values = memory == null
                    ? bits.to(DType.INT64)
                    : memory.slice(0, 0, bits.size(0)).copy_(bits);
            return values.reshape(-1, width).mul_(factors).sum(-1, false).promote();
        }
    }
}
