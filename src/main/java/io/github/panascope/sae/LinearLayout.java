package io.github.panascope.sae;

import io.github.panascope.hub.Hub;
import io.github.panascope.hub.HubRepo;
import io.github.panascope.hub.SaeRegistry;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Pattern;
import tools.jackson.databind.node.ObjectNode;

/**
 * Two layers of torch.nn.Linear in a pickled file, without a configuration: standard SAEs on the residual stream of
 * models for chats, by Goodfire and by qresearch. The name of the file says the layer.
 *
 * @param encoder the name of the first layer in the file
 * @param decoder the name of the second one
 */
record LinearLayout(String encoder, String decoder) implements SaeLayout {
    private static final Pattern LAYER = Pattern.compile("-l(\\d+)\\.pth?$");

    @Override
    public SaePlan plan(SaeRegistry.Entry sae) {
        return SaePlan.ofNames(sae, List.of(sae.path()), List.of()).withHook(hook(sae));
    }

    private static String hook(SaeRegistry.Entry sae) {
        return "blocks." + SaeLayout.found(LAYER, sae.path(), sae, "its layer") + ".hook_resid_post";
    }

    @Override
    public SaeFiles find(SaeRegistry.Entry sae, Hub hub) {
        Path weights = hub.file(HubRepo.model(sae.repo()), sae.path());
        ObjectNode config = SaeLayout.config(Architecture.STANDARD)
                .put("hook_name", hook(sae))
                .put("model_name", sae.model())
                .put("dataset_path", "lmsys/lmsys-chat-1m");
        if (sae.loader().equals("deepseek_r1")) config.put("context_size", 1024);
        SaeLayout.putSizes(config, weights, encoder + ".weight", List.of("d_sae", "d_in"));
        return new SaeFiles(
                SaeLayout.parse(weights.toString(), config, sae),
                weights,
                sae,
                reader -> read(reader, encoder, decoder));
    }

    /** Reads the weights of two layers of torch.nn.Linear, which keeps its matrices transposed. */
    static WeightReader read(WeightReader reader, String encoder, String decoder) {
        return reader.takeTransposed("W_enc", encoder + ".weight")
                .takeTransposed("W_dec", decoder + ".weight")
                .take("b_enc", encoder + ".bias")
                .take("b_dec", decoder + ".bias");
    }
}
