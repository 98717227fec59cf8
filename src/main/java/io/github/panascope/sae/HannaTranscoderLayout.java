package io.github.panascope.sae;

import io.github.panascope.hub.Hub;
import io.github.panascope.hub.HubRepo;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.internal.ConfigFile;
import io.github.panascope.internal.Yaml;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
import tools.jackson.databind.node.ObjectNode;

/**
 * Michael Hanna's transcoders of Qwen 3, from what an MLP reads to its output: a file {@code layer_N.safetensors}, in
 * which the encoder is transposed, and for some repositories {@code config.yaml}, which names the model. The sizes are
 * those of the tensors. SAELens takes the batch size of the training as the length of its rows, which is not known.
 */
final class HannaTranscoderLayout implements SaeLayout {
    private static final Pattern LAYER = Pattern.compile("_(\\d+)\\.safetensors$");

    @Override
    public SaePlan plan(SaeRegistry.Entry sae) {
        return SaePlan.ofNames(sae, List.of(sae.path()), List.of("config.yaml")).withHook(block(sae) + "mlp.hook_in");
    }

    private static String block(SaeRegistry.Entry sae) {
        return "blocks." + SaeLayout.found(LAYER, sae.path(), sae, "its layer") + ".";
    }

    @Override
    public SaeFiles find(SaeRegistry.Entry sae, Hub hub) {
        HubRepo repo = HubRepo.model(sae.repo());
        Optional<Path> described = hub.optionalFile(repo, "config.yaml");
        Path weights = hub.file(repo, sae.path());
        ObjectNode config = SaeLayout.config(Architecture.TRANSCODER)
                .put("hook_name", block(sae) + "mlp.hook_in")
                .put("hook_name_out", block(sae) + "hook_mlp_out")
                .put(
                        "model_name",
                        described
                                .map(file -> yaml(file).text("model_name", sae.model()))
                                .orElse(sae.model()))
                .put("dataset_path", "monology/pile-uncopyrighted");
        config.putObject("model_from_pretrained_kwargs").put("fold_ln", false);
        SaeLayout.putSizes(config, weights, "W_enc", List.of("d_sae", "d_in"));
        SaeLayout.putSizes(config, weights, "W_dec", List.of("d_sae", "d_out"));
        return new SaeFiles(
                SaeLayout.parse(weights.toString(), config, sae),
                weights,
                sae,
                reader -> reader.takeTransposed("W_enc", "W_enc")
                        .take("W_dec", "W_dec")
                        .take("b_enc", "b_enc")
                        .take("b_dec", "b_dec"));
    }

    /** Reads a file of YAML that holds one mapping. */
    static ConfigFile yaml(Path file) {
        return ConfigFile.of(file.toString(), Yaml.read(file));
    }
}
