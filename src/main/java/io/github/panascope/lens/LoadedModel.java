package io.github.panascope.lens;

import io.github.panascope.families.ModelFamily;
import io.github.panascope.families.Parameters;
import io.github.panascope.internal.ConfigFile;
import io.github.panascope.internal.Suggestions;
import io.github.panascope.model.TransformerConfig;
import io.github.panascope.tokens.Tokenizer;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.ScriptModule;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.io.File;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** A model as loaded from its files, shared by a {@link HookedTransformer} and its views. Owns the weights. */
final class LoadedModel {
    private final String name;
    private final String shortName;
    private final ConfigFile configFile;
    private final boolean prependsBos;
    private final TransformerConfig config;
    private final Tokenizer tokenizer;
    private final Device device;
    private final DType dtype;
    private final List<String> skippedKeys;
    private final List<String> advice;
    private final TensorScope scope;
    private final ScriptModule root;
    private final ScriptModule embed;
    private final List<ScriptModule> blocks = new ArrayList<>();
    private final ScriptModule unembed;
    private final Parameters parameters;
    private final List<String> weightNames;

    LoadedModel(
            String name,
            ConfigFile configFile,
            ModelFamily family,
            ModelFamily.Parsed parsed,
            boolean lnFolded,
            Tokenizer tokenizer,
            Device device,
            List<String> advice,
            ScriptModule root,
            TensorScope scope) {
        this.name = name;
        this.shortName = shortName(name);
        this.configFile = configFile;
        this.prependsBos = family.prependsBos();
        this.config = parsed.config();
        this.tokenizer = tokenizer;
        this.device = device;
        this.skippedKeys = List.copyOf(parsed.skippedKeys());
        this.advice = List.copyOf(advice);
        this.scope = scope;
        this.root = root;
        this.embed = root.child("embed");
        for (int layer = 0; layer < config.nLayers(); layer++) blocks.add(root.child("blocks_" + layer));
        this.unembed = root.child("unembed");
        this.parameters = new Parameters(config, lnFolded);
        this.weightNames = parameters.names();
        try (var _ = TensorScope.open()) {
            this.dtype = unembed.parameter("W_U").dtype();
        }
    }

    String name() {
        return name;
    }

    /** Returns the name for descriptions: of a folder or file, the last part of its path. */
    String shortName() {
        return shortName;
    }

    /** A saved model has the name from which it was loaded at first, perhaps a folder that is no longer there. */
    private static String shortName(String name) {
        boolean isId = name.matches("[^/]+(/[^/]+)?") && !new File(name).exists();
        if (isId) return name;
        Path last = Path.of(name).toAbsolutePath().normalize().getFileName();
        return last == null ? name : last.toString();
    }

    /** Returns the model's config.json. */
    ConfigFile configFile() {
        return configFile;
    }

    boolean prependsBos() {
        return prependsBos;
    }

    TransformerConfig config() {
        return config;
    }

    Tokenizer tokenizer() {
        return tokenizer;
    }

    DType dtype() {
        return dtype;
    }

    Device device() {
        return device;
    }

    List<String> skippedKeys() {
        return skippedKeys;
    }

    List<String> advice() {
        return advice;
    }

    TensorScope scope() {
        return scope;
    }

    ScriptModule root() {
        return root;
    }

    ScriptModule embed() {
        return embed;
    }

    ScriptModule block(int layer) {
        return blocks.get(layer);
    }

    ScriptModule unembed() {
        return unembed;
    }

    List<String> weightNames() {
        return weightNames;
    }

    /**
     * Returns whether there is a weight of a name. Query heads that share keys and values have copies of their weights
     * under the name without underscore.
     */
    boolean hasWeight(String weight) {
        return weightNames.contains(weight)
                || weightNames.contains(weight.replaceFirst("\\.attn\\.([Wb]_[KV])$", ".attn._$1"));
    }

    /** Returns a weight as {@link HookedTransformer#weight} describes it. */
    Tensor weight(String weight) {
        if (!hasWeight(weight))
            throw new IllegalArgumentException("'" + weight + "' is no weight of " + name + "."
                    + Suggestions.closest(weight, weightNames)
                            .map(near -> " Did you mean '" + near + "'?")
                            .orElse(" It should have the form embed.W_E or blocks.0.attn.W_O."));
        return parameters.get(weight, this::part);
    }

    /** Returns the columns of W_U of some tokens, [d_model, n], in the innermost scope. */
    Tensor unembedColumns(Tensor tokens) {
        return parameters.unembedColumns(tokens, this::part);
    }

    /** Computes directions · W_U into memory [n, d_vocab], or new memory if that is null. */
    Tensor toLogits(Tensor directions, @Nullable Tensor memory) {
        return parameters.toLogits(directions, memory, this::part);
    }

    private ScriptModule part(String part) {
        return switch (part) {
            case "embed" -> embed;
            case "unembed" -> unembed;
            default -> blocks.get(Integer.parseInt(part.substring("blocks_".length())));
        };
    }
}
