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

/** What the files of one family of models mean, and how such a model is built. Stateless. */
public interface ModelFamily {
    /**
     * A configuration, and what of its file was not needed.
     *
     * @param skippedKeys keys of {@code config.json} that are not understood and known to be harmless
     */
    record Parsed(TransformerConfig config, List<String> skippedKeys) {}

    /** The family's {@code model_type} in Hugging Face's {@code config.json}. */
    String modelType();

    /** The hub's id for each name and alias that TransformerLens has for a model of the family. */
    Map<String, String> hubIds();

    /**
     * Reads a {@code config.json}.
     *
     * @throws InputException if it asks for something that changes the mathematics and is not understood
     */
    Parsed parse(ConfigFile file);

    /** A {@code config.json} that {@link #parse} reads as this configuration. */
    String toJson(TransformerConfig config);

    /**
     * The weights in a file of the family, to be processed as they are read.
     *
     * @param dtype float32 or bfloat16, of all weights but LayerNorm's, which are float32
     */
    ModelWeights weights(
            StateDict file, TransformerConfig config, WeightProcessing processing, Device device, DType dtype);

    /** The weights in a file that {@code HookedTransformer.save} wrote: processed, under the module's own names. */
    ModelWeights savedWeights(StateDict file, TransformerConfig config, Device device);

    /**
     * TransformerLens's names of the weights, such as {@code blocks.0.attn.W_Q}, in the order in which a run uses them.
     *
     * @param lnFolded whether LayerNorm's weights are folded away, and so are not among them
     */
    List<String> weightNames(TransformerConfig config, boolean lnFolded);

    /**
     * A weight in TransformerLens's shape, in the innermost scope; memory of the module, not to be written to.
     *
     * @param name one of {@link #weightNames}
     * @param part a part of the module that {@link #build} made, by its name
     */
    Tensor weight(String name, TransformerConfig config, Function<String, ScriptModule> part);

    /**
     * The model as TorchScript with children {@code embed}, {@code blocks_0} and so on, and {@code unembed}.
     *
     * @param weights read once, block by block
     * @param scope   owns the module and its weights
     */
    ScriptModule build(TransformerConfig config, ModelWeights weights, TensorScope scope);
}
