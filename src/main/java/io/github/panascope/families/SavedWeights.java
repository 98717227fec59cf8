package io.github.panascope.families;

import io.github.panascope.InputException;
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
final class SavedWeights implements ModelWeights {
    private final StateDict file;
    private final WeightShapes shapes;
    private final Device device;
    private final Set<String> left;

    SavedWeights(StateDict file, WeightShapes shapes, Device device) {
        this.file = file;
        this.shapes = shapes;
        this.device = device;
        this.left = new TreeSet<>(file.names());
    }

    @Override
    public boolean lnFolded() {
        return !file.has("unembed.ln_final_w");
    }

    @Override
    public Map<String, Tensor> embed(TensorScope keep) {
        return read("embed.", keep, shapes.embed());
    }

    @Override
    public Map<String, Tensor> block(int layer, TensorScope keep) {
        return read("blocks_" + layer + ".", keep, shapes.block(lnFolded()));
    }

    @Override
    public Map<String, Tensor> unembed(TensorScope keep) {
        return read("unembed.", keep, shapes.unembed(lnFolded(), file.has("unembed.W_U_mean")));
    }

    private Map<String, Tensor> read(String module, TensorScope keep, Map<String, Shape> wanted) {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        try (var _ = TensorScope.open()) {
            DType dtype = file.has("embed.W_E") ? file.dtype("embed.W_E") : DType.FLOAT32;
            wanted.forEach((name, shape) -> {
                Tensor tensor = file.weight(module + name, shape);
                if (tensor.dtype() != dtype && !WeightShapes.isFloat32(name))
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
