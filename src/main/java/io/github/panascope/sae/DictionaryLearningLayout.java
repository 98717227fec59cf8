package io.github.panascope.sae;

import io.github.panascope.InputException;
import io.github.panascope.hub.Hub;
import io.github.panascope.hub.HubRepo;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.internal.ConfigFile;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import tools.jackson.databind.node.ObjectNode;

/**
 * A folder of a pickled {@code ae.pt} of one of dictionary_learning's classes and {@code config.json}. Its classes keep
 * the transposed matrices of torch.nn.Linear, and the name of b_dec depends on the class.
 */
final class DictionaryLearningLayout implements SaeLayout {
    private static final Pattern LAYER = Pattern.compile("resid_post_layer_(\\d+)");

    @Override
    public SaePlan plan(SaeRegistry.Entry sae) {
        SaePlan plan = SaePlan.ofNames(sae, List.of(sae.path() + "/config.json", sae.path() + "/ae.pt"), List.of());
        Matcher layer = LAYER.matcher(sae.path());
        return layer.find() ? plan.withHook("blocks." + layer.group(1) + ".hook_resid_post") : plan;
    }

    @Override
    public SaeFiles find(SaeRegistry.Entry sae, Hub hub) {
        HubRepo repo = HubRepo.model(sae.repo());
        ConfigFile file = ConfigFile.read(hub.file(repo, sae.path() + "/config.json"));
        ConfigFile trainer = file.object("trainer")
                .orElseThrow(() ->
                        new InputException(file.place() + " has no 'trainer', which should describe the dictionary."));
        ObjectNode config = config(trainer)
                .put("d_in", trainer.size("activation_dim"))
                .put("d_sae", trainer.size("dict_size"))
                .put("hook_name", "blocks." + trainer.count("layer") + ".hook_resid_post")
                .put("model_name", model(trainer.text("lm_name"), sae))
                .put("dataset_path", "monology/pile-uncopyrighted");
        file.object("buffer").ifPresent(buffer -> config.put("context_size", buffer.size("ctx_len")));
        return new SaeFiles(
                SaeLayout.parse(file, config, sae),
                hub.file(repo, sae.path() + "/ae.pt"),
                sae,
                DictionaryLearningLayout::read);
    }

    private static ObjectNode config(ConfigFile trainer) {
        Architecture architecture = switch (trainer.text("dict_class")) {
            case "AutoEncoder" -> Architecture.STANDARD;
            case "GatedAutoEncoder" -> Architecture.GATED;
            case "AutoEncoderTopK" -> Architecture.TOPK;
            case "BatchTopKSAE", "MatryoshkaBatchTopKSAE", "JumpReluAutoEncoder" -> Architecture.JUMPRELU;
            default ->
                throw trainer.wrong(
                        "dict_class",
                        "one of AutoEncoder, GatedAutoEncoder, AutoEncoderTopK, BatchTopKSAE, MatryoshkaBatchTopKSAE,"
                                + " JumpReluAutoEncoder");
        };
        ObjectNode config = SaeLayout.config(architecture);
        if (architecture == Architecture.TOPK)
            config.put("activation_fn", "topk").put("k", trainer.size("k"));
        // JumpReluAutoEncoder is the only class that does not subtract b_dec.
        return config.put("apply_b_dec_to_input", !trainer.text("dict_class").equals("JumpReluAutoEncoder"));
    }

    /** Returns the name of the model without its owner, unless the registry names the same model with it. */
    private static String model(String id, SaeRegistry.Entry sae) {
        String name = id.substring(id.lastIndexOf('/') + 1);
        return sae.model().endsWith("/" + name) ? sae.model() : name;
    }

    private static WeightReader read(WeightReader reader) {
        reader.takeEither("W_enc", "W_enc", "encoder.weight")
                .takeEither("W_dec", "W_dec", "decoder.weight")
                .take("b_dec", "b_dec", "bias", "decoder_bias")
                .take("b_enc", "b_enc", "encoder.bias")
                .take("b_gate", "gate_bias")
                .take("b_mag", "mag_bias")
                .take("r_mag", "r_mag")
                .takeThreshold();
        // Trainers of topk save k and a threshold, but their encode uses neither. The others are Matryoshka's notes.
        return reader.ignore("k", "threshold", "activation_post_normalizer", "group_sizes", "active_groups");
    }
}
