package io.github.panascope.sae;

import io.github.panascope.hub.Hub;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.Safetensors;
import io.github.panascope.weights.StateDict;
import java.util.Map;

/** Loads an {@link Sae} from files. */
final class SaeLoader {
    private SaeLoader() {}

    /** Loads an SAE as {@link Sae#fromPretrained(String, Sae.Options)} describes it. */
    static Sae fromPretrained(String name, Sae.Options options) {
        SaeRegistry registry = options.registry() == null ? SaeRegistry.bundled() : options.registry();
        Hub hub = options.hub() == null ? Hub.fromEnvironment() : options.hub();
        Sae loaded = load(name, SaeFiles.find(name, hub, registry), options.device(), options.dtype());
        return options.exact() ? new Sae(loaded, true, false) : loaded;
    }

    private static Sae load(String name, SaeFiles files, Device device, DType dtype) {
        device.requireUsable();
        TensorScope scope = TensorScope.shared("the SAE " + name);
        // The files are mapped for the loading; a weight that shares their memory keeps them mapped after it.
        try (TensorScope loading = TensorScope.open()) {
            SaeConfig config = files.parsed().config();
            boolean folds =
                    config.normalization() == Normalization.EXPECTED_AVERAGE_ONLY_IN && !Double.isNaN(files.scaling());
            if (folds) config = config.with(Normalization.NONE);
            Map<String, Tensor> tensors = files.tensors(files.weights().stream()
                    .map(file -> StateDict.open(file, loading))
                    .toList());
            Tensor logSparsity = null;
            if (files.sparsity().isPresent())
                logSparsity = scope.adopt(
                        Safetensors.open(files.sparsity().get(), scope).weight("sparsity", Shape.of(config.dSae())));
            return new Sae(
                    name,
                    config,
                    files.parsed().skippedKeys(),
                    files.advice(),
                    SaeFunction.prepared(tensors, dtype, folds ? files.scaling() : Double.NaN),
                    logSparsity,
                    dtype,
                    device,
                    scope);
        } catch (RuntimeException | Error e) {
            scope.close();
            throw e;
        }
    }
}
