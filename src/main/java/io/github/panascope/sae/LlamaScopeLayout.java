package io.github.panascope.sae;

import io.github.panascope.hub.Hub;
import io.github.panascope.hub.HubRepo;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.internal.ConfigFile;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.databind.node.ObjectNode;

/**
 * Llama Scope, jumprelu SAEs of Llama 3.1 8B: a folder of {@code hyperparams.json} and
 * {@code checkpoints/final.safetensors}. One threshold counts for all features. It is for activations of the scale that
 * the files give, and the SAEs were trained on activations of norm √d_in, so it is multiplied by the ratio.
 */
final class LlamaScopeLayout implements SaeLayout {
    private static final Pattern PATH = Pattern.compile("L(\\d{1,4})([RAM])-(\\d{1,4})x$");
    private static final int D_MODEL = 4096;

    @Override
    public SaePlan plan(SaeRegistry.Entry sae) {
        SaePlan plan = SaePlan.ofNames(
                sae,
                List.of(sae.path() + "/hyperparams.json", sae.path() + "/checkpoints/final.safetensors"),
                List.of());
        Matcher path = PATH.matcher(sae.path());
        if (!path.find()) return plan;
        String part = switch (path.group(2)) {
            case "R" -> "hook_resid_post";
            case "A" -> "hook_attn_out";
            default -> "hook_mlp_out";
        };
        return plan.withHook("blocks." + path.group(1) + "." + part)
                .withWidth(Integer.parseInt(path.group(3)) * D_MODEL);
    }

    @Override
    public SaeFiles find(SaeRegistry.Entry sae, Hub hub) {
        HubRepo repo = HubRepo.model(sae.repo());
        ConfigFile file = ConfigFile.read(hub.file(repo, sae.path() + "/hyperparams.json"));
        ObjectNode config = scaled(file, sae).put("d_sae", file.size("d_sae"));
        double norm = file.object("dataset_average_activation_norm")
                .map(norms -> norms.number("in", 0))
                .orElse(0.0);
        double threshold = file.number("jump_relu_threshold", -1);
        if (norm <= 0) throw file.wrong("dataset_average_activation_norm", "an object with a positive number 'in'");
        if (threshold < 0) throw file.wrong("jump_relu_threshold", "a number of at least 0");
        double scaledThreshold = threshold * (Math.sqrt(file.size("d_model")) / norm);
        return new SaeFiles(
                SaeLayout.parse(file, config, sae),
                hub.file(repo, sae.path() + "/checkpoints/final.safetensors"),
                sae,
                reader -> read(reader)
                        .put("threshold", Tensor.full(DType.FLOAT32, Shape.of(file.size("d_sae")), scaledThreshold)));
    }

    /** Returns the configuration of an SAE that was trained on activations that were scaled to a norm of √d_in. */
    static ObjectNode scaled(ConfigFile file, SaeRegistry.Entry sae) {
        String hook = file.text("hook_point_in");
        if (!file.text("hook_point_out", hook).equals(hook))
            throw file.wrong("hook_point_out", "'" + hook + "', as hook_point_in says; transcoders are not supported");
        return SaeLayout.config(Architecture.JUMPRELU)
                .put("d_in", file.size("d_model"))
                .put("hook_name", hook)
                .put("model_name", sae.model())
                .put("context_size", 1024)
                .put("dataset_path", "cerebras/SlimPajama-627B")
                .put("normalize_activations", Normalization.EXPECTED_AVERAGE_ONLY_IN.key());
    }

    /** Reads the weights of torch.nn.Linear. */
    static WeightReader read(WeightReader reader) {
        return LinearLayout.read(reader, "encoder", "decoder");
    }
}
