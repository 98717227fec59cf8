package io.github.panascope.sae;

import io.github.panascope.hub.Hub;
import io.github.panascope.hub.HubRepo;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.internal.ConfigFile;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Shape;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.databind.node.ObjectNode;

/**
 * Llama Scope's jumprelu SAEs of DeepSeek-R1-Distill-Llama-8B: a folder of {@code config.json} and
 * {@code sae_weights.safetensors}, which holds the logarithms of the thresholds. SAELens names Llama 3.1 8B as their
 * model; the registry names the model that they were trained on.
 */
final class LlamaScopeR1Layout implements SaeLayout {
    private static final Pattern LAYER = Pattern.compile("/L(\\d+)R$");
    private static final String LOG_THRESHOLD = "log_jumprelu_threshold";

    @Override
    public SaePlan plan(SaeRegistry.Entry sae) {
        SaePlan plan = SaePlan.ofNames(
                sae, List.of(sae.path() + "/config.json", sae.path() + "/sae_weights.safetensors"), List.of());
        Matcher layer = LAYER.matcher(sae.path());
        return layer.find() ? plan.withHook("blocks." + layer.group(1) + ".hook_resid_post") : plan;
    }

    @Override
    public SaeFiles find(SaeRegistry.Entry sae, Hub hub) {
        HubRepo repo = HubRepo.model(sae.repo());
        ConfigFile file = ConfigFile.read(hub.file(repo, sae.path() + "/config.json"));
        long dSae = (long) file.size("d_model") * file.size("expansion_factor");
        if (dSae > Integer.MAX_VALUE) throw file.wrong("expansion_factor", "small enough to multiply d_model by");
        ObjectNode config = LlamaScopeLayout.scaled(file, sae).put("d_sae", dSae);
        return new SaeFiles(
                SaeLayout.parse(file, config, sae),
                hub.file(repo, sae.path() + "/sae_weights.safetensors"),
                sae,
                reader -> LlamaScopeLayout.read(reader)
                        .put(
                                "threshold",
                                reader.tensor(LOG_THRESHOLD, Shape.of(dSae))
                                        .to(DType.FLOAT32)
                                        .exp()));
    }
}
