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
 * A sparse autoencoder: loads and saves it, encodes activations into features, decodes features, and puts itself into a
 * run of a model. It is immutable, and many threads may use it at once. It owns its weights until it is closed; results
 * belong to the innermost {@link TensorScope} of the caller.
 *
 * <p>Activations are [..., d_in] (or [..., head, d_head] at attn.hook_z) on the SAE's device, of any floating-point
 * dtype; features are [..., d_sae] in the SAE's dtype. The formulas are those of SAELens 6.
 *
 * <pre>{@code
 * try (var _ = TensorScope.open();
 *         var model = HookedTransformer.fromPretrained("gpt2-small");
 *         var sae = Sae.fromPretrained("gpt2-small-res-jb/blocks.8.hook_resid_pre")) {
 *     Tensor tokens = model.toTokens("The Eiffel Tower is in the city of Paris");
 *     String point = sae.config().hookName();
 *     Tensor activation = model.runWithCache(tokens, point::equals).cache().get(point);
 *
 *     Tensor features = sae.encode(activation); // [1, pos, d_sae]
 *     Tensor active = features.gt(0).sum(-1, false); // int64 [1, pos]
 *     System.out.println("L0 " + active.to(DType.FLOAT64).mean().item());
 *
 *     double original = model.forward(tokens).loss();
 *     double spliced = model.forward(tokens).attach(sae.attachment(false)).loss();
 *     System.out.println("loss " + original + ", with the SAE in the run " + spliced);
 * }
 * }</pre>
 */
public final class Sae implements AutoCloseable {
    /**
     * The way in which an SAE is loaded, as the defaults with changes:
     * {@code Options.DEFAULT.device(Device.CUDA).dtype(DType.BFLOAT16)}.
     *
     * @param device   the device that the weights are put on
     * @param dtype    float32 or bfloat16
     * @param exact    true for an SAE that computes as {@link Sae#exact} does
     * @param hub      the source of files that are not on this machine; null for {@link Hub#fromEnvironment}
     * @param registry the releases that are known by name; null for {@link SaeRegistry#bundled}
     */
    public record Options(
            Device device,
            DType dtype,
            boolean exact,
            @Nullable Hub hub,
            @Nullable SaeRegistry registry) {
        /** On the CPU in float32, with the hub of the environment and the releases that the jar contains. */
        public static final Options DEFAULT = new Options(Device.CPU, DType.FLOAT32, false, null, null);

        /**
         * Checks the dtype.
         *
         * @throws IllegalArgumentException if it is neither float32 nor bfloat16
         */
        public Options {
            if (dtype != DType.FLOAT32 && dtype != DType.BFLOAT16)
                throw new IllegalArgumentException("an SAE runs in float32 or bfloat16, not " + dtype);
        }

        /**
         * Returns these options with the weights on another device.
         *
         * @param other the device
         * @return the new options
         */
        public Options device(Device other) {
            return new Options(other, dtype, exact, hub, registry);
        }

        /**
         * Returns these options with weights of another dtype.
         *
         * @param other float32 or bfloat16
         * @return the new options
         * @throws IllegalArgumentException if the dtype is neither float32 nor bfloat16
         */
        public Options dtype(DType other) {
            return new Options(device, other, exact, hub, registry);
        }

        /**
         * Returns these options for an SAE that decodes by the product with all of W_dec, or for one that does not.
         *
         * @param other true to compute as {@link Sae#exact} does
         * @return the new options
         */
        public Options exact(boolean other) {
            return new Options(device, dtype, other, hub, registry);
        }

        /**
         * Returns these options with another hub.
         *
         * @param other the source of files that are not on this machine
         * @return the new options
         */
        public Options hub(@Nullable Hub other) {
            return new Options(device, dtype, exact, other, registry);
        }

        /**
         * Returns these options with another registry.
         *
         * @param other the releases that are known by name
         * @return the new options
         */
        public Options registry(@Nullable SaeRegistry other) {
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
    /** True for a view of another SAE, which does not own the weights. */
    private final boolean view;

    private final TensorScope scope;

    /** Creates an SAE whose scope takes over the weights from any scope. */
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

    /**
     * Creates an SAE over the weights of another.
     *
     * @param view true for a view; false for an SAE that replaces the other one and frees the weights
     */
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
     * Returns a view of this SAE that computes as SAELens does: it decodes by the product with all of W_dec instead of
     * a sum of the rows of active features, and it encodes step by step in bfloat16 too. It is slower, and results
     * differ by rounding. The view shares the weights and needs no closing; it can be used until the SAE is closed.
     *
     * @return the view
     */
    public Sae exact() {
        return new Sae(this, true, true);
    }

    /** {@return whether this SAE computes as {@link #exact} or {@link Options#exact} asked for} */
    public boolean isExact() {
        return exact;
    }

    /** Returns the sparse form of features [n, d_sae]; null if all of them are decoded. */
    private SparseFeatures sparse(Tensor features) {
        return exact ? null : SparseFeatures.of(features);
    }

    /** Decodes features [n, d_sae] into rows [n, d_out] on the normalised scale. */
    Tensor decodeRows(Tensor features) {
        return function.decode(features, sparse(features));
    }

    /**
     * Loads an SAE: RELEASE/SAE_ID of the registry ({@code gpt2-small-res-jb/blocks.8.hook_resid_pre}), OWNER/REPO/PATH
     * of a folder on the hub, or a local folder that holds {@code cfg.json} and {@code sae_weights.safetensors}.
     * Weights are mapped from their file, without a copy where dtype and device allow it.
     *
     * @param name    the name of the SAE, or the folder
     * @param options the device, the dtype, the hub and the registry
     * @return the SAE, which the caller closes
     * @throws InputException if there is no such SAE, or if its files cannot be used
     * @throws IllegalArgumentException if the device cannot be used
     */
    public static Sae fromPretrained(String name, Options options) {
        return SaeLoader.fromPretrained(name, options);
    }

    /**
     * Loads an SAE with {@link Options#DEFAULT}, as {@link #fromPretrained(String, Options)} does.
     *
     * @param name the name of the SAE, or the folder
     * @return the SAE, which the caller closes
     * @throws InputException if there is no such SAE, or if its files cannot be used
     */
    public static Sae fromPretrained(String name) {
        return fromPretrained(name, Options.DEFAULT);
    }

    /**
     * Downloads an SAE's files and checks the configuration, without loading the SAE. {@link #fromPretrained} then
     * needs no network.
     *
     * @param name     the name of the SAE, or the folder
     * @param hub      the source of files that are not on this machine
     * @param registry the releases that are known by name
     * @return the path of the sparsity file, if the SAE has one, and the paths of the weights
     * @throws InputException if there is no such SAE, or if its configuration or files cannot be used
     */
    public static List<Path> fetch(String name, Hub hub, SaeRegistry registry) {
        SaeFiles files = SaeFiles.find(name, hub, registry);
        return Stream.concat(files.sparsity().stream(), files.weights().stream())
                .toList();
    }

    /**
     * Returns whether an SAE of the registry belongs to a known model and is published in a layout that can be loaded.
     *
     * @param sae the entry of the registry
     * @return true if it can be loaded
     */
    public static boolean supports(SaeRegistry.Entry sae) {
        return HookedTransformer.isKnown(sae.model()) && SaePlan.of(sae).refusal() == null;
    }

    /**
     * Encodes activations into features at all positions. A feature is active where it is greater than 0.
     *
     * @param activations [..., d_in], or [..., head, d_head] at attn.hook_z
     * @return the features, [..., d_sae] in the SAE's dtype, in the innermost scope
     * @throws IllegalArgumentException if the activations do not have the width d_in
     */
    public Tensor encode(Tensor activations) {
        try (var _ = TensorScope.open()) {
            Tensor rows = rows(activations);
            Tensor features =
                    function.encode(prepared(config.normalization().apply(rows).rows()));
            return reshape(features, leading(activations), config.dSae()).promote();
        }
    }

    /** Receives the features of each group from {@link Sae#encodeInGroups(Tensor, int, FeatureGroup)}. */
    @FunctionalInterface
    public interface FeatureGroup {
        /**
         * Handles the features of one group.
         *
         * @param first    the index of the first feature of the group
         * @param features the features of all rows, [n, group]; borrowed: they are freed after this call
         */
        void accept(int first, Tensor features);
    }

    /**
     * Encodes activations like {@link #encode}, one group of consecutive features at a time, so that all features are
     * not held at once. A topk SAE still computes all features first, because each depends on the others. The numbers
     * of a group do not depend on the other groups.
     *
     * @param activations [..., d_in], or [..., head, d_head] at attn.hook_z; the leading dimensions are flattened to n
     *     rows
     * @param size        the number of features in a group, at least 1; the last group may be smaller
     * @param consumer    is called for each group in ascending order
     * @throws IllegalArgumentException if the size is less than 1, or if the activations do not have the width d_in
     * @throws RunInterruptedException if the thread is interrupted
     */
    public void encodeInGroups(Tensor activations, int size, FeatureGroup consumer) {
        encodeInGroups(activations, size, first -> true, consumer);
    }

    /**
     * Encodes activations like {@link #encode}, one group of consecutive features at a time, and skips the groups that
     * are not wanted.
     *
     * @param activations [..., d_in], or [..., head, d_head] at attn.hook_z; the leading dimensions are flattened to n
     *     rows
     * @param size        the number of features in a group, at least 1; the last group may be smaller
     * @param wanted      returns, for the index of the first feature of a group, true if the group is to be encoded
     * @param consumer    is called for each wanted group in ascending order
     * @throws IllegalArgumentException if the size is less than 1, or if the activations do not have the width d_in
     * @throws RunInterruptedException if the thread is interrupted
     */
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
                first -= size; // encodes this group again, now as a slice of all features
            }
        }
    }

    /**
     * Returns activations in the form in which this SAE reads them, before it normalises them.
     *
     * @param activations [..., d_in], or [..., head, d_head] at attn.hook_z
     * @return [n, d_in] in the SAE's dtype, with the leading dimensions flattened and the heads side by side, in the
     *     innermost scope
     * @throws IllegalArgumentException if the activations do not have the width d_in
     */
    public Tensor inputRows(Tensor activations) {
        return rows(activations);
    }

    /**
     * Decodes features. If the SAE normalises its input, the result is on the normalised scale, and it lacks the skip
     * connection of a skip transcoder, because both depend on the input; {@link #reconstruct} has the input and
     * includes them. At attn.hook_z the heads stay side by side.
     *
     * @param features [..., d_sae] in the SAE's dtype
     * @return the decoded activations, [..., d_out], in the innermost scope
     * @throws IllegalArgumentException if the last dimension is not d_sae, or if the dtype is not a floating-point one
     */
    public Tensor decode(Tensor features) {
        if (features.shape().rank() == 0 || features.size(-1) != config.dSae())
            throw new IllegalArgumentException(
                    "the SAE has " + config.dSae() + " features, but " + features.describe() + " was given");
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
     * Reconstructs activations: decode(encode(x)), with normalisation undone. For a transcoder this is its output,
     * including the skip connection.
     *
     * @param activations [..., d_in], or [..., head, d_head] at attn.hook_z
     * @return the reconstruction, in the shape of the activations; for a transcoder [..., d_out]; in the SAE's dtype,
     *     in the innermost scope
     * @throws IllegalArgumentException if the activations do not have the width d_in
     */
    public Tensor reconstruct(Tensor activations) {
        try (var _ = TensorScope.open()) {
            return encodeAndReconstruct(activations).reconstruction().promote();
        }
    }

    /**
     * The features of activations, and the reconstruction from them.
     *
     * @param features       the features, [n, d_sae], with the leading dimensions of the activations flattened
     * @param reconstruction the reconstruction, in the shape of the activations; for a transcoder [..., d_out]
     * @param active         the number of active features in each row, int64 [n]
     */
    public record Encoded(Tensor features, Tensor reconstruction, Tensor active) {}

    /**
     * Computes features and the reconstruction of activations, encoding them once.
     *
     * @param activations [..., d_in], or [..., head, d_head] at attn.hook_z
     * @return the features, the reconstruction and the numbers of active features, in the innermost scope
     * @throws IllegalArgumentException if the activations do not have the width d_in
     */
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
     * Reconstructs activations from edited features, and adds the error of the reconstruction without the edit
     * (SAELens's {@code use_error_term}): decode(edit(f)) + x - decode(f). Without a change this is x itself.
     *
     * @param activations [..., d_in], or [..., head, d_head] at attn.hook_z
     * @param edit        receives a copy of the features, [n, d_sae] with the leading dimensions of the activations
     *     flattened, and returns the new ones
     * @return the result, in the shape of the activations and in the SAE's dtype, in the innermost scope
     * @throws IllegalArgumentException if the activations do not have the width d_in
     * @throws IllegalStateException if this is a transcoder, whose output is not a reconstruction of its input
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

    /** SAELens's names of the six hook points inside an SAE, in the order in which a run reaches them. */
    public static final List<String> INNER_HOOK_POINTS = List.of(
            "hook_sae_input",
            "hook_sae_acts_pre",
            "hook_sae_acts_post",
            "hook_sae_recons",
            "hook_sae_error",
            "hook_sae_output");

    /**
     * Returns this SAE as a component of a run: {@code model.forward(tokens).attach(sae.attachment(...))}. The
     * {@link #INNER_HOOK_POINTS} become hook points of the run; their whole names are the name of the point that the
     * SAE writes, a dot, and the inner name. As in SAELens's HookedSAETransformer, hook_sae_error is reached only with
     * the error term, and is the error of the SAE without hooks, so that it does not compensate for a change of
     * features.
     *
     * @param useErrorTerm   true to add the error of the reconstruction, so that without an edit the model's output
     *     does not change
     * @param excludedTokens the token ids at whose positions the model keeps its own activation; SAELens's
     *     exclude_special_tokens is {@code model.tokenizer().bosEosPad()}
     * @return the attachment
     */
    public Attachment attachment(boolean useErrorTerm, int... excludedTokens) {
        return new SaeAttachment(this, useErrorTerm, excludedTokens).attachment();
    }

    /**
     * Creates hooks that set features to zero at every position of a run to which this SAE is
     * {@link #attachment attached}.
     *
     * @param features the indices of the features
     * @return the hooks
     * @throws IndexOutOfBoundsException if there is no such feature
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
     * Creates hooks that steer along a feature: at every position they add coefficient · W_dec[feature] to the
     * activation at the hook point that this SAE writes.
     *
     * @param feature     the index of the feature
     * @param coefficient the factor
     * @return the hooks
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
     * Computes the logit lens of features: the change of the logits along the direction of each, W_dec[features] · W_U.
     * It is meaningful for an SAE that writes to the residual stream.
     *
     * @param model    the model whose unembedding is used, on the SAE's device
     * @param features the indices of the features
     * @return [features, d_vocab] in the SAE's dtype, in the innermost scope
     * @throws IndexOutOfBoundsException if there is no such feature
     */
    public Tensor logitLens(HookedTransformer model, int... features) {
        requireFeatures(features);
        try (var _ = TensorScope.open()) {
            Tensor chosen = Tensor.of(Arrays.stream(features).asLongStream().toArray(), Shape.of(features.length))
                    .to(device);
            return model.toLogits(weights.get("W_dec").indexSelect(0, chosen)).promote();
        }
    }

    /** Returns decoded features on the scale of the rows, and in the shape of the activations, that were encoded. */
    private Tensor output(Tensor decoded, Tensor rows, Normalization.Normalized normalized, Tensor activations) {
        Tensor output = denormalized(decoded, rows, normalized);
        return config.architecture().isTranscoder()
                ? reshape(output, leading(activations), config.dOut())
                : output.reshape(activations.shape().sizes());
    }

    /** Returns decoded rows on the scale of the input; those of a skip transcoder with the skip connection. */
    Tensor denormalized(Tensor decoded, Tensor rows, Normalization.Normalized normalized) {
        if (!config.architecture().isTranscoder()) return config.normalization().undo(decoded, normalized);
        return weights.containsKey("W_skip")
                ? decoded.add(rows.matmul(weights.get("W_skip").t()))
                : decoded;
    }

    // ------------------------------------------------------------------------------------------------- derived SAEs

    /**
     * Returns a new SAE that computes the same function with decoder rows of norm 1, like SAELens's
     * {@code fold_W_dec_norm}, which works in place. Features become larger by the factor of the norms. This SAE stays
     * as it is.
     *
     * @return the new SAE, which owns its weights and which the caller closes
     * @throws IllegalStateException if this is a topk SAE that does not rescale by decoder norms, because other
     *     features would be among the k largest
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
     * Saves this SAE as SAELens 6 does ({@code cfg.json}, {@code sae_weights.safetensors}, and
     * {@code sparsity.safetensors} if the sparsity is known), for {@code SAE.load_from_disk} and for
     * {@link #fromPretrained(String)}. Each file is replaced whole; the configuration is written last.
     *
     * @param folder the folder
     * @throws InputException if the folder cannot be written
     */
    public void save(Path folder) {
        Safetensors.write(folder.resolve("sae_weights.safetensors"), weights);
        if (logSparsity != null)
            Safetensors.write(folder.resolve("sparsity.safetensors"), Map.of("sparsity", logSparsity));
        AtomicFile.write(folder.resolve("cfg.json"), config.toJson(dtype.toString()));
    }

    /**
     * Returns a weight by SAELens's name.
     *
     * @param weight the name, one of {@link #weightNames}, such as {@code W_dec} [d_sae, d_out]
     * @return the weight, which belongs to this SAE and must not be written to
     * @throws IllegalArgumentException if the SAE has no weight of that name
     */
    public Tensor weight(String weight) {
        Tensor tensor = weights.get(weight);
        if (tensor == null)
            throw new IllegalArgumentException(
                    "SAE " + name + " has no weight '" + weight + "'; it has " + String.join(", ", weights.keySet()));
        return tensor;
    }

    /** {@return the names of the weights, sorted} */
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
                    "the SAE reads " + config.dIn() + " dimensions, but " + activations.describe() + " has " + width);
        return activations.to(dtype).reshape(-1, config.dIn());
    }

    /** Encodes normalised rows into features [n, d_sae], with a hook before the activation function. */
    Tensor encodeNormalized(Tensor rows, SaeFunction.PreActivationHook hook) throws Exception {
        return function.encode(prepared(rows), hook);
    }

    /** Returns activations as [..., d_in] in this SAE's dtype, with the heads of hook_z in one dimension. */
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
     * @throws InputException if the model lacks a hook point that the SAE reads or writes, or if the activation there
     *     has another width
     */
    public void requireFits(HookedTransformer model) {
        SaeAttachment.requireFits(this, model);
    }

    /** {@return the name or folder from which the SAE was loaded} */
    public String name() {
        return name;
    }

    /** {@return the configuration, in which values of the registry replace those of the file} */
    public SaeConfig config() {
        return config;
    }

    /** {@return the keys of the SAE's configuration file that were not needed} */
    public List<String> skippedKeys() {
        return skippedKeys;
    }

    /** {@return sentences about what may be wrong with the way in which the SAE was published, for the user} */
    public List<String> advice() {
        return advice;
    }

    /**
     * {@return the logarithm to base 10 of how often each feature is active, float32 [d_sae], as it was published; it
     * belongs to this SAE; empty if it was not published}
     */
    public Optional<Tensor> logSparsity() {
        return Optional.ofNullable(logSparsity);
    }

    /** {@return the dtype of the weights: float32 or bfloat16} */
    public DType dtype() {
        return dtype;
    }

    /** {@return the device of the weights} */
    public Device device() {
        return device;
    }

    private void requireFeatures(int... features) {
        for (int feature : features)
            if (feature < 0 || feature >= config.dSae())
                throw new IndexOutOfBoundsException(
                        "feature " + feature + " is outside the SAE's features 0 to " + (config.dSae() - 1));
    }

    /** Frees the weights. Closing a view has no effect, because the weights belong to the SAE. */
    @Override
    public void close() {
        if (!view) scope.close();
    }

    /** {@return a description with the name, architecture, sizes, dtype and device, and whether the SAE was closed} */
    @Override
    public String toString() {
        return "Sae(" + name + ", " + config.architecture() + ", " + config.dIn() + " to " + config.dSae()
                + " features, " + dtype + ", " + device + (scope.isOpen() ? "" : ", closed") + ")";
    }
}
