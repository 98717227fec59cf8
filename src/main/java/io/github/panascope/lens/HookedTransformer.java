package io.github.panascope.lens;

import io.github.panascope.InputException;
import io.github.panascope.hub.Hub;
import io.github.panascope.model.HookPoint;
import io.github.panascope.model.TransformerConfig;
import io.github.panascope.model.WeightProcessing;
import io.github.panascope.tokens.Tokenizer;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.ScriptModule;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * A GPT-2 with a hook at every point that TransformerLens names. Immutable, and safe to run from many threads at once.
 * It owns its weights until it is closed; what its runs return belongs to the caller's innermost {@link TensorScope}.
 *
 * <p>Token ids are int64 [batch, pos] or [pos]. {@code ln1.hook_scale} and {@code ln1.hook_normalized} are reached once
 * a block, where TransformerLens 2 reaches them three times.
 */
public final class HookedTransformer implements AutoCloseable {
    /**
     * How a model is loaded: the defaults, and what should be otherwise, as in
     * {@code Options.DEFAULT.device(Device.CUDA).dtype(DType.BFLOAT16)}.
     *
     * @param processing which weight-processing steps to apply
     * @param device     where the weights go
     * @param dtype      float32 or bfloat16; LayerNorm and losses are float32 in both
     * @param exact      whether it goes step by step, see {@link HookedTransformer#exact}
     * @param hub        where files come from that are not on this machine; null for the hub as the environment
     *     describes it
     */
    public record Options(
            WeightProcessing processing,
            Device device,
            DType dtype,
            boolean exact,
            @Nullable Hub hub) {
        /** What {@code HookedTransformer.from_pretrained} does, on the CPU in float32. */
        public static final Options DEFAULT =
                new Options(WeightProcessing.DEFAULT, Device.CPU, DType.FLOAT32, false, null);

        /** Checks the dtype. */
        public Options {
            if (dtype != DType.FLOAT32 && dtype != DType.BFLOAT16)
                throw new IllegalArgumentException("a model runs in float32 or bfloat16, not " + dtype);
        }

        /** These options with other weight-processing steps. */
        public Options processing(WeightProcessing other) {
            return new Options(other, device, dtype, exact, hub);
        }

        /** These options with the weights on another device. */
        public Options device(Device other) {
            return new Options(processing, other, dtype, exact, hub);
        }

        /** These options with weights of another dtype, float32 or bfloat16. */
        public Options dtype(DType other) {
            return new Options(processing, device, other, exact, hub);
        }

        /** These options for a model that goes step by step, or does not. */
        public Options exact(boolean other) {
            return new Options(processing, device, dtype, other, hub);
        }

        /** These options with another hub. */
        public Options hub(Hub other) {
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
    /** Whether this is another model seen with hooks, which owns nothing. */
    private final boolean view;

    HookedTransformer(LoadedModel loaded, boolean exact) {
        this.loaded = loaded;
        this.texts = new TextCodec(loaded.tokenizer(), loaded.config().nCtx());
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
     * This model with hooks in every run, before those of the run itself. A view: it shares the weights, costs nothing,
     * needs no closing, and can be used as long as this model, beside it and beside other views, by any number of
     * threads.
     */
    public HookedTransformer with(Hooks others) {
        return new HookedTransformer(this, hooks.and(others), attachments, exact);
    }

    /**
     * This model with something attached in every run, such as an SAE: a view, as above. What is attached to the same
     * point already is replaced.
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
     * This model going step by step, as TransformerLens does: without the fused operators that stand in for LayerNorm
     * and attention where no hook looks at what is in between, and without the shortcuts of metrics. Slower; results
     * differ by rounding. A view, as above.
     */
    public HookedTransformer exact() {
        return new HookedTransformer(this, hooks, attachments, true);
    }

    /** Whether this is a view made by {@link #exact}. */
    public boolean isExact() {
        return exact;
    }

    /** Whether runs have no hooks and attachments but their own. */
    public boolean isPlain() {
        return hooks == Hooks.NONE && attachments.isEmpty();
    }

    /**
     * Whether a run of this view may start at a block: whether nothing that is attached reads before it and writes
     * there or later.
     */
    public boolean canStartAt(int block) {
        return attachments.stream()
                .noneMatch(each -> HookPoint.of(each.readsAt()).orElseThrow().block() < block
                        && HookPoint.of(each.writesAt()).orElseThrow().block() >= block);
    }

    /** What every run of this view has. */
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
     * beside it, which may be TorchScript that was traced or scripted from Hugging Face's GPT-2. What {@link #save}
     * wrote is recognised too. The hub's cache is asked first; without a match there it is fetched.
     *
     * @throws InputException if there is no such model, or its files cannot be used
     */
    public static HookedTransformer fromPretrained(String nameOrFolder, Options options) {
        return ModelLoader.fromPretrained(nameOrFolder, options);
    }

    /** Loads a model with {@link Options#DEFAULT}; see {@link #fromPretrained(String, Options)}. */
    public static HookedTransformer fromPretrained(String nameOrFolder) {
        return fromPretrained(nameOrFolder, Options.DEFAULT);
    }

    /**
     * Brings a model's files onto this machine, without loading it: {@link #fromPretrained} then needs no network.
     *
     * @return the files of configuration, tokenizer and weights
     * @throws InputException as {@link #fromPretrained} does
     */
    public static List<Path> fetch(String name, Hub hub) {
        return ModelFiles.find(name, hub).all();
    }

    /** Whether a name is one of GPT-2's in TransformerLens. */
    public static boolean isKnown(String name) {
        return ModelFiles.isKnown(name);
    }

    /**
     * Whether the checkpoints of a model's training are published as revisions {@code checkpoint-N}, N being the steps
     * that were taken: stanford-crfm's are.
     */
    public static boolean hasCheckpoints(String name) {
        return ModelFiles.hasCheckpoints(name);
    }

    /**
     * Loads what {@link #save} wrote, with the tokenizer that it had: GPT-2's own, or else that whose files lie beside
     * it. Its weights alone are read; no code in the file is run.
     *
     * @throws InputException if the file is missing or was not written by {@link #save}, or if the model had another
     *     tokenizer
     */
    public static HookedTransformer loadTorchScript(Path file, Device device) {
        return ModelLoader.loadTorchScript(file, device, false);
    }

    /**
     * Writes the model as TorchScript (.pt) with its weights as they are processed, for {@link #loadTorchScript}.
     *
     * @throws InputException if the file cannot be written; an older one is then as it was
     */
    public void save(Path file) {
        ModelLoader.save(loaded, file);
    }

    // ------------------------------------------------------------------------------------------------- what it is

    /** What it was loaded as. */
    public String name() {
        return loaded.name();
    }

    /** Its sizes. */
    public TransformerConfig config() {
        return loaded.config();
    }

    /** Its tokenizer. */
    public Tokenizer tokenizer() {
        return loaded.tokenizer();
    }

    /** The dtype of its weights and of the residual stream: float32 or bfloat16. */
    public DType dtype() {
        return loaded.dtype();
    }

    /** Where its weights lie. */
    public Device device() {
        return loaded.device();
    }

    /** All its hook points that a run always reaches, in its order. */
    public List<HookPoint> hookPoints() {
        return HookPoint.all(config());
    }

    /** The names of all its hook points, in the order in which a run reaches them. */
    public List<String> hookNames() {
        return hookNames;
    }

    List<String> hookNamesOnRequest() {
        return hookNamesOnRequest;
    }

    /** Sentences for a user who loads it: nothing is wrong, but something could be. */
    public List<String> advice() {
        return loaded.advice();
    }

    /** Keys of its config.json that were not needed. */
    public List<String> skippedKeys() {
        return loaded.skippedKeys();
    }

    /** Its weights under TransformerLens's names, those of all blocks together, and what is made of them. */
    public Weights weights() {
        return new Weights(this);
    }

    /**
     * A processed weight by TransformerLens's name and in its shape, in the innermost scope: {@code embed.W_E}
     * [d_vocab, d_model], {@code pos_embed.W_pos} [n_ctx, d_model], {@code blocks.0.attn.W_Q} (and {@code W_K},
     * {@code W_V}) [head, d_model, d_head] with {@code b_Q} [head, d_head], {@code blocks.0.attn.W_O} [head, d_head,
     * d_model] and {@code b_O} [d_model], {@code blocks.0.mlp.W_in} [d_model, d_mlp], {@code b_in}, {@code W_out} and
     * {@code b_out}, {@code blocks.0.ln1.w}, {@code ln_final.w} and so on where they are not folded away,
     * {@code unembed.W_U} [d_model, d_vocab] and {@code unembed.b_U}. The model's own memory, not to be written to.
     *
     * @throws IllegalArgumentException if the model has no weight of that name
     */
    public Tensor weight(String name) {
        return loaded.weight(name);
    }

    /** The names of the processed weights, as {@link #weight} takes them, in the order in which a run uses them. */
    public List<String> weightNames() {
        return loaded.weightNames();
    }

    /** Whether there is a weight of this name; LayerNorm's are folded away by the default processing. */
    public boolean hasWeight(String name) {
        return loaded.weightNames().contains(name);
    }

    /**
     * The sum of the biases that the blocks before one add to the residual stream, [d_model], in the innermost scope:
     * those of attention, and of the MLPs if wanted.
     *
     * @param input            up to which input of that block: the MLP's has the bias of its attention too
     * @param includeMlpBiases those of the MLPs too, not of attention alone
     */
    public Tensor accumulatedBias(int layer, BlockInput input, boolean includeMlpBiases) {
        if (layer < 0 || layer > config().nLayers() || input == BlockInput.MLP && layer == config().nLayers())
            throw new IllegalArgumentException(
                    "layer " + layer + (input == BlockInput.MLP ? ", whose MLP is meant," : "")
                            + " is outside the model's " + config().nLayers() + " layers");
        try (var _ = TensorScope.open()) {
            Tensor sum = weight("blocks.0.attn.b_O").zerosLike();
            for (int l = 0; l < layer; l++) {
                sum = sum.add(weight("blocks." + l + ".attn.b_O"));
                if (includeMlpBiases) sum = sum.add(weight("blocks." + l + ".mlp.b_out"));
            }
            if (input == BlockInput.MLP) sum = sum.add(weight("blocks." + layer + ".attn.b_O"));
            return sum.promote();
        }
    }

    // ------------------------------------------------------------------------------------------------- running it

    /**
     * Describes a forward pass over token ids.
     *
     * @throws IllegalArgumentException if the ids are not int64 [batch, pos] or [pos], are none, or are more than n_ctx
     * @throws IndexOutOfBoundsException if an id is outside the vocabulary; only of ids on the CPU
     */
    public Forward forward(Tensor tokens) {
        Tensor batch = tokens.shape().rank() == 1 ? tokens.unsqueeze(0) : tokens;
        if (batch.dtype() != DType.INT64 || batch.shape().rank() != 2)
            throw new IllegalArgumentException("tokens should be int64 [batch, pos], not " + tokens);
        if (batch.size(1) > config().nCtx()) {
            throw new IllegalArgumentException(
                    "a context of " + batch.size(1) + " tokens is longer than the model's n_ctx of " + config().nCtx());
        }
        if (!loaded.scope().isOpen()) throw new IllegalStateException("the model " + name() + " was closed");
        if (batch.shape().elements() == 0) throw new IllegalArgumentException("tokens should not be empty: " + tokens);
        requireInVocabulary(batch);
        Forward forward = new Forward(this, batch.device().equals(device()) ? batch : batch.to(device()));
        attachments.forEach(forward::attach);
        return forward;
    }

    /**
     * On the CPU libtorch says no more than that an index is out of range; on a GPU the whole context is lost. Ids that
     * are on a GPU already are not looked at, as that would wait for it.
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

    /** Describes a forward pass over a text, with {@code <|endoftext|>} before it. */
    public Forward forward(String text) {
        return forward(toTokens(text));
    }

    /** Logits [batch, pos, d_vocab] without hooks. */
    public Tensor run(Tensor tokens) {
        return forward(tokens).logits();
    }

    /** Logits [batch, pos, d_vocab] under these hooks. Nothing of them is left behind, whatever is thrown. */
    public Tensor runWithHooks(Tensor tokens, Hooks hooks) {
        return forward(tokens).hooks(hooks).logits();
    }

    /** Logits [batch, pos, d_vocab] and the activations that were asked for. */
    public record RunWithCache(Tensor logits, ActivationCache cache) {}

    /** Runs, keeping the activations at the hook points whose names pass. */
    public RunWithCache runWithCache(Tensor tokens, Predicate<String> names) {
        Forward forward = forward(tokens).caching(names);
        Tensor logits = forward.logits();
        return new RunWithCache(logits, forward.cache());
    }

    /**
     * Describes a generation that goes on from prompts of one length.
     *
     * @param tokens int64 [batch, pos] or [pos], at least one
     */
    public Generation generate(Tensor tokens) {
        Tensor batch = tokens.shape().rank() == 1 ? tokens.unsqueeze(0) : tokens;
        if (batch.dtype() != DType.INT64
                || batch.shape().rank() != 2
                || batch.shape().elements() == 0)
            throw new IllegalArgumentException("tokens should be int64 [batch, pos], not " + tokens);
        requireInVocabulary(batch.to(Device.CPU));
        int length = (int) batch.size(1);
        int[] ids = Arrays.stream(batch.toLongs()).mapToInt(Math::toIntExact).toArray();
        int[][] rows = new int[(int) batch.size(0)][];
        for (int row = 0; row < rows.length; row++)
            rows[row] = Arrays.copyOfRange(ids, row * length, (row + 1) * length);
        return new Generation(this, rows);
    }

    /** The same from a text, with {@code <|endoftext|>} before it. */
    public Generation generate(String prompt) {
        return generate(List.of(prompt));
    }

    /**
     * The same from texts of any lengths; each row is what its text alone would give, if nothing is drawn by chance.
     */
    public Generation generate(List<String> prompts) {
        if (prompts.isEmpty()) throw new IllegalArgumentException("there should be at least one text");
        return new Generation(
                this,
                prompts.stream()
                        .map(prompt -> tokenizer().encode(Tokenizer.END_OF_TEXT + prompt))
                        .toArray(int[][]::new));
    }

    // ------------------------------------------------------------------------------------------------- texts, tokens

    /** Where shorter texts are filled up. */
    public enum PaddingSide {
        /** Before the text. */
        LEFT,
        /** After the text. */
        RIGHT
    }

    /**
     * Returns the ids of a text with {@code <|endoftext|>} before it, as TransformerLens puts it.
     *
     * @param text any text; ids beyond n_ctx are cut off
     * @return int64 [1, pos] on the CPU, in the innermost scope
     */
    public Tensor toTokens(String text) {
        return toTokens(text, true);
    }

    /**
     * Returns the ids of a text.
     *
     * @param text       any text; ids beyond n_ctx are cut off, and one less fits without {@code <|endoftext|>}
     * @param prependBos true to put {@code <|endoftext|>} before it
     * @return int64 [1, pos] on the CPU, in the innermost scope
     */
    public Tensor toTokens(String text, boolean prependBos) {
        return toTokens(List.of(text), prependBos);
    }

    /**
     * Returns the ids of several texts, filled up on the right with {@code <|endoftext|>} to the longest.
     *
     * @param texts      at least one; ids beyond n_ctx are cut off
     * @param prependBos true to put {@code <|endoftext|>} before each
     * @return int64 [texts, pos] on the CPU, in the innermost scope
     */
    public Tensor toTokens(List<String> texts, boolean prependBos) {
        return toTokens(texts, prependBos, PaddingSide.RIGHT);
    }

    /**
     * Returns the ids of several texts, filled up on either side; on the left, a run needs the {@link #attentionMask}.
     *
     * @param texts      at least one; ids beyond n_ctx are cut off
     * @param prependBos true to put {@code <|endoftext|>} before each
     * @param side       where shorter texts are filled up
     * @return int64 [texts, pos] on the CPU, in the innermost scope
     */
    public Tensor toTokens(List<String> texts, boolean prependBos, PaddingSide side) {
        return this.texts.toTokens(texts, prependBos, side);
    }

    /**
     * Returns which positions are text and which were filled up, for {@link Forward#attentionMask} (TransformerLens's
     * {@code get_attention_mask}): {@code <|endoftext|>} at the edge of a row counts as filled up, but, on the left,
     * for the last one where texts begin with it.
     *
     * @param tokens     int64 [batch, pos]
     * @param side       where shorter texts are filled up
     * @param prependBos true if each text begins with {@code <|endoftext|>}
     * @return int64 [batch, pos] of 1 and 0 on the CPU, in the innermost scope
     */
    public Tensor attentionMask(Tensor tokens, PaddingSide side, boolean prependBos) {
        return texts.attentionMask(tokens, side, prependBos);
    }

    /**
     * Returns the text of each token of a text.
     *
     * @param text       any text; ids beyond n_ctx are cut off
     * @param prependBos true to put {@code <|endoftext|>} before it
     * @return one text for each token; bytes that are no whole character become U+FFFD
     */
    public List<String> toStrTokens(String text, boolean prependBos) {
        return texts.toStrTokens(text, prependBos);
    }

    /**
     * Returns the text of each of some ids.
     *
     * @param tokens int64 [pos] or [1, pos]
     * @return one text for each token; bytes that are no whole character become U+FFFD
     */
    public List<String> toStrTokens(Tensor tokens) {
        return texts.toStrTokens(tokens);
    }

    /**
     * Returns the text of ids.
     *
     * @param tokens int64 [pos] or [1, pos]
     * @return the text; bytes that are no whole character become U+FFFD
     */
    public String toString(Tensor tokens) {
        return texts.toString(tokens);
    }

    /**
     * Returns the text of each row of ids.
     *
     * @param tokens int64 [batch, pos]
     * @return one text for each row; bytes that are no whole character become U+FFFD
     */
    public List<String> toStrings(Tensor tokens) {
        return texts.toStrings(tokens);
    }

    /**
     * Returns the id of a text that is one token.
     *
     * @param text such as {@code " Mary"}
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
     * Returns where a token first stands.
     *
     * @param token  a text that is one token
     * @param tokens int64 [pos] or [1, pos]
     * @return the position, from 0
     * @throws IllegalArgumentException if it does not occur, or is no single token
     */
    public int tokenPosition(String token, Tensor tokens) {
        return texts.tokenPosition(token, tokens);
    }

    /**
     * Returns where a token last stands.
     *
     * @param token  a text that is one token
     * @param tokens int64 [pos] or [1, pos]
     * @return the position, from 0
     * @throws IllegalArgumentException if it does not occur, or is no single token
     */
    public int lastTokenPosition(String token, Tensor tokens) {
        return texts.lastTokenPosition(token, tokens);
    }

    /** The directions of the residual stream that raise the logits of ids [...]: columns of W_U, [..., d_model]. */
    public Tensor tokensToResidualDirections(Tensor tokens) {
        try (var _ = TensorScope.open()) {
            requireInVocabulary(tokens.reshape(1, -1));
            long[] sizes = Arrays.copyOf(tokens.shape().sizes(), tokens.shape().rank() + 1);
            sizes[sizes.length - 1] = config().dModel();
            return weight("unembed.W_U")
                    .t()
                    .indexSelect(0, tokens.reshape(-1).to(device()))
                    .reshape(sizes)
                    .promote();
        }
    }

    // ------------------------------------------------------------------------------------------------- parts

    int layerIndex(int layer) {
        int index = layer < 0 ? layer + config().nLayers() : layer;
        if (index < 0 || index >= config().nLayers())
            throw new IllegalArgumentException(
                    "layer " + layer + " is outside the model's " + config().nLayers() + " layers");
        return index;
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

    /** Frees the weights; a view has none, and does nothing. */
    @Override
    public void close() {
        if (!view) loaded.scope().close();
    }

    /** Its name, size and where it runs. */
    @Override
    public String toString() {
        String with = isPlain() ? "" : ", with hooks or attachments";
        return "HookedTransformer(" + name() + ", " + config().nLayers() + " layers of " + config().dModel() + ", "
                + device() + with + (loaded.scope().isOpen() ? "" : ", closed") + ")";
    }
}
