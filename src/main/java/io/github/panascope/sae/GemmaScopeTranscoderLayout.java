package io.github.panascope.sae;

import io.github.panascope.hub.Hub;
import io.github.panascope.hub.HubRepo;
import io.github.panascope.hub.SaeRegistry;
import java.nio.file.Path;
import java.util.List;
import tools.jackson.databind.node.ObjectNode;

/**
 * The transcoders of Gemma Scope, from the normalised input of an MLP of Gemma 2 to its output: a folder of
 * {@code params.npz} without a configuration.
 */
final class GemmaScopeTranscoderLayout implements SaeLayout {
    @Override
    public SaePlan plan(SaeRegistry.Entry sae) {
        return SaePlan.ofNames(sae, List.of(GemmaScopeLayout.params(sae)), List.of())
                .withHook(block(sae) + "ln2.hook_normalized");
    }

    private static String block(SaeRegistry.Entry sae) {
        return "blocks." + SaeLayout.found(GemmaScopeLayout.LAYER, sae.path(), sae, "its layer") + ".";
    }

    @Override
    public SaeFiles find(SaeRegistry.Entry sae, Hub hub) {
        Path params = hub.file(HubRepo.model(sae.repo()), GemmaScopeLayout.params(sae));
        ObjectNode config = SaeLayout.config(Architecture.JUMPRELU_TRANSCODER)
                .put("hook_name", block(sae) + "ln2.hook_normalized")
                .put("hook_name_out", block(sae) + "hook_mlp_out")
                .put("model_name", GemmaScopeLayout.model(sae))
                .put("context_size", 1024)
                .put("dataset_path", "monology/pile-uncopyrighted");
        SaeLayout.putSizes(config, params, "w_enc", List.of("d_in", "d_sae"));
        SaeLayout.putSizes(config, params, "w_dec", List.of("d_sae", "d_out"));
        return new SaeFiles(SaeLayout.parse(params.toString(), config, sae), params, sae, GemmaScopeLayout::read);
    }
}
