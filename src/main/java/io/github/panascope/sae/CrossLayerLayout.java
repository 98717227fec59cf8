package io.github.panascope.sae;

import io.github.panascope.InputException;
import io.github.panascope.hub.Hub;
import io.github.panascope.hub.HubRepo;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.internal.ConfigFile;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.StateDict;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.node.ObjectNode;

/**
 * One layer of mntss's cross-layer transcoders: {@code config.yaml}, and files of the encoder and of the decoders to
 * this and all later layers. As in SAELens the decoders are added up, so only the features have a meaning.
 */
final class CrossLayerLayout implements SaeLayout {
    /** The number of features whose decoders are added up at once, which bounds the memory that it takes. */
    private static final int FEATURES_AT_ONCE = 1024;

    @Override
    public SaePlan plan(SaeRegistry.Entry sae) {
        return SaePlan.ofNames(sae, List.of("config.yaml", file("W_enc", sae), file("W_dec", sae)), List.of());
    }

    private static String file(String matrix, SaeRegistry.Entry sae) {
        return name(matrix, sae) + ".safetensors";
    }

    private static String name(String tensor, SaeRegistry.Entry sae) {
        return tensor + "_" + sae.path();
    }

    @Override
    public SaeFiles find(SaeRegistry.Entry sae, Hub hub) {
        HubRepo repo = HubRepo.model(sae.repo());
        ConfigFile file = HannaTranscoderLayout.yaml(hub.file(repo, "config.yaml"));
        Path encoder = hub.file(repo, file("W_enc", sae));
        String block = "blocks." + sae.path() + ".";
        ObjectNode config = SaeLayout.config(Architecture.TRANSCODER)
                .put("hook_name", block + file.text("feature_input_hook"))
                .put("hook_name_out", block + file.text("feature_output_hook"))
                .put("model_name", file.text("model_name", sae.model()));
        config.putObject("model_from_pretrained_kwargs").put("fold_ln", false);
        SaeLayout.putSizes(config, encoder, name("W_enc", sae), List.of("d_sae", "d_in"));
        SaeLayout.putSizes(config, encoder, name("b_dec", sae), List.of("d_out"));
        String note = "SAE " + sae.name() + " is a layer of a cross-layer transcoder whose decoders are added up: its"
                + " features have a meaning, its output has none.";
        return new SaeFiles(
                SaeLayout.parse(file, config, sae),
                List.of(encoder, hub.file(repo, file("W_dec", sae))),
                Optional.empty(),
                (files, parsed) -> read(files, parsed, sae),
                Double.NaN,
                List.of(note));
    }

    private static Map<String, Tensor> read(List<StateDict> files, SaeConfig config, SaeRegistry.Entry sae) {
        return new WeightReader(files.getFirst(), config)
                .takeTransposed("W_enc", name("W_enc", sae))
                .take("b_enc", name("b_enc", sae))
                .take("b_dec", name("b_dec", sae))
                .put("W_dec", summed(files.getLast(), name("W_dec", sae), config))
                .finish();
    }

    /** Returns the sum over layers of the decoders [d_sae, layer, d_out], float32 [d_sae, d_out]. */
    private static Tensor summed(StateDict file, String name, SaeConfig config) {
        Shape shape = file.shape(name);
        if (shape.rank() != 3 || shape.size(0) != config.dSae() || shape.size(2) != config.dOut())
            throw new InputException(file.file() + ": tensor '" + name + "' has shape " + shape + ", and ["
                    + config.dSae() + ", layers, " + config.dOut() + "] was expected.");
        Tensor decoders = file.weight(name, shape);
        Tensor sums = Tensor.empty(DType.FLOAT32, Shape.of(config.dSae(), config.dOut()), Device.CPU);
        for (int first = 0; first < config.dSae(); first += FEATURES_AT_ONCE) {
            int end = Math.min(config.dSae(), first + FEATURES_AT_ONCE);
            try (var _ = TensorScope.open()) {
                sums.slice(0, first, end)
                        .copy_(decoders.slice(0, first, end).to(DType.FLOAT32).sum(1));
            }
        }
        return sums;
    }
}
