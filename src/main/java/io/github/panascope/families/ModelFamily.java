package io.github.panascope.families;

import io.github.panascope.InputException;
import io.github.panascope.internal.ConfigFile;
import io.github.panascope.model.TransformerConfig;
import io.github.panascope.model.WeightProcessing;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.ScriptModule;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.StateDict;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * The knowledge about one family of models: the meaning of its files, and the construction of a model. Implementations
 * are stateless.
 */
public interface ModelFamily {
    /**
     * A configuration, and the keys of its file that were not needed.
     *
     * @param config      sizes of the model
     * @param skippedKeys keys of {@code config.json} that are not interpreted and are known to be harmless
     */
    record Parsed(TransformerConfig config, List<String> skippedKeys) {}

    /** {@return the family's {@code model_type} in Hugging Face's {@code config.json}} */
    String modelType();

    /** {@return the id on the hub, by each name and alias that TransformerLens has for a model of the family} */
    Map<String, String> hubIds();

    /**
     * Reads a {@code config.json}.
     *
     * @param file the configuration
     * @return the sizes of the model and the skipped keys
     * @throws InputException if a value is missing or wrong, or changes the computation and is not supported
     */
    Parsed parse(ConfigFile file);

    /**
     * Returns a {@code config.json} that {@link #parse} reads as a given configuration.
     *
     * @param config sizes of the model
     * @return text of a JSON object
     */
    String toJson(TransformerConfig config);

    /**
     * Returns the weights of a file of the family, which are read and processed when a part is asked for.
     *
     * @param file       tensors under the family's own names; has to stay open until all parts are read
     * @param config     sizes of the model
     * @param processing steps to apply to the weights
     * @param device     device of the processed weights
     * @param dtype      float32 or bfloat16, for all weights except those of LayerNorm, which are float32
     * @return the weights
     */
    ModelWeights weights(
            StateDict file, TransformerConfig config, WeightProcessing processing, Device device, DType dtype);

    /**
     * Returns the weights of a file that {@code HookedTransformer.save} wrote, which are read when a part is asked for.
     * They are already processed, and have the names of the parts of the model.
     *
     * @param file   the tensors; has to stay open until all parts are read
     * @param config sizes of the model
     * @param device device of the weights
     * @return the weights
     */
    ModelWeights savedWeights(StateDict file, TransformerConfig config, Device device);

    /**
     * Returns TransformerLens's names of the weights, such as {@code blocks.0.attn.W_Q}, in the order in which a run
     * uses them.
     *
     * @param config   sizes of the model
     * @param lnFolded true if the weights of LayerNorm are folded into other weights and therefore absent
     * @return the names
     */
    List<String> weightNames(TransformerConfig config, boolean lnFolded);

    /**
     * Returns a weight in TransformerLens's shape, as a view of the model's own memory, which must not be written to.
     *
     * @param name   one of {@link #weightNames}
     * @param config sizes of the model
     * @param part   returns a part of the module that {@link #build} made, by its name
     * @return the weight; belongs to the innermost open scope
     */
    Tensor weight(String name, TransformerConfig config, Function<String, ScriptModule> part);

    /**
     * Builds a model as TorchScript with the children {@code embed}, {@code blocks_0} and so on, and {@code unembed}.
     *
     * @param config  sizes of the model
     * @param weights the weights, which are read once, block by block
     * @param scope   owns the module and its weights
     * @return the module
     */
    ScriptModule build(TransformerConfig config, ModelWeights weights, TensorScope scope);
}
