package io.github.panascope.lens;

import io.github.panascope.InputException;
import io.github.panascope.families.Families;
import io.github.panascope.families.ModelFamily;
import io.github.panascope.families.ModelWeights;
import io.github.panascope.families.Script;
import io.github.panascope.internal.AtomicFile;
import io.github.panascope.internal.ConfigFile;
import io.github.panascope.model.TransformerConfig;
import io.github.panascope.model.WeightProcessing;
import io.github.panascope.tokens.Tokenizer;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.ScriptModule;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.StateDict;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.json.JsonMapper;

/** Loads a {@link HookedTransformer} from files, and saves it as a file. */
final class ModelLoader {
    /** The name of the text inside a saved model that describes it. */
    private static final String SAVED = "panascope.json";

    private ModelLoader() {}

    /** Loads a model as {@link HookedTransformer#fromPretrained} describes it. */
    static HookedTransformer fromPretrained(String nameOrFolder, HookedTransformer.Options options) {
        if (nameOrFolder.endsWith(".pt")
                && Files.isRegularFile(Path.of(nameOrFolder))
                && StateDict.extraFile(Path.of(nameOrFolder), SAVED).isPresent()) {
            if (options.processing() != WeightProcessing.DEFAULT || options.dtype() != DType.FLOAT32) {
                throw new InputException(nameOrFolder
                        + " holds weights as they were processed when it was saved: load it with the default"
                        + " processing and dtype.");
            }
            return loadTorchScript(Path.of(nameOrFolder), options.device(), options.exact());
        }
        return load(nameOrFolder, ModelFiles.find(nameOrFolder, options.hubOrDefault()), options);
    }

    private static HookedTransformer load(String name, ModelFiles files, HookedTransformer.Options options) {
        ConfigFile file = ConfigFile.read(files.config());
        ModelFamily family = Families.of(file);
        ModelFamily.Parsed parsed = family.parse(file);
        TransformerConfig config = parsed.config();
        Tokenizer tokenizer = files.tokenizer();
        requireFit(files, family, config, tokenizer);
        List<String> advice = new ArrayList<>();
        if (files.assumed() != null) {
            if (tokenizer.size() != config.dVocab())
                throw new InputException("model " + name + ": " + files.assumed() + ", and its vocabulary of "
                        + config.dVocab() + " tokens is not GPT-2's.");
            advice.add("Model " + name + ": " + files.assumed()
                    + "; GPT-2's own vocabulary is taken, which has as many tokens.");
        }
        Device device = options.device().requireUsable();
        TensorScope scope = TensorScope.shared("the model " + name);
        try {
            StateDict state = StateDict.open(files.weights(), scope, files.shards()::get);
            ModelMemory.require(name, Families.countWeights(family, config, state), options.dtype(), device);
            WeightProcessing processing = options.processing().forModel(name, config);
            ModelWeights weights = Families.weights(family, state, config, processing, device, options.dtype());
            ScriptModule root;
            try (var _ = TensorScope.open()) {
                root = Script.build(config, weights, scope);
            }
            weights.requireAllUsed();
            LoadedModel loaded = new LoadedModel(
                    name, file, family, parsed, weights.lnFolded(), tokenizer, device, advice, root, scope);
            return new HookedTransformer(loaded, options.exact());
        } catch (RuntimeException | Error e) {
            scope.close();
            throw e;
        }
    }

    /**
     * Checks that a model has its tokenizer, and that all of its tokens but special ones are in the model's vocabulary:
     * Gemma 3 of one billion weights has no row for the token that stands for an image.
     */
    private static void requireFit(
            ModelFiles files, ModelFamily family, TransformerConfig config, Tokenizer tokenizer) {
        if (files.vocabulary().isEmpty() && !family.hasGpt2Tokenizer())
            throw new InputException(files.config().toAbsolutePath().getParent()
                    + " has no tokenizer: put the model's tokenizer.json or tokenizer.model there.");
        for (int id = config.dVocab(); id < tokenizer.size(); id++) {
            if (!tokenizer.isSpecial(id))
                throw new InputException(files.config() + ": 'vocab_size' is " + config.dVocab()
                        + ", but the tokenizer has " + tokenizer.size() + " tokens.");
        }
    }

    /** Loads a saved model as {@link HookedTransformer#loadTorchScript} describes it. */
    static HookedTransformer loadTorchScript(Path file, Device device, boolean exact) {
        if (!Files.isRegularFile(file)) throw new InputException(file + " does not exist.");
        device.requireUsable();
        TensorScope scope = TensorScope.shared("the model " + file);
        try {
            String metadata = StateDict.extraFile(file, SAVED)
                    .orElseThrow(() ->
                            new InputException(file + " was not saved by Panascope: it has no " + SAVED + " inside."));
            ConfigFile saved = ConfigFile.parse(file + "!" + SAVED, metadata);
            ConfigFile described = saved.object("config")
                    .orElseThrow(() -> new InputException(file + "!panascope.json has no 'config'."));
            ModelFamily family = Families.of(described);
            ModelFamily.Parsed parsed = family.parse(described);
            TransformerConfig config = parsed.config();
            Tokenizer tokenizer = tokenizer(file, saved, config);
            ModelWeights weights = Families.savedWeights(StateDict.open(file, scope), config, device);
            ScriptModule root;
            try (var _ = TensorScope.open()) {
                root = Script.build(config, weights, scope);
            }
            weights.requireAllUsed();
            LoadedModel loaded = new LoadedModel(
                    saved.text("name"),
                    described,
                    family,
                    parsed,
                    weights.lnFolded(),
                    tokenizer,
                    device,
                    List.of(),
                    root,
                    scope);
            return new HookedTransformer(loaded, exact);
        } catch (RuntimeException | Error e) {
            scope.close();
            throw e;
        }
    }

    /**
     * Returns the tokenizer that a saved model had: GPT-2's own, even if tokenizer files lie beside the model, or the
     * one whose files lie beside it. Files of an earlier version do not name the tokenizer; its size has to fit the
     * vocabulary then.
     */
    private static Tokenizer tokenizer(Path file, ConfigFile saved, TransformerConfig config) {
        String fingerprint = saved.has("tokenizer") ? saved.text("tokenizer") : null;
        if (Tokenizer.gpt2().fingerprint().equals(fingerprint)) return Tokenizer.gpt2();
        Tokenizer tokenizer = ModelFiles.tokenizerIn(file.toAbsolutePath().getParent());
        boolean same =
                fingerprint != null ? fingerprint.equals(tokenizer.fingerprint()) : tokenizer.size() == config.dVocab();
        if (!same)
            throw new InputException(file
                    + " was saved with another tokenizer: put its vocab.json and merges.txt, or its"
                    + " tokenizer.json, beside it.");
        return tokenizer;
    }

    /** Saves a model as {@link HookedTransformer#save} describes it. */
    static void save(LoadedModel model, Path file) {
        String json = "{\"name\": " + JsonMapper.shared().writeValueAsString(model.name()) + ", \"tokenizer\": \""
                + model.tokenizer().fingerprint() + "\", \"config\": "
                + model.configFile().json() + "}";
        AtomicFile.writePath(file, part -> model.root().save(part, json));
    }
}
