package io.github.panascope.families;

import io.github.panascope.InputException;
import io.github.panascope.internal.ConfigFile;
import io.github.panascope.model.TransformerConfig;
import io.github.panascope.model.TransformerConfig.Activation;
import io.github.panascope.model.TransformerConfig.Attention;
import io.github.panascope.model.TransformerConfig.Embedding;
import io.github.panascope.model.TransformerConfig.Mlp;
import io.github.panascope.model.TransformerConfig.Norm;
import io.github.panascope.model.TransformerConfig.NormKind;
import io.github.panascope.model.TransformerConfig.Rotary;
import io.github.panascope.model.TransformerConfig.RotaryScaling;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * The part of {@code config.json} that Llama, Mistral, Qwen and Gemma have in common, read as Transformers 4.57 reads
 * it. The setters hold what a family has of its own; {@link #parse} makes the description.
 */
final class RmsDecoderConfig {
    /** The largest width, and small enough that products of sizes stay within an int where they have to. */
    private static final int MAX_WIDTH = 1 << 21;

    private static final int MAX_LAYERS = 10_000;

    private static final Set<String> UNDERSTOOD = Set.of(
            "model_type",
            "num_hidden_layers",
            "hidden_size",
            "intermediate_size",
            "num_attention_heads",
            "num_key_value_heads",
            "head_dim",
            "vocab_size",
            "max_position_embeddings",
            "rms_norm_eps",
            "rope_theta",
            "rope_scaling",
            "rope_parameters",
            "hidden_act",
            "attention_bias",
            "mlp_bias",
            "tie_word_embeddings",
            "partial_rotary_factor",
            "quantization_config");
    /** Keys that do not affect the forward pass. */
    static final Set<String> HARMLESS = Set.of(
            "architectures",
            "attention_dropout",
            "attn_implementation",
            "_attn_implementation",
            "bos_token_id",
            "eos_token_id",
            "pad_token_id",
            "cache_implementation",
            "dtype",
            "torch_dtype",
            "initializer_range",
            "pretraining_tp",
            "transformers_version",
            "unsloth_fixed",
            "use_cache",
            "classifier_dropout",
            "hidden_dropout",
            "_name_or_path",
            "id2label",
            "label2id");

    private final ConfigFile file;
    private final Set<String> ownKeys = new HashSet<>();
    private boolean grouped;
    private int headDim;
    private boolean queryKeyNorm;
    private boolean biases;
    private boolean outputBias;
    private boolean afterOutputs;
    private double scalar;
    private double scoreCap;
    private double logitCap;
    private boolean scaledEmbedding;
    private boolean tied;
    private double base = 10000;
    private double localBase;
    private List<Integer> windows = Collections.emptyList();
    private @Nullable Activation activation;
    private @Nullable Integer heads;
    private @Nullable Integer keyValueHeads;
    private @Nullable Integer vocabulary;
    private @Nullable Integer context;

    RmsDecoderConfig(ConfigFile file) {
        this.file = file;
        if (file.has("quantization_config"))
            throw file.wrong("quantization_config", "absent: quantized weights are not supported");
    }

    /** Adds keys that the family reads itself. */
    RmsDecoderConfig understood(String... keys) {
        ownKeys.addAll(List.of(keys));
        return this;
    }

    /** Sets that TransformerLens always names the weights of keys and values as grouped. */
    RmsDecoderConfig alwaysGrouped() {
        grouped = true;
        return this;
    }

    /** Sets the width of a head where the file has none; 0 for hidden_size divided by the number of heads. */
    RmsDecoderConfig headDim(int ifAbsent) {
        headDim = file.has("head_dim") ? file.size("head_dim") : ifAbsent;
        return this;
    }

    RmsDecoderConfig queryKeyNorm() {
        queryKeyNorm = true;
        return this;
    }

    RmsDecoderConfig biases(boolean ofQueriesKeysValues, boolean ofOutput) {
        biases = ofQueriesKeysValues;
        outputBias = ofOutput;
        return this;
    }

    RmsDecoderConfig normAfterOutputs() {
        afterOutputs = true;
        return this;
    }

    /** Sets the number whose root divides scores; 0 for the width of a head. */
    RmsDecoderConfig queryScalar(double scalar) {
        this.scalar = scalar;
        return this;
    }

    RmsDecoderConfig caps(double ofScores, double ofLogits) {
        scoreCap = ofScores;
        logitCap = ofLogits;
        return this;
    }

    RmsDecoderConfig scaledEmbedding() {
        scaledEmbedding = true;
        return this;
    }

    RmsDecoderConfig tiedIfAbsent() {
        tied = true;
        return this;
    }

    /** Sets the base of the rotation where the file has none, and that of blocks with a window; 0 for the same. */
    RmsDecoderConfig rotaryBase(double ifAbsent, double local) {
        base = ifAbsent;
        localBase = local;
        return this;
    }

    RmsDecoderConfig activation(Activation only) {
        activation = only;
        return this;
    }

    /** Sets sizes that a file may leave out. */
    RmsDecoderConfig sizesIfAbsent(int heads, int keyValueHeads, int vocabulary, int context) {
        this.heads = heads;
        this.keyValueHeads = keyValueHeads;
        this.vocabulary = vocabulary;
        this.context = context;
        return this;
    }

    /**
     * Sets the windows of blocks: those of {@code layer_types}, or of the blocks that a rule names.
     *
     * @param window number of positions; 0 for no window in any block
     * @param sliding the rule where the file has no layer_types
     */
    RmsDecoderConfig windows(int window, IntPredicate sliding) {
        understood("layer_types", "sliding_window");
        int layers = layers();
        boolean[] has = new boolean[layers];
        JsonNode types = file.has("layer_types") ? file.value("layer_types") : null;
        if (types != null && (!types.isArray() || types.size() != layers))
            throw file.wrong("layer_types", "a list with the type of each of the " + layers + " layers");
        for (int layer = 0; layer < layers; layer++) {
            String type = types == null ? null : types.get(layer).asString("");
            if (type != null && !type.equals("sliding_attention") && !type.equals("full_attention"))
                throw file.wrong("layer_types", "a list of sliding_attention and full_attention");
            has[layer] = type == null ? sliding.test(layer) : type.equals("sliding_attention");
        }
        windows = window == 0
                ? Collections.emptyList()
                : IntStream.range(0, layers)
                        .mapToObj(layer -> has[layer] ? window : 0)
                        .toList();
        return this;
    }

    ModelFamily.Parsed parse() {
        Set<String> understood = new HashSet<>(UNDERSTOOD);
        understood.addAll(ownKeys);
        List<String> skipped = file.skipped(understood, HARMLESS);
        if (file.flag("mlp_bias", false)) throw file.wrong("mlp_bias", "false");
        requireWholeHeads(file);
        int layers = layers();
        int width = file.size("hidden_size");
        if (width > MAX_WIDTH) throw file.wrong("hidden_size", "at most " + MAX_WIDTH);
        int nHeads = heads == null ? file.size("num_attention_heads") : file.size("num_attention_heads", heads);
        int shared = file.size("num_key_value_heads", keyValueHeads == null ? nHeads : keyValueHeads);
        if (nHeads % shared != 0)
            throw file.wrong("num_key_value_heads", "a divisor of num_attention_heads, " + nHeads);
        if (headDim == 0 && width % nHeads != 0)
            throw new InputException(file.place() + ": 'hidden_size' " + width
                    + " should be a multiple of 'num_attention_heads' " + nHeads + ".");
        int dHead = headDim == 0 ? width / nHeads : headDim;
        if (dHead % 2 != 0)
            throw new InputException(file.place() + ": heads of " + dHead + " components cannot be rotated in pairs.");
        double eps = file.positive("rms_norm_eps", 1e-6);
        double scale = Math.sqrt(scalar == 0 ? dHead : scalar);
        return new ModelFamily.Parsed(
                new TransformerConfig(
                        layers,
                        width,
                        vocabulary == null ? file.size("vocab_size") : file.size("vocab_size", vocabulary),
                        context == null
                                ? file.size("max_position_embeddings")
                                : file.size("max_position_embeddings", context),
                        new Norm(NormKind.RMS, eps, afterOutputs),
                        new Attention(
                                nHeads,
                                shared,
                                grouped || shared != nHeads,
                                dHead,
                                scale,
                                false,
                                biases,
                                outputBias,
                                queryKeyNorm,
                                scoreCap,
                                windows),
                        rotary(dHead),
                        new Mlp(file.size("intermediate_size"), activation(), true),
                        false,
                        new Embedding(
                                scaledEmbedding ? Math.sqrt(width) : 1,
                                file.flag("tie_word_embeddings", tied),
                                logitCap)),
                skipped);
    }

    private int layers() {
        int layers = file.size("num_hidden_layers");
        if (layers > MAX_LAYERS) throw file.wrong("num_hidden_layers", "at most " + MAX_LAYERS);
        return layers;
    }

    private static void requireWholeHeads(ConfigFile file) {
        if (file.number("partial_rotary_factor", 1) != 1) throw file.wrong("partial_rotary_factor", "1");
    }

    private Activation activation() {
        if (activation != null) return activation;
        return switch (file.text("hidden_act", "silu")) {
            case "silu" -> Activation.SILU;
            case "gelu" -> Activation.GELU;
            case "gelu_new", "gelu_pytorch_tanh" -> Activation.GELU_TANH;
            default -> throw file.wrong("hidden_act", "one of silu, gelu, gelu_new, gelu_pytorch_tanh");
        };
    }

    /**
     * Reads the rotation. Transformers 5 writes {@code rope_parameters}, which may hold those of either kind of block;
     * earlier versions wrote {@code rope_theta} and {@code rope_scaling}.
     */
    private Rotary rotary(int dHead) {
        Optional<ConfigFile> parameters = file.object("rope_parameters");
        Optional<ConfigFile> global =
                parameters.flatMap(all -> all.has("full_attention") ? all.object("full_attention") : Optional.of(all));
        double theta = global.filter(some -> some.has("rope_theta"))
                .map(some -> some.positive("rope_theta", base))
                .orElseGet(() -> file.positive("rope_theta", base));
        Optional<ConfigFile> sliding = parameters.flatMap(all -> all.object("sliding_attention"));
        global.ifPresent(RmsDecoderConfig::requireWholeHeads);
        sliding.ifPresent(RmsDecoderConfig::requireWholeHeads);
        if (sliding.isPresent() && !sliding.get().text("rope_type", "default").equals("default"))
            throw sliding.get().wrong("rope_type", "'default'");
        double local =
                sliding.map(some -> some.positive("rope_theta", localBase)).orElse(localBase);
        Optional<ConfigFile> scaling = file.object("rope_scaling").or(() -> global);
        String type = scaling.map(some -> some.text("rope_type", some.text("type", "default")))
                .orElse("default");
        RotaryScaling kind = switch (type) {
            case "default" -> RotaryScaling.NONE;
            case "linear" -> RotaryScaling.LINEAR;
            case "llama3" -> RotaryScaling.LLAMA3;
            default ->
                throw scaling.orElseThrow()
                        .wrong(
                                scaling.orElseThrow().has("rope_type") ? "rope_type" : "type",
                                "one of default, linear, llama3");
        };
        if (kind == RotaryScaling.NONE) return new Rotary(dHead, theta, local, kind, 1, 1, 1, 1);
        ConfigFile values = scaling.orElseThrow();
        double factor = values.positive("factor", 0);
        boolean bands = kind == RotaryScaling.LLAMA3;
        double low = bands ? values.positive("low_freq_factor", 0) : 1;
        double high = bands ? values.positive("high_freq_factor", 0) : 1;
        if (bands && high <= low) throw values.wrong("high_freq_factor", "greater than low_freq_factor, " + low);
        int original = bands ? values.size("original_max_position_embeddings") : 1;
        return new Rotary(dHead, theta, local, kind, factor, low, high, original);
    }
}
