package io.github.panascope.families;

import io.github.panascope.InputException;
import io.github.panascope.internal.ConfigFile;
import io.github.panascope.model.TransformerConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/** The family of GPT-2: its four sizes, distilgpt2, and Stanford's models of the same architecture. */
public final class Gpt2 implements ModelFamily {
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

    private static final TensorNames NAMES = new TensorNames(
            List.of("transformer.", ""), // the file of the `gpt2` repository has no prefix
            Map.of(
                    "embed.W_E", "wte.weight",
                    "pos_embed.W_pos", "wpe.weight",
                    "ln_final.w", "ln_f.weight",
                    "ln_final.b", "ln_f.bias"),
            List.of("lm_head.weight"),
            "h.%d.",
            Map.ofEntries(
                    Map.entry("ln1.w", "ln_1.weight"),
                    Map.entry("ln1.b", "ln_1.bias"),
                    Map.entry("ln2.w", "ln_2.weight"),
                    Map.entry("ln2.b", "ln_2.bias"),
                    Map.entry("attn.W_QKV", "attn.c_attn.weight"),
                    Map.entry("attn.b_QKV", "attn.c_attn.bias"),
                    Map.entry("attn.W_O", "attn.c_proj.weight"),
                    Map.entry("attn.b_O", "attn.c_proj.bias"),
                    Map.entry("mlp.W_in", "mlp.c_fc.weight"),
                    Map.entry("mlp.b_in", "mlp.c_fc.bias"),
                    Map.entry("mlp.W_out", "mlp.c_proj.weight"),
                    Map.entry("mlp.b_out", "mlp.c_proj.bias")),
            TensorNames.Heads.QKV_SIDE_BY_SIDE,
            false,
            false,
            Pattern.compile(".*h\\.\\d+\\.attn\\.(masked_)?bias")); // the causal mask

    /** Makes the family, which has no state. */
    public Gpt2() {}

    @Override
    public Set<String> modelTypes() {
        return Set.of("gpt2");
    }

    @Override
    public boolean hasGpt2Tokenizer() {
        return true;
    }

    @Override
    public TensorNames tensorNames() {
        return NAMES;
    }

    @Override
    public Parsed parse(ConfigFile file) {
        List<String> skipped = new ArrayList<>(file.skipped(UNDERSTOOD, HARMLESS));
        expect(file, "model_type", "gpt2", "gpt2");
        expect(file, "activation_function", "gelu_new", "gelu_new");
        if (!file.flag("scale_attn_weights", true)) throw file.wrong("scale_attn_weights", "true");
        if (file.flag("add_cross_attention", false)) throw file.wrong("add_cross_attention", "false");
        int width = size(file, "n_embd");
        if (width > MAX_WIDTH) throw file.wrong(name(file, "n_embd"), "at most " + MAX_WIDTH);
        int context = file.has(name(file, "n_positions")) ? size(file, "n_positions") : file.size("n_ctx");
        double eps = file.positive("layer_norm_epsilon", 1e-5);
        int heads = size(file, "n_head");
        if (width % heads != 0)
            throw new InputException(
                    file.place() + ": 'n_embd' " + width + " should be a multiple of 'n_head' " + heads + ".");
        return new Parsed(
                TransformerConfig.gpt2(
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
}
