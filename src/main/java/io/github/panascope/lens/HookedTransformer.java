package io.github.panascope.lens;

import io.github.panascope.InputException;
import io.github.panascope.families.KnownModels;
import io.github.panascope.hub.Hub;
import io.github.panascope.model.HookPoint;
import io.github.panascope.model.TransformerConfig;
import io.github.panascope.model.WeightProcessing;
import io.github.panascope.tokens.ChatMessage;
import io.github.panascope.tokens.ChatTemplate;
import io.github.panascope.tokens.Tokenizer;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.ScriptModule;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * A transformer with a hook at every point that TransformerLens names: loads and saves the model, runs it, and converts
 * texts to token ids. It is immutable, and many threads may run it at once. It owns its weights until it is closed; the
 * results of runs belong to the {@link TensorScope} that is innermost when the caller runs it.
 *
 * <p>Token ids are int64 [batch, pos] or [pos]. {@code ln1.hook_scale} and {@code ln1.hook_normalized} are reached once
 * a block, where TransformerLens 2 reaches them three times.
 *
 * <pre>{@code
 * try (var _ = TensorScope.open();
 *         var model = HookedTransformer.fromPretrained("gpt2-small")) {
 *     Tensor john = model.toTokens("When John and Mary went out, John gave the bag to");
 *     Tensor mary = model.toTokens("When John and Mary went out, Mary gave the bag to");
 *     System.out.println("loss " + model.forward(john).loss());
 *
 *     String point = "blocks.6.hook_resid_pre";
 *     var run = model.runWithCache(john, point::equals);
 *     int position = model.lastTokenPosition(" John", john); // where the two prompts differ
 *     Tensor stream = run.cache().get(point).select(1, position); // [1, d_model]
 *     Hooks patch = Hooks.at(point, Edits.atPosition(position, Edits.replace(stream)));
 *     Tensor patched = model.runWithHooks(mary, patch); // logits [1, pos, d_vocab]
 *
 *     int answer = model.toSingleToken(" Mary");
 *     for (Tensor logits : List.of(run.logits(), model.run(mary), patched))
 *         System.out.println(logits.select(1, -1).select(1, answer).item());
 * }
 * }</pre>
 */
public final class HookedTransformer implements AutoCloseable {
    /**
     * The way in which a model is loaded, as the defaults with changes:
     * {@code Options.DEFAULT.device(Device.CUDA).dtype(DType.BFLOAT16)}.
     *
     * @param processing the weight-processing steps to apply
     * @param device     the device that the weights are put on
     * @param dtype      float32 or bfloat16; LayerNorm and losses are float32 in both
     * @param exact      true for a model that runs step by step, see {@link HookedTransformer#exact}
     * @param hub        the source of files that are not on this machine; null for {@link Hub#fromEnvironment}
     */
    public record Options(
            WeightProcessing processing,
            Device device,
            DType dtype,
            boolean exact,
            @Nullable Hub hub) {
        /** The processing of TransformerLens's {@code HookedTransformer.from_pretrained}, on the CPU in float32. */
        public static final Options DEFAULT =
                new Options(WeightProcessing.DEFAULT, Device.CPU, DType.FLOAT32, false, null);

        /**
         * Checks the dtype.
         *
         * @throws IllegalArgumentException if it is neither float32 nor bfloat16
         */
        public Options {
            if (dtype != DType.FLOAT32 && dtype != DType.BFLOAT16)
                throw new IllegalArgumentException("a model runs in float32 or bfloat16, not " + dtype);
        }

        /**
         * Returns these options with other weight-processing steps.
         *
         * @param other the steps to apply
         * @return the new options
         */
        public Options processing(WeightProcessing other) {
            return new Options(other, device, dtype, exact, hub);
        }

        /**
         * Returns these options with the weights on another device.
         *
         * @param other the device
         * @return the new options
         */
        public Options device(Device other) {
            return new Options(processing, other, dtype, exact, hub);
        }

        /**
         * Returns these options with weights of another dtype.
         *
         * @param other float32 or bfloat16
         * @return the new options
         * @throws IllegalArgumentException if the dtype is neither float32 nor bfloat16
         */
        public Options dtype(DType other) {
            return new Options(processing, device, other, exact, hub);
        }

        /**
         * Returns these options for a model that runs step by step, or for one that does not.
         *
         * @param other true to run step by step, see {@link HookedTransformer#exact}
         * @return the new options
         */
        public Options exact(boolean other) {
            return new Options(processing, device, dtype, other, hub);
        }

        /**
         * Returns these options with another hub.
         *
         * @param other the source of files that are not on this machine
         * @return the new options
         */
        public Options hub(@Nullable Hub other) {
            return new Options(processing, device, dtype, exact, other);
        }

        Hub hubOrDefault() {
            return hub == null ? Hub.fromEnvironment() : hub;
        }
    }

    private final LoadedModel loaded;
    private final TextCodec texts;
    private final List<String> hookNames;
    private final List<String> hookNamesOnRequest;
    private final Hooks hooks;
    private final List<Attachment> attachments;
    private final boolean exact;
    /** True for a view of another model, which does not own the weights. */
    private final boolean view;

    HookedTransformer(LoadedModel loaded, boolean exact) {
        this.loaded = loaded;
        this.texts = new TextCodec(
                loaded.tokenizer(),
                loaded.prependsBos(),
                loaded.config().nCtx(),
                loaded.config().dVocab());
        this.hookNames = names(HookPoint.all(loaded.config()));
        this.hookNamesOnRequest = names(HookPoint.onRequest(loaded.config()));
        this.hooks = Hooks.NONE;
        this.attachments = List.of();
        this.exact = exact;
        this.view = false;
    }

    private HookedTransformer(HookedTransformer model, Hooks hooks, List<Attachment> attachments, boolean exact) {
        this.loaded = model.loaded;
        this.texts = model.texts;
        this.hookNames = model.hookNames;
        this.hookNamesOnRequest = model.hookNamesOnRequest;
        this.hooks = hooks;
        this.attachments = List.copyOf(attachments);
        this.exact = exact;
        this.view = true;
    }

    private static List<String> names(List<HookPoint> points) {
        return points.stream().map(HookPoint::name).toList();
    }

    /**
     * Returns a view of this model with hooks in every run. They are called after the hooks of this view and before
     * those of the run. The view shares the weights, takes no memory of its own, and needs no closing. It can be used
     * until the model is closed, beside the model and other views, by any number of threads.
     *
     * @param others the hooks
     * @return the view
     */
    public HookedTransformer with(Hooks others) {
        return new HookedTransformer(this, hooks.and(others), attachments, exact);
    }

    /**
     * Returns a view of this model with a component attached in every run. It replaces an attachment of this view that
     * writes the same hook point. The view shares the weights and needs no closing; it can be used until the model is
     * closed.
     *
     * @param attachment the component, such as an SAE
     * @return the view
     * @throws IllegalArgumentException if the model lacks a point that the attachment reads or writes
     */
    public HookedTransformer with(Attachment attachment) {
        for (String point : List.of(attachment.readsAt(), attachment.writesAt()))
            Hooks.requirePoint(point, hookNames, hookNamesOnRequest);
        List<Attachment> all = new ArrayList<>(attachments);
        all.removeIf(other -> other.writesAt().equals(attachment.writesAt()));
        all.add(attachment);
        return new HookedTransformer(this, hooks, all, exact);
    }

    /**
     * Returns a view of this model that runs step by step, as TransformerLens does: without the fused operators that
     * compute LayerNorm and attention where no hook reads the values in between, and without the shortcuts of metrics.
     * It is slower, and results differ by rounding. The view shares the weights and needs no closing; it can be used
     * until the model is closed.
     *
     * @return the view
     */
    public HookedTransformer exact() {
        return new HookedTransformer(this, hooks, attachments, true);
    }

    /** {@return whether runs go step by step, as {@link #exact} or {@link Options#exact} asked for} */
    public boolean isExact() {
        return exact;
    }

    /** {@return whether runs have no hooks and attachments other than those that are added to the run itself} */
    public boolean isPlain() {
        return hooks.isEmpty() && attachments.isEmpty();
    }

    /**
     * Returns whether a run of this view may start at a block. It may not if an attachment reads before the block and
     * writes in it or later.
     *
     * @param block the block, from 0
     * @return true if the run may start there
     */
    public boolean canStartAt(int block) {
        return attachments.stream()
                .noneMatch(each -> HookPoint.of(each.readsAt()).orElseThrow().block() < block
                        && HookPoint.of(each.writesAt()).orElseThrow().block() >= block);
    }

    /** Returns the hooks that every run of this view has. */
    Hooks hooks() {
        return hooks;
    }

    List<Attachment> attachments() {
        return attachments;
    }

    /**
     * Loads a model: by its TransformerLens name ({@code gpt2-small}); by its hub id, {@code @REVISION} added where
     * that is not main; by the folder that holds its {@code config.json} and weights ({@code model.safetensors},
     * {@code pytorch_model.bin}, or their shards with an index); or by a file of weights with {@code config.json}
     * beside it, which may be TorchScript that was traced or scripted from Hugging Face's GPT-2. A file that
     * {@link #save} wrote is recognised too. Files are looked up in the hub's cache first and fetched if they are not
     * there.
     *
     * @param nameOrFolder the name, hub id, folder or file
     * @param options      the processing of the weights, their device and dtype, and the hub
     * @return the model, which the caller closes
     * @throws InputException if there is no such model, or if its files cannot be used
     * @throws IllegalArgumentException if the device cannot be used
     */
    public static HookedTransformer fromPretrained(String nameOrFolder, Options options) {
        return ModelLoader.fromPretrained(nameOrFolder, options);
    }

    /**
     * Loads a model with {@link Options#DEFAULT}, as {@link #fromPretrained(String, Options)} does.
     *
     * @param nameOrFolder the TransformerLens name, hub id, folder or file
     * @return the model, which the caller closes
     * @throws InputException if there is no such model, or if its files cannot be used
     */
    public static HookedTransformer fromPretrained(String nameOrFolder) {
        return fromPretrained(nameOrFolder, Options.DEFAULT);
    }

    /**
     * Downloads a model's files without loading it. {@link #fromPretrained} then needs no network.
     *
     * @param name the TransformerLens name, hub id, folder or file
     * @param hub  the source of files that are not on this machine
     * @return the paths of the files of configuration, tokenizer and weights
     * @throws InputException if there is no such model, or if its files cannot be downloaded
     */
    public static List<Path> fetch(String name, Hub hub) {
        return ModelFiles.find(name, hub).all();
    }

    /**
     * Returns whether a name is one of the names or aliases that TransformerLens has for a model that can be loaded.
     *
     * @param name the name, such as {@code gpt2-small} or {@code gemma-2-2b}
     * @return true if it is
     */
    public static boolean isKnown(String name) {
        return KnownModels.find(name).filter(model -> model.family() != null).isPresent();
    }

    /**
     * Returns the revision on the hub that holds a state of a model's training. The models of stanford-crfm and Pythia
     * are published with such states.
     *
     * @param name the TransformerLens name or hub id
     * @param step the number of training steps
     * @return the revision, such as {@code checkpoint-1000} or {@code step1000}; empty if none are known
     */
    public static Optional<String> revisionOfStep(String name, long step) {
        return KnownModels.revisionOfStep(name, step);
    }

    /**
     * Loads a model from a file that {@link #save} wrote, with the tokenizer that it had: GPT-2's own, or the one whose
     * files lie beside the model's file. Only the weights are read; no code in the file is run.
     *
     * @param file   the file
     * @param device the device that the weights are put on
     * @return the model, which the caller closes
     * @throws InputException if the file is missing or was not written by {@link #save}, or if the files beside it are
     *     of another tokenizer than the model had
     * @throws IllegalArgumentException if the device cannot be used
     */
    public static HookedTransformer loadTorchScript(Path file, Device device) {
        return ModelLoader.loadTorchScript(file, device, false);
    }

    /**
     * Writes the model as TorchScript (.pt) with its processed weights, for {@link #loadTorchScript}.
     *
     * @param file the file; it is replaced if it exists
     * @throws InputException if the file cannot be written; an older file then stays as it was
     */
    public void save(Path file) {
        ModelLoader.save(loaded, file);
    }

    // ------------------------------------------------------------------------------------------------- properties

    /** {@return the name, hub id, folder or file from which the model was loaded} */
    public String name() {
        return loaded.name();
    }

    /** {@return the sizes of the model} */
    public TransformerConfig config() {
        return loaded.config();
    }

    /** {@return the tokenizer of the model} */
    public Tokenizer tokenizer() {
        return loaded.tokenizer();
    }

    /** {@return the dtype of the weights and of the residual stream: float32 or bfloat16} */
    public DType dtype() {
        return loaded.dtype();
    }

    /** {@return the device of the weights} */
    public Device device() {
        return loaded.device();
    }

    /** {@return the hook points that a run always reaches, in the order in which it reaches them} */
    public List<HookPoint> hookPoints() {
        return HookPoint.all(config());
    }

    /** {@return the whole names of the hook points that a run always reaches, in the order in which it reaches them} */
    public List<String> hookNames() {
        return hookNames;
    }

    List<String> hookNamesOnRequest() {
        return hookNamesOnRequest;
    }

    /** {@return sentences about what may be wrong with the files of the model, for the user who loads it} */
    public List<String> advice() {
        return loaded.advice();
    }

    /** {@return the keys of the model's {@code config.json} that were not needed} */
    public List<String> skippedKeys() {
        return loaded.skippedKeys();
    }

    /** {@return the processed weights under TransformerLens's names, with those of all blocks in one tensor} */
    public Weights weights() {
        return new Weights(this);
    }

    /**
     * Returns a processed weight under TransformerLens's name and in its shape: {@code embed.W_E} [d_vocab, d_model],
     * {@code pos_embed.W_pos} [n_ctx, d_model], {@code blocks.0.attn.W_Q} (and {@code W_K}, {@code W_V}) [head,
     * d_model, d_head] with {@code b_Q} [head, d_head], {@code blocks.0.attn.W_O} [head, d_head, d_model] and
     * {@code b_O} [d_model], {@code blocks.0.mlp.W_in} [d_model, d_mlp], {@code b_in}, {@code W_out} and {@code b_out},
     * {@code blocks.0.ln1.w}, {@code ln_final.w} and so on where they are not folded away, {@code unembed.W_U}
     * [d_model, d_vocab] and {@code unembed.b_U}.
     *
     * @param name the name, one of {@link #weightNames}
     * @return the weight, in the innermost scope; the model's own memory, which must not be written to
     * @throws IllegalArgumentException if the model has no weight of that name
     */
    public Tensor weight(String name) {
        return loaded.weight(name);
    }

    /** {@return the names of the processed weights, for {@link #weight}, in the order in which a run uses them} */
    public List<String> weightNames() {
        return loaded.weightNames();
    }

    /**
     * Returns whether the model has a weight of this name. The default processing folds the weights of LayerNorm into
     * others, so that they are not there.
     *
     * @param name the name, as {@link #weight} takes it
     * @return true if the model has the weight
     */
    public boolean hasWeight(String name) {
        return loaded.hasWeight(name);
    }

    /**
     * Sums the biases that the residual stream has received at an input of a block. Where a norm follows the outputs of
     * attention and MLP, as in Gemma 2 and 3, what the stream receives of a bias differs from position to position.
     *
     * @param layer            the block, from 0; n_layers for the end of the model
     * @param input            the input of the block: at that of the MLP, the bias of the block's own attention is
     *     included, unless the block is parallel
     * @param includeMlpBiases true to include the biases of the MLPs, false for those of attention only
     * @return the sum, [d_model], in the innermost scope
     * @throws IllegalArgumentException if the model has no such input
     * @throws IllegalStateException if a norm follows outputs that have a bias
     */
    public Tensor accumulatedBias(int layer, BlockInput input, boolean includeMlpBiases) {
        if (layer < 0 || layer > config().nLayers() || input == BlockInput.MLP && layer == config().nLayers())
            throw new IllegalArgumentException(
                    "layer " + layer + (input == BlockInput.MLP ? ", whose MLP is meant," : "")
                            + " is outside the model's " + config().nLayers() + " layers");
        if (config().norm().afterOutputs()
                && (config().attention().biases() || config().attention().outputBias()))
            throw new IllegalStateException(
                    "in " + name() + " a norm follows the biases of attention, so that their sum"
                            + " is not the same at all positions: decompose the residual stream of a run instead");
        try (var _ = TensorScope.open()) {
            Tensor sum = weight("blocks.0.attn.b_O").zerosLike();
            for (int l = 0; l < layer; l++) {
                sum = sum.add(weight("blocks." + l + ".attn.b_O"));
                if (includeMlpBiases) sum = sum.add(weight("blocks." + l + ".mlp.b_out"));
            }
            if (input == BlockInput.MLP && !config().parallel()) sum = sum.add(weight("blocks." + layer + ".attn.b_O"));
            return sum.promote();
        }
    }

    // ------------------------------------------------------------------------------------------------- runs

    /**
     * Describes a forward pass over token ids.
     *
     * @param tokens the token ids, int64 [batch, pos] or [pos], on any device
     * @return the forward pass, which runs when one of its results is asked for
     * @throws IllegalArgumentException if the ids have another shape or dtype, are none, or are more than n_ctx in a
     *     row
     * @throws IndexOutOfBoundsException if an id on the CPU is outside the vocabulary
     * @throws IllegalStateException if the model was closed
     */
    public Forward forward(Tensor tokens) {
        Tensor batch = tokens.shape().rank() == 1 ? tokens.unsqueeze(0) : tokens;
        if (batch.dtype() != DType.INT64 || batch.shape().rank() != 2)
            throw new IllegalArgumentException("tokens should be int64 [batch, pos], not " + tokens.describe());
        if (batch.size(1) > config().nCtx()) {
            throw new IllegalArgumentException(
                    "a context of " + batch.size(1) + " tokens is longer than the model's n_ctx of " + config().nCtx());
        }
        if (!loaded.scope().isOpen()) throw new IllegalStateException("the model " + name() + " was closed");
        if (batch.shape().elements() == 0)
            throw new IllegalArgumentException("tokens should not be empty: " + tokens.describe());
        requireInVocabulary(batch);
        Forward forward = new Forward(this, batch.device().equals(device()) ? batch : batch.to(device()));
        attachments.forEach(forward::attach);
        return forward;
    }

    /**
     * Checks that ids on the CPU are in the vocabulary. Without this check, libtorch reports on the CPU only that an
     * index is out of range; on a GPU the whole context is lost. Ids that are on a GPU already are not checked, because
     * that would wait for the GPU.
     */
    private void requireInVocabulary(Tensor batch) {
        if (!batch.device().isCpu()) return;
        long[] ids = batch.toLongs();
        for (int i = 0; i < ids.length; i++) {
            if (ids[i] >= 0 && ids[i] < config().dVocab()) continue;
            long length = batch.size(1);
            throw new IndexOutOfBoundsException("token id " + ids[i] + " in row " + i / length + " at position "
                    + i % length + " is outside the vocabulary of " + config().dVocab() + " tokens");
        }
    }

    /**
     * Describes a forward pass over a text, with the bos token before it if {@link #prependsBos}.
     *
     * @param text any text; ids beyond n_ctx are cut off
     * @return the forward pass, which runs when one of its results is asked for
     * @throws IllegalStateException if the model was closed
     */
    public Forward forward(String text) {
        return forward(toTokens(text));
    }

    /**
     * Runs the model over token ids, under the hooks and attachments of this view only.
     *
     * @param tokens the token ids, int64 [batch, pos] or [pos]
     * @return the logits, [batch, pos, d_vocab] in the model's dtype, in the innermost scope
     * @throws IllegalArgumentException if the ids have another shape or dtype, are none, or are more than n_ctx in a
     *     row
     * @throws IndexOutOfBoundsException if an id on the CPU is outside the vocabulary
     * @throws IllegalStateException if the model was closed
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted
     */
    public Tensor run(Tensor tokens) {
        return forward(tokens).logits();
    }

    /**
     * Runs the model over a text, with the bos token before it if {@link #prependsBos}, under the hooks and attachments
     * of this view only.
     *
     * @param text any text; ids beyond n_ctx are cut off
     * @return the logits, [1, pos, d_vocab] in the model's dtype, in the innermost scope
     * @throws IllegalStateException if the model was closed
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted
     */
    public Tensor run(String text) {
        return forward(text).logits();
    }

    /**
     * Runs the model over token ids under hooks. The hooks do not stay in the model, even if the run throws.
     *
     * @param tokens the token ids, int64 [batch, pos] or [pos]
     * @param hooks  the hooks, which are called after those of this view
     * @return the logits, [batch, pos, d_vocab] in the model's dtype, in the innermost scope
     * @throws IllegalArgumentException if the ids have another shape or dtype, are none, or are more than n_ctx in a
     *     row, or if a hook names a point that does not exist
     * @throws IndexOutOfBoundsException if an id on the CPU is outside the vocabulary
     * @throws IllegalStateException if the model was closed
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted
     */
    public Tensor runWithHooks(Tensor tokens, Hooks hooks) {
        return forward(tokens).hooks(hooks).logits();
    }

    /**
     * The logits of a run, and the activations that it kept.
     *
     * @param logits [batch, pos, d_vocab] in the model's dtype
     * @param cache  the activations at the selected hook points
     */
    public record RunWithCache(Tensor logits, ActivationCache cache) {}

    /**
     * Runs the model over token ids and keeps the activations at the hook points whose names pass. Points that are
     * reached on request only are not offered to the predicate; {@link Forward#caching(String...)} keeps them.
     *
     * @param tokens the token ids, int64 [batch, pos] or [pos]
     * @param names  the predicate of whole hook point names
     * @return the logits and the activations, in the innermost scope
     * @throws IllegalArgumentException if the ids have another shape or dtype, are none, or are more than n_ctx in a
     *     row
     * @throws IndexOutOfBoundsException if an id on the CPU is outside the vocabulary
     * @throws IllegalStateException if the model was closed
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted
     */
    public RunWithCache runWithCache(Tensor tokens, Predicate<String> names) {
        return runWithCache(forward(tokens), names);
    }

    private static RunWithCache runWithCache(Forward forward, Predicate<String> names) {
        forward.caching(names);
        Tensor logits = forward.logits();
        return new RunWithCache(logits, forward.cache());
    }

    /**
     * Runs the model over token ids and keeps the activations at all hook points that are not reached on request only.
     *
     * @param tokens the token ids, int64 [batch, pos] or [pos]
     * @return the logits and the activations, in the innermost scope
     * @throws IllegalArgumentException if the ids have another shape or dtype, are none, or are more than n_ctx in a
     *     row
     * @throws IndexOutOfBoundsException if an id on the CPU is outside the vocabulary
     * @throws IllegalStateException if the model was closed
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted
     */
    public RunWithCache runWithCache(Tensor tokens) {
        return runWithCache(tokens, _ -> true);
    }

    /**
     * Runs the model over a text, with the bos token before it if {@link #prependsBos}, and keeps the activations at
     * the hook points whose names pass, as {@link #runWithCache(Tensor, Predicate)} does.
     *
     * @param text  any text; ids beyond n_ctx are cut off
     * @param names the predicate of whole hook point names
     * @return the logits and the activations, in the innermost scope
     * @throws IllegalStateException if the model was closed
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted
     */
    public RunWithCache runWithCache(String text, Predicate<String> names) {
        return runWithCache(forward(text), names);
    }

    /**
     * Runs the model over a text, with the bos token before it if {@link #prependsBos}, and keeps the activations at
     * all hook points that are not reached on request only.
     *
     * @param text any text; ids beyond n_ctx are cut off
     * @return the logits and the activations, in the innermost scope
     * @throws IllegalStateException if the model was closed
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted
     */
    public RunWithCache runWithCache(String text) {
        return runWithCache(text, _ -> true);
    }

    /**
     * Describes a generation of text from prompts of one length.
     *
     * @param tokens the token ids of the prompts, int64 [batch, pos] or [pos], at least one
     * @return the generation, which {@link Generation#run} runs
     * @throws IllegalArgumentException if the ids have another shape or dtype, or are none
     * @throws IndexOutOfBoundsException if an id is outside the vocabulary
     */
    public Generation generate(Tensor tokens) {
        Tensor batch = tokens.shape().rank() == 1 ? tokens.unsqueeze(0) : tokens;
        if (batch.dtype() != DType.INT64
                || batch.shape().rank() != 2
                || batch.shape().elements() == 0)
            throw new IllegalArgumentException("tokens should be int64 [batch, pos], not " + tokens.describe());
        requireInVocabulary(batch.to(Device.CPU));
        int length = (int) batch.size(1);
        int[] ids = Arrays.stream(batch.toLongs()).mapToInt(Math::toIntExact).toArray();
        int[][] rows = new int[(int) batch.size(0)][];
        for (int row = 0; row < rows.length; row++)
            rows[row] = Arrays.copyOfRange(ids, row * length, (row + 1) * length);
        return new Generation(this, rows);
    }

    /**
     * Describes a generation of text from a prompt, with the bos token before it if {@link #prependsBos}.
     *
     * @param prompt any text; at least one token
     * @return the generation, which {@link Generation#run} runs
     */
    public Generation generate(String prompt) {
        return generate(List.of(prompt));
    }

    /**
     * Describes a generation of text from prompts of any lengths, with the bos token before each if
     * {@link #prependsBos}. Without random sampling, each row becomes the text that its prompt alone would give.
     *
     * @param prompts the prompts, at least one, of at least one token each
     * @return the generation, which {@link Generation#run} runs
     * @throws IllegalArgumentException if there are no prompts, or if one has no tokens
     */
    public Generation generate(List<String> prompts) {
        if (prompts.isEmpty()) throw new IllegalArgumentException("there should be at least one text");
        int[][] rows = prompts.stream().map(texts::encode).toArray(int[][]::new);
        for (int[] row : rows)
            if (row.length == 0)
                throw new IllegalArgumentException("a prompt without any token has no next token: " + shortName()
                        + " has no token that begins texts");
        return new Generation(this, rows);
    }

    // ------------------------------------------------------------------------------------------------- texts, tokens

    /** The side on which shorter texts are padded with the tokenizer's pad token to the length of the longest. */
    public enum PaddingSide {
        /** Padding before the text. */
        LEFT,
        /** Padding after the text. */
        RIGHT
    }

    /**
     * Returns whether the texts of the model begin with the tokenizer's bos token unless a method is told otherwise
     * (TransformerLens's {@code default_prepend_bos}): {@code <|endoftext|>} for GPT-2, {@code <bos>} for Gemma. The
     * texts of Qwen do not begin with such a token.
     *
     * @return true if they do
     */
    public boolean prependsBos() {
        return loaded.prependsBos();
    }

    /**
     * Returns the ids of a text, with the bos token before it if {@link #prependsBos}.
     *
     * @param text any text; ids beyond n_ctx are cut off
     * @return int64 [1, pos] on the CPU, in the innermost scope
     */
    public Tensor toTokens(String text) {
        return toTokens(text, prependsBos());
    }

    /**
     * Returns the ids of a text.
     *
     * @param text       any text; ids beyond n_ctx are cut off, or beyond n_ctx - 1 without a bos token that texts of
     *     the model usually have
     * @param prependBos true to put the bos token before it
     * @return int64 [1, pos] on the CPU, in the innermost scope
     */
    public Tensor toTokens(String text, boolean prependBos) {
        return toTokens(List.of(text), prependBos);
    }

    /**
     * Returns the ids of several texts, padded on the right with the pad token to the longest.
     *
     * @param texts      at least one; ids beyond n_ctx are cut off
     * @param prependBos true to put the bos token before each
     * @return int64 [texts, pos] on the CPU, in the innermost scope
     * @throws IllegalArgumentException if there are no texts
     */
    public Tensor toTokens(List<String> texts, boolean prependBos) {
        return toTokens(texts, prependBos, PaddingSide.RIGHT);
    }

    /**
     * Returns the ids of several texts, padded on either side. With padding on the left, a run needs the
     * {@link #attentionMask}.
     *
     * @param texts      at least one; ids beyond n_ctx are cut off
     * @param prependBos true to put the bos token before each
     * @param side       the side on which shorter texts are padded
     * @return int64 [texts, pos] on the CPU, in the innermost scope
     * @throws IllegalArgumentException if there are no texts
     */
    public Tensor toTokens(List<String> texts, boolean prependBos, PaddingSide side) {
        return this.texts.toTokens(texts, prependBos, side);
    }

    /**
     * Returns the ids of a conversation in the form that the model was trained for, which ends with the beginning of
     * the model's next message. The form has the bos token where it belongs there. A generation goes on after the
     * model's turn where the token that ends it is not the eos token, unless {@link Generation#stopAt} names it.
     *
     * @param messages the messages, the first of which may be instructions
     * @return int64 [1, pos] on the CPU, in the innermost scope
     * @throws InputException if the model was not trained for conversations, or not for such messages, or if its form
     *     is not known
     */
    public Tensor toChatTokens(List<ChatMessage> messages) {
        int[] ids = tokenizer().encode(ChatTemplate.of(tokenizer()).render(messages, true));
        return Tensor.of(Arrays.stream(ids).asLongStream().toArray(), Shape.of(1, ids.length));
    }

    /**
     * Returns which positions are text and which are padding, for {@link Forward#attentionMask} (TransformerLens's
     * {@code get_attention_mask}). Every pad token at the padded end of a row counts as padding, except for the last
     * one on the left if texts begin with it, as those of GPT-2 do.
     *
     * @param tokens     int64 [batch, pos]
     * @param side       the side on which shorter texts are padded
     * @param prependBos true if each text begins with the bos token
     * @return int64 [batch, pos] on the CPU, in the innermost scope: 1 at text, 0 at padding
     */
    public Tensor attentionMask(Tensor tokens, PaddingSide side, boolean prependBos) {
        return texts.attentionMask(tokens, side, prependBos);
    }

    /**
     * Returns the text of each token of a text: the tokens of {@link #toTokens(String)}.
     *
     * @param text any text; ids beyond n_ctx are cut off
     * @return the text of each token; bytes that are no whole character become U+FFFD
     */
    public List<String> toStrTokens(String text) {
        return toStrTokens(text, prependsBos());
    }

    /**
     * Returns the text of each token of a text.
     *
     * @param text       any text; ids beyond n_ctx are cut off
     * @param prependBos true to put the bos token before it
     * @return the text of each token; bytes that are no whole character become U+FFFD
     */
    public List<String> toStrTokens(String text, boolean prependBos) {
        return texts.toStrTokens(text, prependBos);
    }

    /**
     * Returns the text of each id.
     *
     * @param tokens int64 or int32 [pos] or [1, pos]
     * @return the text of each token; bytes that are no whole character become U+FFFD
     * @throws IllegalArgumentException if the ids have another shape or dtype
     */
    public List<String> toStrTokens(Tensor tokens) {
        return texts.toStrTokens(tokens);
    }

    /**
     * Returns the text of a row of ids.
     *
     * @param tokens int64 or int32 [pos] or [1, pos]
     * @return the text; bytes that are no whole character become U+FFFD
     * @throws IllegalArgumentException if the ids have another shape or dtype
     */
    public String toString(Tensor tokens) {
        return texts.toString(tokens);
    }

    /**
     * Returns the text of each row of ids.
     *
     * @param tokens int64 or int32 [batch, pos]
     * @return the text of each row; bytes that are no whole character become U+FFFD
     * @throws IllegalArgumentException if the ids have another dtype
     */
    public List<String> toStrings(Tensor tokens) {
        return texts.toStrings(tokens);
    }

    /**
     * Returns the id of a text that is one token.
     *
     * @param text the text, such as {@code " Mary"}
     * @return the id
     * @throws IllegalArgumentException if the text is not a single token
     */
    public int toSingleToken(String text) {
        return texts.toSingleToken(text);
    }

    /**
     * Returns the text of an id.
     *
     * @param token an id of the vocabulary
     * @return the text; bytes that are no whole character become U+FFFD
     */
    public String toSingleStrToken(int token) {
        return texts.toSingleStrToken(token);
    }

    /**
     * Returns the first position of a token.
     *
     * @param token  a text that is one token
     * @param tokens int64 or int32 [pos] or [1, pos]
     * @return the position, from 0
     * @throws IllegalArgumentException if the token does not occur, or if the text is not a single token
     */
    public int tokenPosition(String token, Tensor tokens) {
        return texts.tokenPosition(token, tokens);
    }

    /**
     * Returns the last position of a token.
     *
     * @param token  a text that is one token
     * @param tokens int64 or int32 [pos] or [1, pos]
     * @return the position, from 0
     * @throws IllegalArgumentException if the token does not occur, or if the text is not a single token
     */
    public int lastTokenPosition(String token, Tensor tokens) {
        return texts.lastTokenPosition(token, tokens);
    }

    /**
     * Returns the directions of the residual stream that raise the logits of token ids: columns of W_U.
     *
     * @param tokens the token ids, int64 [...]
     * @return the directions, [..., d_model], in the innermost scope
     * @throws IndexOutOfBoundsException if an id on the CPU is outside the vocabulary
     */
    public Tensor tokensToResidualDirections(Tensor tokens) {
        try (var _ = TensorScope.open()) {
            requireInVocabulary(tokens.reshape(1, -1));
            long[] sizes = Arrays.copyOf(tokens.shape().sizes(), tokens.shape().rank() + 1);
            sizes[sizes.length - 1] = config().dModel();
            return loaded.unembedColumns(tokens.reshape(-1).to(device()))
                    .t()
                    .reshape(sizes)
                    .promote();
        }
    }

    /**
     * Computes how directions of the residual stream change the logits: directions · W_U. The norm before the
     * unembedding, b_U and a bound of the logits are left out.
     *
     * @param directions [n, d_model] in any floating-point dtype, on the model's device
     * @return the changes, [n, d_vocab] in the dtype of the directions, in the innermost scope
     */
    public Tensor toLogits(Tensor directions) {
        return loaded.toLogits(directions, null);
    }

    /**
     * Computes how directions of the residual stream change the logits, into memory of the caller.
     *
     * @param directions [n, d_model] in any floating-point dtype, on the model's device
     * @param memory     [n, d_vocab] in the dtype of the directions, on the model's device
     * @return {@code memory}, overwritten
     */
    public Tensor toLogits(Tensor directions, Tensor memory) {
        return loaded.toLogits(directions, memory);
    }

    // ------------------------------------------------------------------------------------------------- parts

    /** Returns the id that rows are filled up with. */
    int filler() {
        return texts.filler();
    }

    int layerIndex(int layer) {
        int index = layer < 0 ? layer + config().nLayers() : layer;
        if (index < 0 || index >= config().nLayers())
            throw new IllegalArgumentException(
                    "layer " + layer + " is outside the model's " + config().nLayers() + " layers");
        return index;
    }

    /** Returns the ids of a text of any length, with the bos token before it if {@link #prependsBos}. */
    int[] encode(String text) {
        return texts.encode(text);
    }

    ScriptModule embed() {
        return loaded.embed();
    }

    ScriptModule block(int layer) {
        return loaded.block(layer);
    }

    ScriptModule unembed() {
        return loaded.unembed();
    }

    /** Frees the weights. Closing a view has no effect, because the weights belong to the model. */
    @Override
    public void close() {
        if (!view) loaded.scope().close();
    }

    /** Returns the name for descriptions: of a folder or file, the last part of its path. */
    String shortName() {
        return loaded.shortName();
    }

    /**
     * Describes the model.
     *
     * @return the name (of a folder or file, the last part of its path), size and device of the model, and whether it
     *     was closed
     */
    @Override
    public String toString() {
        String with = isPlain() ? "" : ", with hooks or attachments";
        return "HookedTransformer(" + shortName() + ", " + config().nLayers() + " layers of " + config().dModel() + ", "
                + device() + with + (loaded.scope().isOpen() ? "" : ", closed") + ")";
    }
}
