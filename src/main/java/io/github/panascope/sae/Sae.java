package io.github.panascope.sae;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import io.github.panascope.hub.Hub;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.internal.AtomicFile;
import io.github.panascope.lens.Attachment;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.Safetensors;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.IntPredicate;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A sparse autoencoder. Immutable, safe to use from many threads at once; owns its weights until it is closed. Results
 * belong to the caller's innermost {@link TensorScope}.
 *
 * <p>Activations are [..., d_in] (or [..., head, d_head] at attn.hook_z), features [..., d_sae]; both in the SAE's
 * dtype and on its device. The formulas are those of SAELens 6.
 */
public final class Sae implements AutoCloseable {
    /**
     * How an SAE is loaded: the defaults, and what should be otherwise, as in
     * {@code Options.DEFAULT.device(Device.CUDA).dtype(DType.BFLOAT16)}.
     *
     * @param device   where the weights go
     * @param dtype    float32 or bfloat16
     * @param exact    whether it decodes as {@link Sae#exact} does
     * @param hub      where files come from that are not on this machine; null for the hub as the environment describes
     *     it
     * @param registry the releases that are known by name; null for those that the jar carries
     */
    public record Options(
            Device device,
            DType dtype,
            boolean exact,
            @Nullable Hub hub,
            @Nullable SaeRegistry registry) {
        /** On the CPU in float32. */
        public static final Options DEFAULT = new Options(Device.CPU, DType.FLOAT32, false, null, null);

        /** Checks the dtype. */
        public Options {
            if (dtype != DType.FLOAT32 && dtype != DType.BFLOAT16)
                throw new IllegalArgumentException("an SAE runs in float32 or bfloat16, not " + dtype);
        }

        /** These options with the weights on another device. */
        public Options device(Device other) {
            return new Options(other, dtype, exact, hub, registry);
        }

        /** These options with weights of another dtype, float32 or bfloat16. */
        public Options dtype(DType other) {
            return new Options(device, other, exact, hub, registry);
        }

        /** These options for an SAE that decodes by the whole product, or does not. */
        public Options exact(boolean other) {
            return new Options(device, dtype, other, hub, registry);
        }

        /** These options with another hub. */
        public Options hub(Hub other) {
            return new Options(device, dtype, exact, other, registry);
        }

        /** These options with other releases. */
        public Options registry(SaeRegistry other) {
            return new Options(device, dtype, exact, hub, other);
        }
    }

    private final String name;

    private final SaeConfig config;
    private final List<String> skippedKeys;
    private final List<String> advice;
    private final Map<String, Tensor> weights;
    private final SaeFunction function;
    private final Tensor logSparsity;
    private final DType dtype;
    private final Device device;
    private final boolean exact;
    /** Whether this is another SAE seen in another way, which owns nothing. */
    private final boolean view;

    private final TensorScope scope;

    /** Takes the weights, of any scope, into its own. */
    Sae(
            String name,
            SaeConfig config,
            List<String> skippedKeys,
            List<String> advice,
            Map<String, Tensor> weights,
            Tensor logSparsity,
            DType dtype,
            Device device,
            TensorScope scope) {
        this.name = name;
        this.config = config;
        this.skippedKeys = List.copyOf(skippedKeys);
        this.advice = List.copyOf(advice);
        Map<String, Tensor> kept = new LinkedHashMap<>();
        weights.forEach((key, tensor) -> kept.put(key, scope.adopt(tensor.to(device))));
        this.weights = Collections.unmodifiableMap(kept);
        this.function = SaeFunction.of(config, kept, scope::adopt);
        this.logSparsity = logSparsity;
        this.dtype = dtype;
        this.device = device;
        this.exact = false;
        this.view = false;
        this.scope = scope;
    }

    /** Another way to see an SAE: a view, or what takes its place and frees its weights. */
    Sae(Sae other, boolean exact, boolean view) {
        this.name = other.name;
        this.config = other.config;
        this.skippedKeys = other.skippedKeys;
        this.advice = other.advice;
        this.weights = other.weights;
        this.function = exact ? other.function.exact() : other.function;
        this.logSparsity = other.logSparsity;
        this.dtype = other.dtype;
        this.device = other.device;
        this.exact = exact;
        this.view = view;
        this.scope = other.scope;
    }

    /**
     * This SAE decoding as SAELens does, by the product with all of W_dec where otherwise only the active features'
     * rows are added, and encoding step by step in bfloat16 too: slower, and the same but for rounding. A view: it
     * shares the weights, needs no closing, and can be used as long as this SAE.
     */
    public Sae exact() {
        return new Sae(this, true, true);
    }

    /** Whether it decodes as {@link #exact} does. */
    public boolean isExact() {
        return exact;
    }

    /** The form to decode from; null to take them all. */
    private SparseFeatures sparse(Tensor features) {
        return exact ? null : SparseFeatures.of(features);
    }

    /** Decoded rows [n, d_out], on the normalised scale, of features [n, d_sae]. */
    Tensor decodeRows(Tensor features) {
        return function.decode(features, sparse(features));
    }

    /**
     * Loads an SAE: RELEASE/SAE_ID of the registry ({@code gpt2-small-res-jb/blocks.8.hook_resid_pre}), OWNER/REPO/PATH
     * of a folder on the hub, or a folder here that holds {@code cfg.json} and {@code sae_weights.safetensors}. Weights
     * are mapped from their file, without a copy where dtype and device allow it.
     *
     * @throws InputException if there is no such SAE, or its files cannot be used
     */
    public static Sae fromPretrained(String name, Options options) {
        return SaeLoader.fromPretrained(name, options);
    }

    /** Loads an SAE with {@link Options#DEFAULT}; see {@link #fromPretrained(String, Options)}. */
    public static Sae fromPretrained(String name) {
        return fromPretrained(name, Options.DEFAULT);
    }

    /**
     * Brings an SAE's files onto this machine and checks its configuration, without loading it: {@link #fromPretrained}
     * then needs no network.
     *
     * @return the files, the weights last
     * @throws InputException as {@link #fromPretrained} does
     */
    public static List<Path> fetch(String name, Hub hub, SaeRegistry registry) {
        SaeFiles files = SaeFiles.find(name, hub, registry);
        return Stream.concat(files.sparsity().stream(), Stream.of(files.weights()))
                .toList();
    }

    /** Whether an SAE of the registry belongs to a GPT-2 and is published in a layout that is understood here. */
    public static boolean supports(SaeRegistry.Entry sae) {
        return HookedTransformer.isKnown(sae.model()) && SaeFiles.LOADERS.contains(sae.loader());
    }

    /**
     * Features [..., d_sae] of activations, before any exclusion; a feature is active where it is greater than 0.
     *
     * @throws IllegalArgumentException if the last dimension is not d_in
     */
    public Tensor encode(Tensor activations) {
        try (var _ = TensorScope.open()) {
            Tensor rows = rows(activations);
            Tensor features =
                    function.encode(prepared(config.normalization().apply(rows).rows()));
            return reshape(features, leading(activations), config.dSae()).promote();
        }
    }

    /** Receives the features of one group after the other. */
    @FunctionalInterface
    public interface FeatureGroup {
        /** Features from {@code first} on of all rows, [n, group]; they end with the call. */
        void accept(int first, Tensor features);
    }

    /**
     * {@link #encode} a group of consecutive features at a time, so that all of them are never held at once (but for
     * topk, which has to see all). A group's numbers do not depend on the others.
     *
     * @param activations [..., d_in], whose leading dimensions are laid flat
     * @param size        of a group; the last may be smaller
     */
    public void encodeInGroups(Tensor activations, int size, FeatureGroup consumer) {
        encodeInGroups(activations, size, first -> true, consumer);
    }

    /** The same, without the groups that nobody wants. */
    public void encodeInGroups(Tensor activations, int size, IntPredicate wanted, FeatureGroup consumer) {
        if (size < 1) throw new IllegalArgumentException("a group should have at least 1 feature, not " + size);
        Objects.requireNonNull(consumer, "encodeInGroups needs a consumer of the groups");
        try (var _ = TensorScope.open()) {
            Tensor prepared =
                    prepared(config.normalization().apply(rows(activations)).rows());
            Tensor all = null;
            for (int first = 0; first < config.dSae(); first += size) {
                int end = Math.min(config.dSae(), first + size);
                if (!wanted.test(first)) continue;
                RunInterruptedException.check("encoding");
                try (var _ = TensorScope.open()) {
                    Tensor group = all == null ? function.encode(prepared, first, end) : all.slice(1, first, end);
                    if (group != null) {
                        consumer.accept(first, group);
                        continue;
                    }
                }
                all = function.encode(prepared);
                first -= size; // again, from all
            }
        }
    }

    /** Activations as this SAE reads them before it normalises them: [n, d_in] in its dtype, heads side by side. */
    public Tensor inputRows(Tensor activations) {
        return rows(activations);
    }

    /**
     * Activations [..., d_out] of features [..., d_sae]. Where the SAE normalises its input, this is on the normalised
     * scale: {@link #reconstruct} knows the input and puts its scale back. A skip transcoder's skip connection needs
     * the input too. At attn.hook_z the heads stay side by side.
     */
    public Tensor decode(Tensor features) {
        if (features.shape().rank() == 0 || features.size(-1) != config.dSae())
            throw new IllegalArgumentException(
                    "the SAE has " + config.dSae() + " features, but " + features + " was given");
        if (features.dtype() != dtype && !features.dtype().isFloatingPoint())
            throw new IllegalArgumentException("features should be " + dtype + ", not " + features.dtype());
        try (var _ = TensorScope.open()) {
            long[] leading =
                    Arrays.copyOf(features.shape().sizes(), features.shape().rank() - 1);
            return reshape(decodeRows(features.reshape(-1, config.dSae())), leading, config.dOut())
                    .promote();
        }
    }

    /**
     * What the SAE makes of activations, in their shape: decode(encode(x)), with normalisation undone; a transcoder's
     * output is [..., d_out].
     */
    public Tensor reconstruct(Tensor activations) {
        try (var _ = TensorScope.open()) {
            return encodeAndReconstruct(activations).reconstruction().promote();
        }
    }

    /**
     * Features of activations, and what the SAE makes of them.
     *
     * @param features       [n, d_sae], the activations' leading dimensions laid flat
     * @param reconstruction in the activations' shape
     * @param active         int64 [n]: how many features are active at each
     */
    public record Encoded(Tensor features, Tensor reconstruction, Tensor active) {}

    /** Both at once, encoding once. */
    public Encoded encodeAndReconstruct(Tensor activations) {
        try (var _ = TensorScope.open()) {
            Tensor rows = rows(activations);
            Normalization.Normalized normalized = config.normalization().apply(rows);
            Tensor features = function.encode(prepared(normalized.rows()));
            SparseFeatures sparse = sparse(features);
            Tensor active = sparse != null
                    ? Tensor.of(sparse.counts(), Shape.of(rows.size(0)))
                    : features.gt(0).sum(-1, false);
            return new Encoded(
                    features.promote(),
                    output(function.decode(features, sparse), rows, normalized, activations)
                            .promote(),
                    active.promote());
        }
    }

    /**
     * What the SAE makes of activations after somebody changed their features, plus what it fails to reconstruct
     * (SAELens's {@code use_error_term}): decode(edit(f)) + x - decode(f). Without a change this is x itself.
     *
     * @param edit gets the features [n, d_sae] of activations whose leading dimensions are laid flat; gives the new
     *     ones
     * @throws IllegalStateException for a transcoder, whose output is no reconstruction of its input
     */
    public Tensor reconstructWithErrorTerm(Tensor activations, UnaryOperator<Tensor> edit) {
        if (config.architecture().isTranscoder())
            throw new IllegalStateException(
                    "SAE " + name + " is a transcoder: the difference of its output and its input is no error");
        try (var _ = TensorScope.open()) {
            Tensor rows = rows(activations);
            Normalization.Normalized normalized = config.normalization().apply(rows);
            Tensor features = function.encode(prepared(normalized.rows()));
            Tensor error = activations.to(dtype).sub(output(decodeRows(features), rows, normalized, activations));
            return output(decodeRows(edit.apply(features.copy())), rows, normalized, activations)
                    .add(error)
                    .promote();
        }
    }

    /** The names of the six hook points inside an SAE, as SAELens calls them, in the order in which it reaches them. */
    public static final List<String> INNER_HOOK_POINTS = List.of(
            "hook_sae_input",
            "hook_sae_acts_pre",
            "hook_sae_acts_post",
            "hook_sae_recons",
            "hook_sae_error",
            "hook_sae_output");

    /**
     * This SAE for one run, {@code model.forward(tokens).attach(sae.attachment(...))}, with its
     * {@link #INNER_HOOK_POINTS} as hook points of the run: the name of the point that it writes, a dot, and theirs. As
     * in SAELens's HookedSAETransformer, hook_sae_error is reached only with the error term, and is that of the SAE
     * without hooks, so that a change of features is not made up for.
     *
     * @param useErrorTerm         whether what the SAE fails to reconstruct is added, so that without a change nothing
     *     changes
     * @param excludedTokens       token ids at whose positions the model keeps its own activation; SAELens's
     *     exclude_special_tokens is {@code model.tokenizer().endOfText()}
     */
    public Attachment attachment(boolean useErrorTerm, int... excludedTokens) {
        return new SaeAttachment(this, useErrorTerm, excludedTokens).attachment();
    }

    /**
     * Hooks that set features to zero at every position, for a run to which this SAE is {@link #attachment attached}.
     */
    public Hooks ablation(int... features) {
        requireFeatures(features);
        long[] indices = Arrays.stream(features).asLongStream().toArray();
        return Hooks.at(
                config.hookNameOut() + ".hook_sae_acts_post",
                (activations, hook) -> activations.indexFill(
                        -1, Tensor.of(indices, Shape.of(indices.length)).to(device), 0));
    }

    /**
     * Hooks that add a feature's direction to what this SAE writes, at every position: coefficient · W_dec[feature].
     *
     * @throws IndexOutOfBoundsException if there is no such feature
     */
    public Hooks steering(int feature, double coefficient) {
        requireFeatures(feature);
        return Hooks.at(config.hookNameOut(), (activation, hook) -> {
            Tensor direction = weights.get("W_dec").select(0, feature).mul(coefficient);
            if (activation.size(-1) != config.dOut())
                direction = direction.reshape(
                        activation.size(-2), activation.size(-1)); // at hook_z, heads lie side by side
            return activation.add(direction.to(activation.dtype()));
        });
    }

    /**
     * The logit lens of features: what each one's direction adds to the logits, W_dec[features] · W_U, [features,
     * d_vocab]. Meaningful where this SAE writes to the residual stream.
     *
     * @throws IndexOutOfBoundsException if there is no such feature
     */
    public Tensor logitLens(HookedTransformer model, int... features) {
        requireFeatures(features);
        try (var _ = TensorScope.open()) {
            Tensor chosen = Tensor.of(Arrays.stream(features).asLongStream().toArray(), Shape.of(features.length))
                    .to(device);
            return weights.get("W_dec")
                    .indexSelect(0, chosen)
                    .matmul(model.weight("unembed.W_U").to(dtype))
                    .promote();
        }
    }

    /**
     * Decoded features on the scale of the rows they came from, in the shape of the activations that those came from.
     */
    private Tensor output(Tensor decoded, Tensor rows, Normalization.Normalized normalized, Tensor activations) {
        Tensor output = denormalized(decoded, rows, normalized);
        return config.architecture().isTranscoder()
                ? reshape(output, leading(activations), config.dOut())
                : output.reshape(activations.shape().sizes());
    }

    /** Decoded rows on the scale of what was read; a transcoder's with its skip connection. */
    Tensor denormalized(Tensor decoded, Tensor rows, Normalization.Normalized normalized) {
        if (!config.architecture().isTranscoder()) return config.normalization().undo(decoded, normalized);
        return weights.containsKey("W_skip")
                ? decoded.add(rows.matmul(weights.get("W_skip").t()))
                : decoded;
    }

    // ------------------------------------------------------------------------------------------------- made from this
    // one

    /**
     * The same function with decoder rows of norm 1, as SAELens's {@code fold_W_dec_norm} makes of it in place:
     * features come out larger by the norms. This SAE stays as it is; the new one owns its weights.
     *
     * @throws IllegalStateException for a topk SAE that does not rescale by decoder norms: others would be among the k
     *     largest
     */
    public Sae foldWDecNorm() {
        if (config.architecture() == Architecture.TOPK && !config.rescaleActsByDecoderNorm()) {
            throw new IllegalStateException("SAE " + name
                    + " keeps the k largest activations; scaling them by decoder norms would change which those are");
        }
        TensorScope own = TensorScope.shared("the SAE " + name);
        try (var _ = TensorScope.open()) {
            Tensor sparsity = logSparsity == null ? null : own.adopt(logSparsity.copy());
            Map<String, Tensor> folded = new LinkedHashMap<>();
            SaeFunction.foldDecoderNorm(weights)
                    .forEach(
                            (key, tensor) -> folded.put(key, tensor.equals(weights.get(key)) ? tensor.copy() : tensor));
            Sae result = new Sae(name, config, skippedKeys, advice, folded, sparsity, dtype, device, own);
            return exact ? new Sae(result, true, false) : result;
        } catch (RuntimeException | Error e) {
            own.close();
            throw e;
        }
    }

    /**
     * Saves it as SAELens 6 does ({@code cfg.json}, {@code sae_weights.safetensors}, and {@code sparsity.safetensors}
     * if it has one), for {@code SAE.load_from_disk} and for {@link #fromPretrained(String)}. Each file is replaced
     * whole; the configuration comes last.
     *
     * @throws InputException if the folder cannot be written
     */
    public void save(Path folder) {
        Safetensors.write(folder.resolve("sae_weights.safetensors"), weights);
        if (logSparsity != null)
            Safetensors.write(folder.resolve("sparsity.safetensors"), Map.of("sparsity", logSparsity));
        AtomicFile.write(folder.resolve("cfg.json"), config.toJson(dtype.toString()));
    }

    /** A weight by SAELens's name, such as {@code W_dec} [d_sae, d_out]; owned by this SAE, not to be written to. */
    public Tensor weight(String weight) {
        Tensor tensor = weights.get(weight);
        if (tensor == null)
            throw new IllegalArgumentException(
                    "SAE " + name + " has no weight '" + weight + "'; it has " + String.join(", ", weights.keySet()));
        return tensor;
    }

    /** The names of the weights that it has, sorted. */
    public List<String> weightNames() {
        return weights.keySet().stream().sorted().toList();
    }

    // ------------------------------------------------------------------------------------------------- shapes

    private Tensor rows(Tensor activations) {
        if (activations.shape().rank() == 0)
            throw new IllegalArgumentException("the SAE reads [..., " + config.dIn() + "], not a single number");
        long width = activations.size(-1);
        if (config.reshapeHookZ() && activations.shape().rank() >= 2 && width != config.dIn())
            width *= activations.size(-2);
        if (width != config.dIn())
            throw new IllegalArgumentException(
                    "the SAE reads " + config.dIn() + " dimensions, but " + activations + " has " + width);
        return activations.to(dtype).reshape(-1, config.dIn());
    }

    /** Features [n, d_sae] of normalised rows, with a hook before the activation function. */
    Tensor encodeNormalized(Tensor rows, SaeFunction.PreActivationHook hook) throws Exception {
        return function.encode(prepared(rows), hook);
    }

    /** Activations [..., d_in] in this SAE's dtype, with the heads of hook_z in one dimension. */
    Tensor mergeHeads(Tensor activations) {
        return reshape(rows(activations), leading(activations), config.dIn());
    }

    private Tensor prepared(Tensor rows) {
        return config.applyBDecToInput() ? rows.sub(function.bDec()) : rows;
    }

    private long[] leading(Tensor activations) {
        int dropped =
                activations.size(-1) == config.dIn() ? 1 : 2; // at hook_z, heads and their width are one dimension here
        return Arrays.copyOf(activations.shape().sizes(), activations.shape().rank() - dropped);
    }

    static Tensor reshape(Tensor rows, long[] leading, long width) {
        long[] sizes = Arrays.copyOf(leading, leading.length + 1);
        sizes[leading.length] = width;
        return rows.reshape(sizes);
    }

    /**
     * Checks that this SAE can be put into a model.
     *
     * @param model the model
     * @throws InputException if the model has no such hook point, or of another width
     */
    public void requireFits(HookedTransformer model) {
        SaeAttachment.requireFits(this, model);
    }

    /** What it was loaded as. */
    public String name() {
        return name;
    }

    /** Its configuration, with what the registry knows of it. */
    public SaeConfig config() {
        return config;
    }

    /** Keys of its cfg.json that were not needed. */
    public List<String> skippedKeys() {
        return skippedKeys;
    }

    /** Sentences that a user should see: what may be amiss with the way it was published. */
    public List<String> advice() {
        return advice;
    }

    /** The logarithm to base 10 of how often each feature fires, float32 [d_sae], as published; owned by this SAE. */
    public Optional<Tensor> logSparsity() {
        return Optional.ofNullable(logSparsity);
    }

    /** Its element type. */
    public DType dtype() {
        return dtype;
    }

    /** Where its weights lie. */
    public Device device() {
        return device;
    }

    private void requireFeatures(int... features) {
        for (int feature : features)
            if (feature < 0 || feature >= config.dSae())
                throw new IndexOutOfBoundsException(
                        "feature " + feature + " is outside the SAE's features 0 to " + (config.dSae() - 1));
    }

    /** Frees the weights. */
    @Override
    public void close() {
        if (!view) scope.close();
    }

    /** Its name, architecture, shape and where it works. */
    @Override
    public String toString() {
        return "Sae(" + name + ", " + config.architecture() + ", " + config.dIn() + " to " + config.dSae()
                + " features, " + dtype + ", " + device + (scope.isOpen() ? "" : ", closed") + ")";
    }
}
