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
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/** The family of GPT-NeoX: Pythia, GPT-NeoX-20B and others of their form. */
final class GptNeoX implements ModelFamily {
    private static final TensorNames NAMES = new TensorNames(
            List.of("gpt_neox.", ""),
            Map.of(
                    "embed.W_E", "embed_in.weight",
                    "ln_final.w", "final_layer_norm.weight",
                    "ln_final.b", "final_layer_norm.bias"),
            List.of("embed_out.weight"),
            "layers.%d.",
            Map.ofEntries(
                    Map.entry("ln1.w", "input_layernorm.weight"),
                    Map.entry("ln1.b", "input_layernorm.bias"),
                    Map.entry("ln2.w", "post_attention_layernorm.weight"),
                    Map.entry("ln2.b", "post_attention_layernorm.bias"),
                    Map.entry("attn.W_QKV", "attention.query_key_value.weight"),
                    Map.entry("attn.b_QKV", "attention.query_key_value.bias"),
                    Map.entry("attn.W_O", "attention.dense.weight"),
                    Map.entry("attn.b_O", "attention.dense.bias"),
                    Map.entry("mlp.W_in", "mlp.dense_h_to_4h.weight"),
                    Map.entry("mlp.b_in", "mlp.dense_h_to_4h.bias"),
                    Map.entry("mlp.W_out", "mlp.dense_4h_to_h.weight"),
                    Map.entry("mlp.b_out", "mlp.dense_4h_to_h.bias")),
            TensorNames.Heads.QKV_BY_HEAD,
            true,
            false,
            Pattern.compile(".*attention\\.(bias|masked_bias|rotary_emb\\.inv_freq)")); // masks and frequencies

    private static final Set<String> UNDERSTOOD = Set.of(
            "model_type",
            "num_hidden_layers",
            "hidden_size",
            "intermediate_size",
            "num_attention_heads",
            "vocab_size",
            "max_position_embeddings",
            "layer_norm_eps",
            "rotary_pct",
            "partial_rotary_factor",
            "rotary_emb_base",
            "rope_theta",
            "rope_scaling",
            "rope_parameters",
            "use_parallel_residual",
            "hidden_act",
            "attention_bias",
            "tie_word_embeddings",
            "quantization_config");

    @Override
    public Set<String> modelTypes() {
        return Set.of("gpt_neox");
    }

    @Override
    public TensorNames tensorNames() {
        return NAMES;
    }

    @Override
    public Parsed parse(ConfigFile file) {
        Set<String> harmless = new HashSet<>(RmsDecoderConfig.HARMLESS);
        harmless.addAll(List.of("bias", "model_parallel", "scale_attn_weights", "layernorm_gelu_fusion"));
        List<String> skipped = file.skipped(UNDERSTOOD, harmless);
        if (file.has("quantization_config"))
            throw file.wrong("quantization_config", "absent: quantized weights are not supported");
        if (file.has("rope_scaling")) throw file.wrong("rope_scaling", "null");
        if (!file.flag("attention_bias", true)) throw file.wrong("attention_bias", "true");
        if (file.flag("tie_word_embeddings", false)) throw file.wrong("tie_word_embeddings", "false");
        int width = file.size("hidden_size");
        int heads = file.size("num_attention_heads");
        if (width % heads != 0)
            throw new InputException(file.place() + ": 'hidden_size' " + width
                    + " should be a multiple of 'num_attention_heads' " + heads + ".");
        int dHead = width / heads;
        double eps = file.positive("layer_norm_eps", 1e-5);
        return new Parsed(
                new TransformerConfig(
                        file.size("num_hidden_layers"),
                        width,
                        file.size("vocab_size"),
                        file.size("max_position_embeddings"),
                        new Norm(NormKind.LAYER, eps, false),
                        new Attention(
                                heads,
                                heads,
                                false,
                                dHead,
                                Math.sqrt(dHead),
                                false,
                                true,
                                true,
                                false,
                                0,
                                Collections.emptyList()),
                        rotary(file, dHead),
                        new Mlp(file.size("intermediate_size"), activation(file), false),
                        file.flag("use_parallel_residual", true),
                        new Embedding(1, false, 0)),
                skipped);
    }

    private static Activation activation(ConfigFile file) {
        return switch (file.text("hidden_act", "gelu")) {
            case "gelu" -> Activation.GELU;
            case "gelu_new", "gelu_pytorch_tanh", "gelu_fast" -> Activation.GELU_TANH;
            default -> throw file.wrong("hidden_act", "'gelu' or 'gelu_new'");
        };
    }

    /** Reads the rotation of the first components of each head. */
    private static Rotary rotary(ConfigFile file, int dHead) {
        ConfigFile parameters = file.object("rope_parameters").orElse(file);
        if (!parameters.text("rope_type", "default").equals("default"))
            throw parameters.wrong("rope_type", "'default'");
        double share = parameters.positive("partial_rotary_factor", file.positive("rotary_pct", 0.25));
        int dims = (int) (dHead * share); // cut off as Transformers does
        if (share > 1 || dims < 2 || dims % 2 != 0)
            throw file.wrong("rotary_pct", "a share of the " + dHead + " components of a head that gives pairs");
        return new Rotary(dims, parameters.positive("rope_theta", file.positive("rotary_emb_base", 10000)));
    }
}
