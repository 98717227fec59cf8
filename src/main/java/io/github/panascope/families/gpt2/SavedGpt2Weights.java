package io.github.panascope.families.gpt2;

import io.github.panascope.InputException;
import io.github.panascope.families.ModelWeights;
import io.github.panascope.model.TransformerConfig;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.StateDict;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * Weights that {@code HookedTransformer.save} wrote. They are already processed, and have the names of the parts of the
 * model. The TorchScript beside them in the file is not read, since loading it would execute it.
 */
final class SavedGpt2Weights implements ModelWeights {
    private final StateDict file;
    private final TransformerConfig config;
    private final Device device;
    private final Set<String> left;

    SavedGpt2Weights(StateDict file, TransformerConfig config, Device device) {
        this.file = file;
        this.config = config;
        this.device = device;
        this.left = new TreeSet<>(file.names());
    }

    @Override
    public boolean lnFolded() {
        return !file.has("unembed.ln_final_w");
    }

    @Override
    public Map<String, Tensor> embed(TensorScope keep) {
        return read(
                "embed.",
                keep,
                Map.of(
                        "W_E",
                        Shape.of(config.dVocab(), config.dModel()),
                        "W_pos",
                        Shape.of(config.nCtx(), config.dModel())),
                "");
    }

    @Override
    public Map<String, Tensor> block(int layer, TensorScope keep) {
        int width = config.dModel();
        int mlp = config.dMlp();
        Map<String, Shape> shapes = Map.of(
                "W_QKV",
                Shape.of(width, 3L * width),
                "b_QKV",
                Shape.of(3L * width),
                "W_O",
                Shape.of(width, width),
                "b_O",
                Shape.of(width),
                "W_in",
                Shape.of(width, mlp),
                "b_in",
                Shape.of(mlp),
                "W_out",
                Shape.of(mlp, width),
                "b_out",
                Shape.of(width));
        return read("blocks_" + layer + ".", keep, shapes, "ln1_w ln1_b ln2_w ln2_b");
    }

    @Override
    public Map<String, Tensor> unembed(TensorScope keep) {
        return read(
                "unembed.",
                keep,
                Map.of("W_U", Shape.of(config.dModel(), config.dVocab()), "b_U", Shape.of(config.dVocab())),
                "ln_final_w ln_final_b");
    }

    private Map<String, Tensor> read(String module, TensorScope keep, Map<String, Shape> shapes, String norms) {
        Map<String, Shape> all = new LinkedHashMap<>(shapes);
        if (!lnFolded() && !norms.isEmpty())
            for (String norm : norms.split(" ")) all.put(norm, Shape.of(config.dModel()));
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        try (var _ = TensorScope.open()) {
            DType dtype = file.has("embed.W_E") ? file.dtype("embed.W_E") : DType.FLOAT32;
            all.forEach((name, shape) -> {
                Tensor tensor = file.weight(module + name, shape);
                if (tensor.dtype() != dtype && !name.startsWith("ln"))
                    throw new InputException(file.file() + ": tensor '" + module + name + "' has dtype "
                            + tensor.dtype() + ", and " + dtype + " was expected, as embed.W_E has.");
                left.remove(module + name);
                tensors.put(name, keep.adopt(tensor.to(device)));
            });
        }
        return tensors;
    }

    @Override
    public void requireAllUsed() {
        if (!left.isEmpty())
            throw new InputException(file.file() + " holds tensors that its model does not have: "
                    + String.join(", ", left.stream().limit(5).toList()) + ".");
    }
}
