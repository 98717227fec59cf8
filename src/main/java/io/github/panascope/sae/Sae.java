package io.github.panascope.sae;

import io.github.panascope.hub.ConfigFile;
import io.github.panascope.hub.Hub;
import io.github.panascope.hub.HubRepo;
import io.github.panascope.hub.InputException;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.hub.Safetensors;
import io.github.panascope.lens.HookNames;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.TransformerConfig;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A sparse autoencoder. Immutable, safe to use from many threads at once; owns its weights until it is closed. Results
 * belong to the caller's innermost {@link TensorScope}.
 *
 * <p>Activations are [..., d_in] (or [..., head, d_head] at attn.hook_z), features [..., d_sae]; both in the SAE's dtype and
 * on its device. The formulas are those of SAELens 6.
 */
public final class Sae implements AutoCloseable {
    private final String name;
    private final SaeConfig config;
    private final List<String> skippedKeys;
    private final Architecture architecture;
    private final Tensor logSparsity;
    private final DType dtype;
    private final Device device;
    private final TensorScope scope;

    private Sae(String name, SaeConfig config, List<String> skippedKeys, Architecture architecture, Tensor logSparsity, DType dtype, Device device, TensorScope scope) {
        this.name = name;
        this.config = config;
        this.skippedKeys = List.copyOf(skippedKeys);
        this.architecture = architecture;
        this.logSparsity = logSparsity;
        this.dtype = dtype;
        this.device = device;
        this.scope = scope;
    }

    /**
     * Loads an SAE by RELEASE/SAE_ID ({@code gpt2-small-res-jb/blocks.8.hook_resid_pre}), or from the folder that holds its
     * {@code cfg.json} and {@code sae_weights.safetensors}.
     *
     * @param dtype float32 or bfloat16
     * @throws InputException if there is no such SAE, or its files cannot be used
     */
    public static Sae fromPretrained(String releaseIdOrFolder, Device device, DType dtype, Hub hub) {
        Path folder = Path.of(releaseIdOrFolder);
        if (Files.isDirectory(folder)) {
            Path weights = folder.resolve("sae_weights.safetensors");
            return load(releaseIdOrFolder, folder.resolve("cfg.json"), weights, Optional.of(folder.resolve("sparsity.safetensors")).filter(Files::exists), device, dtype, null, Map.of());
        }
        if (folder.isAbsolute() || releaseIdOrFolder.startsWith(".")) throw new InputException("SAE folder " + folder + " does not exist.");
        SaeRegistry.Entry entry = SaeRegistry.bundled().find(releaseIdOrFolder);
        HubRepo repo = HubRepo.model(entry.repo());
        return load(releaseIdOrFolder, hub.file(repo, entry.path() + "/cfg.json"), hub.file(repo, entry.path() + "/sae_weights.safetensors"),
                hub.optionalFile(repo, entry.path() + "/sparsity.safetensors"), device, dtype, entry.neuronpediaId(), entry.modelKwargs());
    }

    /** The same on the CPU in float32, with the hub as the environment describes it. */
    public static Sae fromPretrained(String releaseIdOrFolder) {
        return fromPretrained(releaseIdOrFolder, Device.CPU, DType.FLOAT32, Hub.fromEnvironment());
    }

    private static Sae load(String name, Path cfg, Path weights, Optional<Path> sparsity, Device device, DType dtype, String neuronpediaId, Map<String, Boolean> kwargs) {
        SaeConfig.Parsed parsed = SaeConfig.parse(ConfigFile.read(cfg));
        SaeConfig config = parsed.config().published(neuronpediaId, kwargs);
        device.requireUsable();
        TensorScope scope = TensorScope.shared();
        try {
            Architecture architecture = Architecture.load(Safetensors.open(weights, scope), config, device, dtype, scope);
            Tensor logSparsity = null;
            if (sparsity.isPresent()) {
                try (var _ = TensorScope.open()) {
                    logSparsity = scope.adopt(Safetensors.open(sparsity.get(), scope).weight("sparsity", Shape.of(config.dSae())));
                }
            }
            return new Sae(name, config, parsed.skippedKeys(), architecture, logSparsity, dtype, device, scope);
        } catch (RuntimeException | Error e) {
            scope.close();
            throw e;
        }
    }

    /**
     * Features [..., d_sae] of activations, before any exclusion; a feature is active where it is greater than 0.
     *
     * @throws IllegalArgumentException if the last dimension is not d_in
     */
    public Tensor encode(Tensor activations) {
        try (var _ = TensorScope.open()) {
            Tensor rows = rows(activations);
            Tensor features = architecture.encode(prepared(config.normalization().apply(rows).rows()));
            return reshape(features, leading(activations), config.dSae()).promote();
        }
    }

    /**
     * Activations [..., d_in] of features [..., d_sae]. Where the SAE normalises its input, this is on the normalised scale:
     * {@link #reconstruct} knows the input and puts its scale back.
     */
    public Tensor decode(Tensor features) {
        try (var _ = TensorScope.open()) {
            long[] leading = java.util.Arrays.copyOf(features.shape().sizes(), features.shape().rank() - 1);
            return reshape(architecture.decode(features.reshape(-1, config.dSae())), leading, config.dIn()).promote();
        }
    }

    /** What the SAE makes of activations, in their shape: decode(encode(x)), with normalisation undone. */
    public Tensor reconstruct(Tensor activations) {
        try (var _ = TensorScope.open()) {
            return encodeAndReconstruct(activations).reconstruction().promote();
        }
    }

    /** Features [n, d_sae] of activations whose leading dimensions are laid flat, and the reconstruction in the activations' shape. */
    public record Encoded(Tensor features, Tensor reconstruction) {}

    /** Both at once, encoding once. */
    public Encoded encodeAndReconstruct(Tensor activations) {
        try (var _ = TensorScope.open()) {
            Normalization.Normalized normalized = config.normalization().apply(rows(activations));
            Tensor features = architecture.encode(prepared(normalized.rows()));
            Tensor rows = config.normalization().undo(architecture.decode(features), normalized);
            return new Encoded(features.promote(), rows.reshape(activations.shape().sizes()).promote());
        }
    }

    private Tensor rows(Tensor activations) {
        long width = activations.size(-1);
        if (config.reshapeHookZ() && activations.shape().rank() >= 2 && width != config.dIn()) width *= activations.size(-2);
        if (width != config.dIn()) throw new IllegalArgumentException("the SAE reads " + config.dIn() + " dimensions, but " + activations + " has " + width);
        return activations.to(dtype).reshape(-1, config.dIn());
    }

    private Tensor prepared(Tensor rows) {
        return config.applyBDecToInput() ? rows.sub(architecture.bDec()) : rows;
    }

    private long[] leading(Tensor activations) {
        int dropped = activations.size(-1) == config.dIn() ? 1 : 2; // at hook_z, heads and their width are one dimension here
        return java.util.Arrays.copyOf(activations.shape().sizes(), activations.shape().rank() - dropped);
    }

    private static Tensor reshape(Tensor rows, long[] leading, long width) {
        long[] sizes = java.util.Arrays.copyOf(leading, leading.length + 1);
        sizes[leading.length] = width;
        return rows.reshape(sizes);
    }

    /**
     * Checks that this SAE can be put into a model.
     *
     * @throws InputException if the model has no such hook point, or of another width
     */
    public void requireFits(HookedTransformer model) {
        TransformerConfig sizes = model.config();
        var layer = HookNames.layer(config.hookName());
        if (layer.isPresent() && layer.getAsInt() >= sizes.nLayers()) {
            throw new InputException("SAE " + name + " belongs at " + config.hookName() + ", but model " + model.name() + " has only " + sizes.nLayers() + " layers.");
        }
        if (!model.hookNames().contains(config.hookName())) {
            throw new InputException("SAE " + name + " belongs at '" + config.hookName() + "', which is no hook point of model " + model.name() + "."
                    + io.github.panascope.hub.Nearest.advice(config.hookName(), model.hookNames()));
        }
        int width = HookNames.width(config.hookName(), sizes);
        if (width != config.dIn()) {
            throw new InputException("SAE " + name + " has d_in " + config.dIn() + ", but model " + model.name() + " has " + (width < 0 ? "no feature dimension" : "width " + width)
                    + " at " + config.hookName() + ".");
        }
        if (config.hookName().matches(".*attn\\.hook_[qkvz]") && !config.reshapeHookZ()) {
            throw new InputException("SAE " + name + " belongs at " + config.hookName() + ", whose heads have to be laid side by side: its cfg.json should say \"reshape_activations\": \"hook_z\".");
        }
    }

    /** What it was loaded as. */
    public String name() {
        return name;
    }

    /** Its configuration, with what the registry knows of it. */
    public SaeConfig config() {
        return config;
    }

    /** Keys of its cfg.json that were not needed. */
    public List<String> skippedKeys() {
        return skippedKeys;
    }

    /** The logarithm to base 10 of how often each feature fires, float32 [d_sae], as published; owned by this SAE. */
    public Optional<Tensor> logSparsity() {
        return Optional.ofNullable(logSparsity);
    }

    /** Its element type. */
    public DType dtype() {
        return dtype;
    }

    /** Where its weights lie. */
    public Device device() {
        return device;
    }

    /** Frees the weights. */
    @Override
    public void close() {
        scope.close();
    }
}
