package io.github.panascope.sae;

import io.github.panascope.InputException;
import io.github.panascope.hub.Hub;
import io.github.panascope.hub.HubRepo;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.internal.ConfigFile;
import java.nio.file.Path;
import java.util.List;
import tools.jackson.databind.node.ObjectNode;

/**
 * Gemma Scope 2, jumprelu SAEs and transcoders of Gemma 3: a folder of {@code params.safetensors}, in most cases with
 * {@code config.json}. A transcoder may have an affine skip connection.
 */
final class GemmaScope2Layout implements SaeLayout {
    private static final String SKIP = "affine_skip_connection";

    @Override
    public SaePlan plan(SaeRegistry.Entry sae) {
        return SaePlan.ofNames(sae, List.of(sae.path() + "/params.safetensors"), List.of(sae.path() + "/config.json"))
                .withHook(hook(sae));
    }

    /**
     * Returns the hook point of a folder. A transcoder reads what an MLP reads, after the norm and its weight. SAELens
     * says {@code hook_mlp_in} for this, which in TransformerLens is the input before the norm.
     */
    private static String hook(SaeRegistry.Entry sae) {
        String block = "blocks." + SaeLayout.found(GemmaScopeLayout.LAYER, sae.path(), sae, "its layer") + ".";
        String site = sae.path().replaceFirst("(_all)?/.*", "");
        return block
                + switch (site) {
                    case "resid_post" -> "hook_resid_post";
                    case "attn_out" -> "attn.hook_z";
                    case "mlp_out" -> "hook_mlp_out";
                    case "transcoder" -> "mlp.hook_in";
                    default ->
                        throw new InputException("SAE " + sae.name() + ": the path '" + sae.path()
                                + "' should begin with resid_post, attn_out, mlp_out or transcoder; others are not"
                                + " supported.");
                };
    }

    /** Returns the place of a hook point in Hugging Face's model, as a configuration would name it. */
    private static String transformersHook(String hook) {
        String[] parts = hook.split("\\.", 3);
        return "model.layers." + parts[1]
                + switch (parts[2]) {
                    case "hook_resid_post" -> ".output";
                    case "attn.hook_z" -> ".self_attn.o_proj.input";
                    case "hook_mlp_out" -> ".post_feedforward_layernorm.output";
                    default -> ".pre_feedforward_layernorm.output";
                };
    }

    @Override
    public SaeFiles find(SaeRegistry.Entry sae, Hub hub) {
        HubRepo repo = HubRepo.model(sae.repo());
        String hook = hook(sae);
        boolean transcoder = hook.endsWith("mlp.hook_in");
        ConfigFile file = hub.optionalFile(repo, sae.path() + "/config.json")
                .map(ConfigFile::read)
                .orElseGet(() -> ConfigFile.parse(sae.name(), "{}"));
        if (!file.text("architecture", "jump_relu").equals("jump_relu"))
            throw file.wrong("architecture", "'jump_relu'");
        Path params = hub.file(repo, sae.path() + "/params.safetensors");
        boolean skips = transcoder && SaeLayout.peek(params, tensors -> tensors.has(SKIP));
        if (transcoder && file.flag("affine_connection", skips) != skips)
            throw new InputException(params + (skips ? " has a" : " has no") + " tensor '" + SKIP + "', and "
                    + file.place() + " says otherwise.");
        ObjectNode config = SaeLayout.config(
                        !transcoder
                                ? Architecture.JUMPRELU
                                : skips ? Architecture.JUMPRELU_SKIP_TRANSCODER : Architecture.JUMPRELU_TRANSCODER)
                .put("hook_name", hook)
                .put("model_name", sae.model())
                .put("context_size", 1024)
                .put("dataset_path", "monology/pile-uncopyrighted");
        SaeLayout.putSizes(config, params, "w_enc", List.of("d_in", "d_sae"));
        config.put("hf_hook_name", file.text("hf_hook_point_in", transformersHook(hook)));
        if (transcoder) {
            SaeLayout.putSizes(config, params, "w_dec", List.of("d_sae", "d_out"));
            String out = hook.replace("mlp.hook_in", "hook_mlp_out");
            config.put("hook_name_out", out);
            config.put("hf_hook_name_out", file.text("hf_hook_point_out", transformersHook(out)));
            // With the norm's weight folded into the MLP, what the MLP reads would be another activation.
            config.putObject("model_from_pretrained_kwargs").put("fold_ln", false);
        }
        return new SaeFiles(
                SaeLayout.parse(file, config, sae),
                params,
                sae,
                reader -> GemmaScopeLayout.read(reader).takeTransposed("W_skip", SKIP));
    }
}
