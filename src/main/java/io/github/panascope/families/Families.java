package io.github.panascope.families;

import io.github.panascope.InputException;
import io.github.panascope.internal.ConfigFile;
import io.github.panascope.model.TransformerConfig;
import io.github.panascope.model.WeightProcessing;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.weights.StateDict;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** The families of models that can be loaded. */
public final class Families {
    private static final List<ModelFamily> ALL = List.of(
            new Gpt2(),
            new GptNeoX(),
            new Gemma(1),
            new Gemma(2),
            new Gemma(3),
            new Llama(),
            new Mistral(),
            new Qwen2(),
            new Qwen3());

    /** What the known kinds of models that cannot be loaded have, by {@code model_type}. */
    private static final Map<String, String> NOT_SUPPORTED = Map.ofEntries(
            Map.entry("mixtral", "a mixture of experts"),
            Map.entry("qwen2_moe", "a mixture of experts"),
            Map.entry("qwen3_moe", "a mixture of experts"),
            Map.entry("qwen3_next", "linear attention and a mixture of experts"),
            Map.entry("qwen3_5", "linear attention"),
            Map.entry("qwen3_5_moe", "linear attention and a mixture of experts"),
            Map.entry("gpt_oss", "a mixture of experts and attention sinks"),
            Map.entry("llama4", "a mixture of experts"),
            Map.entry("llama4_text", "a mixture of experts"),
            Map.entry("deepseek_v2", "a mixture of experts and latent attention"),
            Map.entry("deepseek_v3", "a mixture of experts and latent attention"),
            Map.entry("gemma3n", "per-layer embeddings"),
            Map.entry("gemma3n_text", "per-layer embeddings"),
            Map.entry("qwen", "Qwen 1's own layout of the weights"),
            Map.entry("gptj", "rotation of adjacent pairs"),
            Map.entry("gpt_neo", "local attention of its own kind"),
            Map.entry("opt", "a layout of its own"),
            Map.entry("bloom", "ALiBi positions"),
            Map.entry("phi", "a layout of its own"),
            Map.entry("phi3", "a layout of its own"),
            Map.entry("olmo", "a layout of its own"),
            Map.entry("olmo2", "a layout of its own"),
            Map.entry("t5", "an encoder"),
            Map.entry("bert", "an encoder"));

    private Families() {}

    /**
     * Returns the family of a {@code config.json}. A file without {@code model_type} is that of a GPT-2.
     *
     * @param config the configuration
     * @return the family
     * @throws InputException if models of this type cannot be loaded; the message says what they have
     */
    public static ModelFamily of(ConfigFile config) {
        String type = config.text("model_type", "gpt2");
        return ALL.stream()
                .filter(family -> family.modelTypes().contains(type))
                .findFirst()
                .orElseThrow(() -> refusal(config, type));
    }

    /**
     * Returns the weights of a file of a family, which are read and processed when a part is asked for.
     *
     * @param family     the family
     * @param file       tensors under the family's own names; has to stay open until all parts are read
     * @param config     description of the model
     * @param processing steps to apply to the weights, which suit the model
     * @param device     device of the processed weights
     * @param dtype      float32 or bfloat16, for all weights except those of norms, which are float32
     * @return the weights
     */
    public static ModelWeights weights(
            ModelFamily family,
            StateDict file,
            TransformerConfig config,
            WeightProcessing processing,
            Device device,
            DType dtype) {
        TensorNames names = family.tensorNames();
        WeightFile tensors = new WeightFile(file, names, config);
        return config.isRms()
                ? new RmsNormWeights(tensors, names, config, processing, device, dtype)
                : new LayerNormWeights(tensors, names.heads(), config, processing, device, dtype);
    }

    /**
     * Counts the weights of a file of a family, without reading any.
     *
     * @param family the family
     * @param config description of the model
     * @param file   tensors under the family's own names
     * @return the number of weights that belong to the model
     */
    public static long countWeights(ModelFamily family, TransformerConfig config, StateDict file) {
        TensorNames names = family.tensorNames();
        return file.names().stream()
                .filter(name -> !names.ignored().matcher(name).matches())
                .filter(name -> !config.embedding().tied() || !names.unembed().contains(name))
                .mapToLong(name -> file.shape(name).elements())
                .sum();
    }

    /**
     * Returns the weights of a file that {@code HookedTransformer.save} wrote, which are read when a part is asked for.
     * They are already processed, and have the names of the parts of the model.
     *
     * @param file   the tensors; has to stay open until all parts are read
     * @param config description of the model
     * @param device device of the weights
     * @return the weights
     */
    public static ModelWeights savedWeights(StateDict file, TransformerConfig config, Device device) {
        return new SavedWeights(file, new WeightShapes(config), device);
    }

    private static InputException refusal(ConfigFile config, String type) {
        String known = ALL.stream()
                .flatMap(family -> family.modelTypes().stream().sorted())
                .map(each -> "'" + each + "'")
                .collect(Collectors.joining(", "));
        String why = NOT_SUPPORTED.get(type);
        return why == null
                ? config.wrong("model_type", "one of " + known)
                : new InputException(config.place() + ": models of type '" + type + "' have " + why
                        + ", which is not supported; supported are " + known + ".");
    }
}
