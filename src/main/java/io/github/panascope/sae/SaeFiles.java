package io.github.panascope.sae;

import io.github.panascope.InputException;
import io.github.panascope.hub.Hub;
import io.github.panascope.hub.HubRepo;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.internal.ConfigFile;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.StateDict;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * The files of an SAE and their layout: one case for each layout that SAELens has a loader for and that GPT-2's SAEs
 * are published in. Every layout is converted to a configuration and weights under SAELens's names.
 *
 * @param parsed   the configuration
 * @param weights  the file of the tensors
 * @param sparsity the file of log10 of how often each feature is active; empty if it is not published
 * @param layout   the names that the tensors have in their file
 * @param scaling  the factor to fold into weights that were trained on scaled activations; NaN if none is known
 */
record SaeFiles(SaeConfig.Parsed parsed, Path weights, Optional<Path> sparsity, Layout layout, double scaling) {
    /** The names that tensors have in a file. */
    enum Layout {
        /** The names of SAELens. */
        SAE_LENS,
        /** The names of dictionary_learning's classes. */
        DICTIONARY_LEARNING
    }

    private static final String WEIGHTS = "sae_weights.safetensors";
    private static final String SPARSITY = "sparsity.safetensors";
    private static final String CONFIG = "cfg.json";
    /** SAELens's names of the layouts that can be loaded. */
    static final List<String> LOADERS = List.of("sae_lens", "connor_rob_hook_z", "dictionary_learning_1");

    static SaeFiles find(String name, Hub hub, SaeRegistry registry) {
        Path folder = path(name);
        if (folder != null && Files.isDirectory(folder)) return ofFolder(folder);
        if (folder != null && (folder.isAbsolute() || name.startsWith(".")))
            throw new InputException("SAE folder " + name + " does not exist.");
        String[] parts = name.split("/", 3);
        if (!registry.knows(name) && parts.length == 3)
            return saeLens(HubRepo.model(parts[0] + "/" + parts[1]), parts[2], hub, "{}", Double.NaN);
        SaeRegistry.Entry entry = registry.find(name);
        HubRepo repo = HubRepo.model(entry.repo());
        return switch (entry.loader()) {
            case "sae_lens" -> saeLens(repo, entry.path(), hub, entry.configOverrides(), entry.normScalingFactor());
            case "connor_rob_hook_z" -> connorRob(repo, entry, hub);
            case "dictionary_learning_1" -> dictionaryLearning(repo, entry, hub);
            default ->
                throw new InputException(
                        "SAE " + name + " (of " + entry.model() + ") is published in the layout '" + entry.loader()
                                + "', which is not supported; supported are " + String.join(", ", LOADERS) + ".");
        };
    }

    private static Path path(String name) {
        try {
            return Path.of(name);
        } catch (InvalidPathException e) {
            throw new InputException(
                    "'" + name.replace("\0", "\\0") + "' is neither the name of an SAE nor of a folder.", e);
        }
    }

    // ------------------------------------------------------------------------------------------------- the layouts

    private static SaeFiles ofFolder(Path folder) {
        return new SaeFiles(
                SaeConfig.parse(ConfigFile.read(folder.resolve(CONFIG))),
                folder.resolve(WEIGHTS),
                Optional.of(folder.resolve(SPARSITY)).filter(Files::exists),
                Layout.SAE_LENS,
                Double.NaN);
    }

    private static SaeFiles saeLens(HubRepo repo, String path, Hub hub, String overrides, double scaling) {
        ConfigFile config = SaeConfig.overridden(ConfigFile.read(hub.file(repo, path + "/" + CONFIG)), overrides);
        return new SaeFiles(
                SaeConfig.parse(config),
                hub.file(repo, path + "/" + WEIGHTS),
                hub.optionalFile(repo, path + "/" + SPARSITY),
                Layout.SAE_LENS,
                scaling);
    }

    /**
     * Finds a pickled {@code NAME.pt} with W_enc, b_enc, W_dec and b_dec, and {@code NAME_cfg.json}. SAEs of this
     * layout are always on attn.hook_z of gpt2-small.
     */
    private static SaeFiles connorRob(HubRepo repo, SaeRegistry.Entry entry, Hub hub) {
        String path = entry.path();
        if (!path.endsWith(".pt"))
            throw new InputException("SAE " + entry.name() + " should be a .pt file, not '" + path + "'.");
        ConfigFile old =
                ConfigFile.read(hub.file(repo, path.substring(0, path.length() - ".pt".length()) + "_cfg.json"));
        ObjectNode config = standard()
                .put("d_in", old.size("act_size"))
                .put("d_sae", old.size("dict_size"))
                .put("hook_name", old.text("act_name"))
                .put("model_name", "gpt2-small")
                .put("context_size", 128)
                .put("reshape_activations", "hook_z")
                .put("dataset_path", "Skylion007/openwebtext");
        return new SaeFiles(
                parse(old, config, entry),
                hub.file(repo, path),
                Optional.empty(),
                Layout.SAE_LENS,
                entry.normScalingFactor());
    }

    /** Finds a pickled {@code ae.pt} of one of dictionary_learning's classes, and {@code config.json}. */
    private static SaeFiles dictionaryLearning(HubRepo repo, SaeRegistry.Entry entry, Hub hub) {
        ConfigFile file = ConfigFile.read(hub.file(repo, entry.path() + "/config.json"));
        ConfigFile trainer = file.object("trainer")
                .orElseThrow(() ->
                        new InputException(file.place() + " has no 'trainer', which should describe the dictionary."));
        String type = trainer.text("dict_class");
        ObjectNode config = standard();
        switch (type) {
            case "AutoEncoder" -> {}
            case "GatedAutoEncoder" -> config.put("architecture", "gated");
            case "AutoEncoderTopK" ->
                config.put("architecture", "topk").put("activation_fn", "topk").put("k", trainer.size("k"));
            case "BatchTopKSAE", "MatryoshkaBatchTopKSAE" -> config.put("architecture", "jumprelu");
            case "JumpReluAutoEncoder" ->
                config.put("architecture", "jumprelu")
                        .put("apply_b_dec_to_input", false); // b_dec is not subtracted by this class
            default ->
                throw trainer.wrong(
                        "dict_class",
                        "one of AutoEncoder, GatedAutoEncoder, AutoEncoderTopK, BatchTopKSAE, MatryoshkaBatchTopKSAE,"
                                + " JumpReluAutoEncoder");
        }
        String model = trainer.text("lm_name");
        config.put("d_in", trainer.size("activation_dim"))
                .put("d_sae", trainer.size("dict_size"))
                .put("hook_name", "blocks." + trainer.count("layer") + ".hook_resid_post")
                .put("model_name", model.substring(model.lastIndexOf('/') + 1))
                .put("dataset_path", "monology/pile-uncopyrighted");
        file.object("buffer").ifPresent(buffer -> config.put("context_size", buffer.size("ctx_len")));
        return new SaeFiles(
                parse(file, config, entry),
                hub.file(repo, entry.path() + "/ae.pt"),
                Optional.empty(),
                Layout.DICTIONARY_LEARNING,
                entry.normScalingFactor());
    }

    private static ObjectNode standard() {
        return JsonMapper.shared()
                .createObjectNode()
                .put("architecture", "standard")
                .put("apply_b_dec_to_input", true)
                .put("prepend_bos", true);
    }

    private static SaeConfig.Parsed parse(ConfigFile from, ObjectNode config, SaeRegistry.Entry entry) {
        SaeConfig.Parsed parsed = SaeConfig.parse(
                SaeConfig.overridden(ConfigFile.parse(from.place(), config.toString()), entry.configOverrides()));
        return new SaeConfig.Parsed(parsed.config(), from.keys());
    }

    // ------------------------------------------------------------------------------------------------- the tensors

    /**
     * Returns the weights under SAELens's names, over the mapped file.
     *
     * @throws InputException if the file lacks a tensor, holds one that is not needed, or has one of another shape than
     *     the configuration says
     */
    Map<String, Tensor> tensors(StateDict file) {
        Map<String, Shape> shapes = SaeFunction.shapes(parsed.config());
        return switch (layout) {
            case SAE_LENS -> {
                requireOnly(file, shapes.keySet());
                Map<String, Tensor> tensors = new LinkedHashMap<>();
                shapes.forEach((name, shape) -> tensors.put(name, file.weight(name, shape)));
                yield tensors;
            }
            case DICTIONARY_LEARNING -> dictionaryTensors(file, shapes);
        };
    }

    private void requireOnly(StateDict file, Set<String> wanted) {
        Set<String> left = new TreeSet<>(file.names());
        left.removeAll(wanted);
        if (left.remove("scaling_factor")) requireOnes(file);
        if (!left.isEmpty()) {
            throw new InputException(file.file() + " holds tensors that an SAE of the architecture '"
                    + parsed.config().architecture() + "' does not have: " + String.join(", ", left)
                    + ". Is it of another architecture?");
        }
    }

    /**
     * Checks that the factors of features, which old files carry, are all 1. Factors of 1 change nothing; any others
     * make another SAE.
     */
    private static void requireOnes(StateDict file) {
        try (var _ = TensorScope.open()) {
            for (float factor : file.tensor("scaling_factor").toFloats()) {
                if (!(Math.abs(factor - 1) <= 1e-5))
                    throw new InputException(
                            file.file() + ": 'scaling_factor' is not all ones; fine-tuned SAEs are not supported.");
            }
        }
    }

    /**
     * Returns the weights of a file of dictionary_learning under SAELens's names. Its classes keep the transposed
     * matrices of torch.nn.Linear, and the name of b_dec depends on the class.
     */
    private static Map<String, Tensor> dictionaryTensors(StateDict file, Map<String, Shape> shapes) {
        Map<String, List<String>> names = Map.of(
                "W_enc",
                List.of("W_enc", "encoder.weight"),
                "W_dec",
                List.of("W_dec", "decoder.weight"),
                "b_enc",
                List.of("b_enc", "encoder.bias"),
                "b_dec",
                List.of("b_dec", "bias", "decoder_bias"),
                "b_gate",
                List.of("gate_bias"),
                "b_mag",
                List.of("mag_bias"),
                "r_mag",
                List.of("r_mag"),
                "threshold",
                List.of("threshold"));
        Set<String> left = new TreeSet<>(file.names());
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        shapes.forEach((wanted, shape) -> {
            String name = names.get(wanted).stream()
                    .filter(file::has)
                    .findFirst()
                    .orElseThrow(() -> file.missing(names.get(wanted).getLast()));
            left.remove(name);
            if (name.endsWith(".weight")) {
                tensors.put(
                        wanted,
                        file.weight(name, Shape.of(shape.size(1), shape.size(0)))
                                .t());
            } else if (name.equals("threshold") && file.shape(name).rank() == 0) { // one threshold for all features
                tensors.put(wanted, Tensor.zeros(file.dtype(name), shape).add(file.tensor(name)));
            } else {
                tensors.put(wanted, file.weight(name, shape));
            }
        });
        left.removeAll(List.of("k", "threshold")); // topk trainers save both, but their encode uses neither
        left.removeAll(
                List.of("activation_post_normalizer", "group_sizes", "active_groups")); // Matryoshka's bookkeeping
        if (!left.isEmpty())
            throw new InputException(
                    file.file() + " holds tensors that its class does not have: " + String.join(", ", left) + ".");
        return tensors;
    }

    /** Returns sentences about what may be wrong with these files, for the user who loads them. */
    List<String> advice() {
        List<String> advice = new ArrayList<>();
        if (parsed.config().normalization() == Normalization.EXPECTED_AVERAGE_ONLY_IN && Double.isNaN(scaling)) {
            advice.add("normalize_activations is 'expected_average_only_in', but no norm_scaling_factor is known:"
                    + " activations are used as they are.");
        }
        return advice;
    }
}
