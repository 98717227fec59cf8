package io.github.panascope.families.gpt2;

import io.github.panascope.InputException;
import io.github.panascope.families.ModelFamily.Parsed;
import io.github.panascope.internal.ConfigFile;
import io.github.panascope.model.TransformerConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** The {@code config.json} of GPT-2. */
final class Gpt2Config {
    /** The largest width: a thousand times that of GPT-2 XL, and small enough that four times the width is an int. */
    private static final int MAX_WIDTH = 1 << 21;

    private static final Set<String> UNDERSTOOD = Set.of(
            "model_type",
            "n_layer",
            "n_embd",
            "n_head",
            "n_inner",
            "vocab_size",
            "n_positions",
            "n_ctx",
            "layer_norm_epsilon",
            "activation_function",
            "scale_attn_weights",
            "scale_attn_by_inverse_layer_idx",
            "add_cross_attention",
            "tie_word_embeddings",
            "hidden_size",
            "max_position_embeddings",
            "num_attention_heads",
            "num_hidden_layers");
    /** The common names in Transformers of keys that GPT2Config names differently (its attribute_map). */
    private static final Map<String, String> OTHER_NAMES = Map.of(
            "n_embd",
            "hidden_size",
            "n_positions",
            "max_position_embeddings",
            "n_head",
            "num_attention_heads",
            "n_layer",
            "num_hidden_layers");
    /** Keys of GPT2Config and PretrainedConfig that do not affect the forward pass. */
    private static final Set<String> HARMLESS = Set.of(
            "architectures",
            "attn_pdrop",
            "bos_token_id",
            "dtype",
            "torch_dtype",
            "embd_pdrop",
            "eos_token_id",
            "initializer_range",
            "reorder_and_upcast_attn",
            "resid_pdrop",
            "summary_activation",
            "summary_first_dropout",
            "summary_proj_to_labels",
            "summary_type",
            "summary_use_proj",
            "task_specific_params",
            "transformers_version",
            "use_cache",
            "_name_or_path",
            "_num_labels",
            "id2label",
            "label2id",
            "pad_token_id",
            "gradient_checkpointing",
            "output_past");

    private Gpt2Config() {}

    /**
     * Reads a {@code config.json}.
     *
     * @throws InputException if it is not that of a GPT-2, or changes the computation in a way that is not supported
     */
    static Parsed parse(ConfigFile file) {
        List<String> skipped = new ArrayList<>(file.skipped(UNDERSTOOD, HARMLESS));
        expect(file, "model_type", "gpt2", "gpt2");
        expect(file, "activation_function", "gelu_new", "gelu_new");
        if (!file.flag("scale_attn_weights", true)) throw file.wrong("scale_attn_weights", "true");
        if (file.flag("add_cross_attention", false)) throw file.wrong("add_cross_attention", "false");
        int width = size(file, "n_embd");
        if (width > MAX_WIDTH) throw file.wrong(name(file, "n_embd"), "at most " + MAX_WIDTH);
        int context = file.has(name(file, "n_positions")) ? size(file, "n_positions") : file.size("n_ctx");
        double eps = file.number("layer_norm_epsilon", 1e-5);
        if (!(eps > 0) || Double.isInfinite(eps)) throw file.wrong("layer_norm_epsilon", "a positive number");
        int heads = size(file, "n_head");
        if (width % heads != 0)
            throw new InputException(
                    file.place() + ": 'n_embd' " + width + " should be a multiple of 'n_head' " + heads + ".");
        return new Parsed(
                new TransformerConfig(
                        size(file, "n_layer"),
                        width,
                        heads,
                        file.size("n_inner", 4 * width),
                        file.size("vocab_size"),
                        context,
                        eps,
                        file.flag("scale_attn_by_inverse_layer_idx", false),
                        file.flag("tie_word_embeddings", true)),
                skipped);
    }

    /** Returns the name under which the file has a number: GPT-2's own name unless only the common name is present. */
    private static String name(ConfigFile file, String own) {
        String other = OTHER_NAMES.get(own);
        return !file.has(own) && file.has(other) ? other : own;
    }

    /** Returns a positive number of the file, which has to be the same under both of its names. */
    private static int size(ConfigFile file, String own) {
        String other = OTHER_NAMES.get(own);
        int size = file.size(name(file, own));
        if (file.has(other) && file.size(other) != size)
            throw new InputException(file.place() + ": '" + own + "' is " + size + " and '" + other
                    + "', another name for it, is " + file.size(other) + ": remove the one that is wrong.");
        return size;
    }

    private static void expect(ConfigFile file, String key, String only, String ifAbsent) {
        if (!file.text(key, ifAbsent).equals(only)) throw file.wrong(key, "'" + only + "'");
    }

    /** Returns a configuration in the form that {@link #parse} reads. */
    static String toJson(TransformerConfig config) {
        return """
            {"model_type": "gpt2", "n_layer": %d, "n_embd": %d, "n_head": %d,
             "n_inner": %d, "vocab_size": %d, "n_positions": %d, "layer_norm_epsilon": %s,
             "scale_attn_by_inverse_layer_idx": %b, "tie_word_embeddings": %b}\
            """.formatted(
                        config.nLayers(),
                        config.dModel(),
                        config.nHeads(),
                        config.dMlp(),
                        config.dVocab(),
                        config.nCtx(),
                        config.eps(),
                        config.inverseLayerAttnScale(),
                        config.tieWordEmbeddings());
    }
}
