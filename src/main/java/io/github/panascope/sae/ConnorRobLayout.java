package io.github.panascope.sae;

import io.github.panascope.InputException;
import io.github.panascope.hub.Hub;
import io.github.panascope.hub.HubRepo;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.internal.ConfigFile;
import java.util.List;
import tools.jackson.databind.node.ObjectNode;

/**
 * A pickled {@code NAME.pt} with W_enc, b_enc, W_dec and b_dec, and {@code NAME_cfg.json}. SAEs of this layout are
 * always on attn.hook_z of gpt2-small.
 */
final class ConnorRobLayout implements SaeLayout {
    @Override
    public SaePlan plan(SaeRegistry.Entry sae) {
        return SaePlan.ofNames(sae, List.of(config(sae), sae.path()), List.of());
    }

    private static String config(SaeRegistry.Entry sae) {
        String path = sae.path();
        if (!path.endsWith(".pt"))
            throw new InputException("SAE " + sae.name() + " should be a .pt file, not '" + path + "'.");
        return path.substring(0, path.length() - ".pt".length()) + "_cfg.json";
    }

    @Override
    public SaeFiles find(SaeRegistry.Entry sae, Hub hub) {
        HubRepo repo = HubRepo.model(sae.repo());
        ConfigFile old = ConfigFile.read(hub.file(repo, config(sae)));
        ObjectNode config = SaeLayout.config(Architecture.STANDARD)
                .put("apply_b_dec_to_input", true)
                .put("d_in", old.size("act_size"))
                .put("d_sae", old.size("dict_size"))
                .put("hook_name", old.text("act_name"))
                .put("model_name", "gpt2-small")
                .put("context_size", 128)
                .put("reshape_activations", "hook_z")
                .put("dataset_path", "Skylion007/openwebtext");
        return new SaeFiles(SaeLayout.parse(old, config, sae), hub.file(repo, sae.path()), sae, SaeLensLayout::read);
    }
}
