package io.github.panascope.families;

import io.github.panascope.InputException;
import io.github.panascope.internal.ConfigFile;
import io.github.panascope.model.TransformerConfig.Activation;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/** The family of Gemma 1, 2 and 3, and of the text part of Gemma 3's multimodal models. */
final class Gemma implements ModelFamily {
    private static final TensorNames FIRST = new TensorNames(
            // Multimodal files hold the text part behind one of the first two, depending on who wrote them.
            List.of("language_model.model.", "model.language_model.", "model.", ""),
            TensorNames.LLAMA.model(),
            List.of("lm_head.weight", "language_model.lm_head.weight"),
            TensorNames.LLAMA.block(),
            TensorNames.LLAMA.parts(),
            TensorNames.LLAMA.heads(),
            true,
            true,
            Pattern.compile(".*rotary_emb\\.inv_freq|(model\\.)?(vision_tower|multi_modal_projector)\\..*"));
    /** Since Gemma 2 the second norm of a block is that after attention. */
    private static final TensorNames LATER = FIRST.withParts(Map.of(
            "ln1_post.w", "post_attention_layernorm.weight",
            "ln2.w", "pre_feedforward_layernorm.weight",
            "ln2_post.w", "post_feedforward_layernorm.weight"));

    private final int generation;

    Gemma(int generation) {
        this.generation = generation;
    }

    @Override
    public Set<String> modelTypes() {
        return switch (generation) {
            case 1 -> Set.of("gemma");
            case 2 -> Set.of("gemma2");
            default -> Set.of("gemma3_text", "gemma3");
        };
    }

    @Override
    public TensorNames tensorNames() {
        return generation == 1 ? FIRST : LATER;
    }

    @Override
    public Parsed parse(ConfigFile file) {
        if (file.text("model_type", "").equals("gemma3"))
            return parse(file.object("text_config")
                    .orElseThrow(() -> new InputException(
                            file.place() + " has no 'text_config', which should describe the text model.")));
        if (file.flag("use_bidirectional_attention", false)) throw file.wrong("use_bidirectional_attention", "false");
        boolean biases = file.flag("attention_bias", false);
        RmsDecoderConfig config = new RmsDecoderConfig(file)
                .understood("hidden_activation", "use_bidirectional_attention")
                .alwaysGrouped()
                .headDim(256)
                .biases(biases, biases)
                .scaledEmbedding()
                .tiedIfAbsent()
                .activation(activation(file, generation == 1));
        return switch (generation) {
            case 1 -> config.parse();
            case 2 -> second(file, config).parse();
            default -> third(file, config).parse();
        };
    }

    /**
     * Returns the approximation of GELU by tanh, with which all Gemmas were trained; the first files say {@code gelu}.
     */
    private static Activation activation(ConfigFile file, boolean first) {
        for (String key : List.of("hidden_activation", "hidden_act")) {
            String name = file.text(key, "gelu_pytorch_tanh");
            boolean tanh = name.equals("gelu_pytorch_tanh") || name.equals("gelu_new");
            if (!tanh && !(first && name.equals("gelu"))) throw file.wrong(key, "'gelu_pytorch_tanh'");
        }
        return Activation.GELU_TANH;
    }

    private static RmsDecoderConfig second(ConfigFile file, RmsDecoderConfig config) {
        return config.understood("query_pre_attn_scalar", "attn_logit_softcapping", "final_logit_softcapping")
                .normAfterOutputs()
                .queryScalar(scalar(file))
                .caps(cap(file, "attn_logit_softcapping", 50), cap(file, "final_logit_softcapping", 30))
                .windows(file.size("sliding_window", 4096), layer -> layer % 2 == 0);
    }

    private static RmsDecoderConfig third(ConfigFile file, RmsDecoderConfig config) {
        int pattern = file.size(
                "sliding_window_pattern", file.size("_sliding_window_pattern", 6)); // every 6th block sees everything
        double local = file.positive("rope_local_base_freq", 10000);
        return config.understood(
                        "query_pre_attn_scalar",
                        "attn_logit_softcapping",
                        "final_logit_softcapping",
                        "sliding_window_pattern",
                        "_sliding_window_pattern",
                        "rope_local_base_freq")
                .sizesIfAbsent(8, 4, 262208, 131072)
                .normAfterOutputs()
                .queryKeyNorm()
                .queryScalar(scalar(file))
                .caps(cap(file, "attn_logit_softcapping", 0), cap(file, "final_logit_softcapping", 0))
                .rotaryBase(1e6, local)
                .windows(file.size("sliding_window", 4096), layer -> (layer + 1) % pattern != 0);
    }

    private static double scalar(ConfigFile file) {
        return file.positive("query_pre_attn_scalar", 256);
    }

    /** Reads a cap; null means that there is none, and an absent key the cap of the family. */
    private static double cap(ConfigFile file, String key, double ifAbsent) {
        double cap = file.number(key, file.value(key) == null ? ifAbsent : 0);
        if (cap < 0) throw file.wrong(key, "a positive number");
        return cap;
    }
}
