package io.github.panascope.sae;

import io.github.panascope.InputException;
import io.github.panascope.hub.Hub;
import io.github.panascope.hub.HubRepo;
import io.github.panascope.hub.SaeRegistry;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.databind.node.ObjectNode;

/**
 * Qwen Scope, topk SAEs of Qwen 3: a pickled {@code layerN.sae.pt} with both matrices transposed, without a
 * configuration. The repository says the width and k.
 */
final class QwenScopeLayout implements SaeLayout {
    private static final Pattern REPO = Pattern.compile("-W(\\d+K)-L0_(\\d{1,6})");
    private static final Pattern LAYER = Pattern.compile("layer(\\d+)\\.sae\\.pt$");

    @Override
    public SaePlan plan(SaeRegistry.Entry sae) {
        return SaePlan.ofNames(sae, List.of(sae.path()), List.of())
                .withHook(hook(sae))
                .withWidth(SaePlan.width(repo(sae).group(1)).orElse(0));
    }

    private static Matcher repo(SaeRegistry.Entry sae) {
        Matcher repo = REPO.matcher(sae.repo());
        if (!repo.find())
            throw new InputException("SAE " + sae.name() + ": the repository '" + sae.repo()
                    + "' should say the width and k, such as -W32K-L0_50.");
        return repo;
    }

    private static String hook(SaeRegistry.Entry sae) {
        return "blocks." + SaeLayout.found(LAYER, sae.path(), sae, "its layer") + ".hook_resid_post";
    }

    @Override
    public SaeFiles find(SaeRegistry.Entry sae, Hub hub) {
        Path weights = hub.file(HubRepo.model(sae.repo()), sae.path());
        ObjectNode config = SaeLayout.config(Architecture.TOPK)
                .put("activation_fn", "topk")
                .put("k", Integer.parseInt(repo(sae).group(2)))
                .put("hook_name", hook(sae))
                .put("hf_hook_name", "model.layers." + SaeLayout.found(LAYER, sae.path(), sae, "its layer"))
                .put("model_name", sae.model())
                .put("context_size", 1024);
        SaeLayout.putSizes(config, weights, "W_enc", List.of("d_sae", "d_in"));
        return new SaeFiles(
                SaeLayout.parse(weights.toString(), config, sae),
                weights,
                sae,
                reader -> reader.takeTransposed("W_enc", "W_enc")
                        .takeTransposed("W_dec", "W_dec")
                        .take("b_enc", "b_enc")
                        .take("b_dec", "b_dec"));
    }
}
