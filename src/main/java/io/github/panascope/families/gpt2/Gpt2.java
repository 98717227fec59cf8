package io.github.panascope.families.gpt2;

import io.github.panascope.families.ModelFamily;
import io.github.panascope.families.ModelWeights;
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

/** The family of GPT-2: its four sizes, distilgpt2, and Stanford's models of the same architecture. */
public final class Gpt2 implements ModelFamily {
    /** Makes the family, which has no state. */
    public Gpt2() {}

    @Override
    public String modelType() {
        return "gpt2";
    }

    @Override
    public Map<String, String> hubIds() {
        return Gpt2HubIds.hubIds();
    }

    @Override
    public Parsed parse(ConfigFile file) {
        return Gpt2Config.parse(file);
    }

    @Override
    public String toJson(TransformerConfig config) {
        return Gpt2Config.toJson(config);
    }

    @Override
    public ModelWeights weights(
            StateDict file, TransformerConfig config, WeightProcessing processing, Device device, DType dtype) {
        return new Gpt2Weights(file, config, processing, device, dtype);
    }

    @Override
    public ModelWeights savedWeights(StateDict file, TransformerConfig config, Device device) {
        return new SavedGpt2Weights(file, config, device);
    }

    @Override
    public List<String> weightNames(TransformerConfig config, boolean lnFolded) {
        return Gpt2Parameters.names(config, lnFolded);
    }

    @Override
    public Tensor weight(String name, TransformerConfig config, Function<String, ScriptModule> part) {
        return Gpt2Parameters.get(name, config, part);
    }

    @Override
    public ScriptModule build(TransformerConfig config, ModelWeights weights, TensorScope scope) {
        return Gpt2Script.build(config, weights, scope);
    }
}
