package io.github.panascope.lens;

import io.github.panascope.InputException;
import io.github.panascope.families.KnownModels;
import io.github.panascope.families.KnownModels.KnownModel;
import io.github.panascope.hub.Hub;
import io.github.panascope.hub.HubRepo;
import io.github.panascope.hub.HubUnreachableException;
import io.github.panascope.internal.Suggestions;
import io.github.panascope.tokens.Tokenizer;
import io.github.panascope.weights.StateDict;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.Stream;

/**
 * The places of a model's files, in Hugging Face's layout.
 *
 * @param config     config.json
 * @param weights    the tensors, or the index of the files that hold them
 * @param shards     the files that the index names, by name; empty without an index
 * @param vocabulary tokenizer.json, vocab.json and merges.txt, or tokenizer.model; empty if GPT-2's own tokenizer
 *     applies
 * @param settings   the other files that determine how texts are tokenized
 * @param assumed    the reason why the vocabulary is not known for certain; null if it is
 */
record ModelFiles(
        Path config,
        Path weights,
        Map<String, Path> shards,
        List<Path> vocabulary,
        List<Path> settings,
        String assumed) {
    private static final String VOCABULARY = "vocab.json";
    private static final String MERGES = "merges.txt";
    private static final String TOKENIZER = "tokenizer.json";
    private static final String SENTENCE_PIECE = "tokenizer.model";
    /**
     * The names of weight files that transformers writes, the safest first. The last one is TorchScript, which has no
     * fixed name: this library defines it.
     */
    private static final List<String> WEIGHTS = List.of(
            "model.safetensors",
            "model.safetensors.index.json",
            "pytorch_model.bin",
            "pytorch_model.bin.index.json",
            "model.pt");

    /**
     * Finds the files of a model by its TransformerLens name, by a hub id (with {@code @REVISION} where it is not
     * main), by a folder, or by a file of weights with config.json beside it.
     */
    static ModelFiles find(String name, Hub hub) {
        Path path;
        try {
            path = Path.of(name);
        } catch (InvalidPathException e) {
            throw new InputException(
                    "'" + name.replace("\0", "\\0") + "' is neither the name of a model nor of a folder.", e);
        }
        if (Files.isRegularFile(path))
            return inFolder(
                    path.toAbsolutePath().getParent(), path.getFileName().toString());
        if (Files.isDirectory(path)) return inFolder(path, null);
        HubRepo repo = HubRepo.model(hubId(name));
        Path config = hub.files(repo, List.of("config.json")).getFirst();
        Path weights = hub.firstFile(repo, WEIGHTS);
        List<Path> vocabulary;
        List<Path> settings;
        String why;
        try {
            vocabulary = vocabulary(file -> hub.optionalFile(repo, file), file -> hub.file(repo, file));
            boolean none = Stream.of(VOCABULARY, TOKENIZER, SENTENCE_PIECE).allMatch(file -> hub.isMissing(repo, file));
            why = none ? null : "the hub is not to be asked";
            settings = settings(repo, hub);
        } catch (HubUnreachableException e) {
            vocabulary = vocabulary(file -> hub.cachedFile(repo, file), _ -> {
                throw e;
            });
            settings = settings(file -> hub.cachedFile(repo, file));
            why = "the hub does not answer";
        }
        String assumed = vocabulary.isEmpty() && why != null
                ? "its tokenizer's files are not in the hub cache, and " + why
                : null;
        return of(config, weights, vocabulary, settings, assumed, names -> {
            if (!names.isEmpty()) hub.announce(repo, names);
            return hub.files(repo, names);
        });
    }

    /**
     * Returns the other tokenizer files. If the hub does not answer, those in the cache are enough, because the
     * vocabulary has been found already.
     */
    private static List<Path> settings(HubRepo repo, Hub hub) {
        try {
            return settings(file -> hub.optionalFile(repo, file));
        } catch (HubUnreachableException e) {
            return settings(file -> hub.cachedFile(repo, file));
        }
    }

    private static List<Path> settings(Function<String, Optional<Path>> optional) {
        return Stream.concat(Tokenizer.SETTINGS_FILES.stream(), Stream.of(Tokenizer.CHAT_TEMPLATE_FILE))
                .map(optional)
                .flatMap(Optional::stream)
                .toList();
    }

    private static ModelFiles inFolder(Path folder, String weights) {
        Function<String, Optional<Path>> optional =
                name -> Optional.of(folder.resolve(name)).filter(Files::exists);
        Function<String, Path> file = required(folder, optional);
        Supplier<Path> first = () -> WEIGHTS.stream()
                .map(optional)
                .flatMap(Optional::stream)
                .findFirst()
                .orElseThrow(() -> new InputException(
                        "model folder " + folder + " has none of " + String.join(", ", WEIGHTS) + "."));
        return of(
                file.apply("config.json"),
                weights == null ? first.get() : file.apply(weights),
                vocabulary(optional, file),
                settings(optional),
                null,
                names -> names.stream().map(file).toList());
    }

    private static Function<String, Path> required(Path folder, Function<String, Optional<Path>> optional) {
        return name -> optional.apply(name)
                .orElseThrow(() -> new InputException("model folder " + folder + " has no " + name + "."));
    }

    private static String hubId(String name) {
        int at = name.indexOf('@');
        String id = at < 0 ? name : name.substring(0, at);
        String revision = at < 0 ? "" : name.substring(at);
        Optional<KnownModel> known = KnownModels.find(id);
        if (known.isPresent() && known.get().notSupported() != null)
            throw new InputException("model '" + id + "' cannot be loaded: it has "
                    + known.get().notSupported() + ", which is not supported.");
        if (known.isPresent()) return known.get().name() + revision;
        if (id.matches("[^/.][^/]*/[^/]+")) return name;
        throw new InputException("model '" + name + "' is not known, and no file or folder of that name exists."
                + Suggestions.didYouMean(id, KnownModels.names())
                + " Known are TransformerLens's names of GPT-2, Pythia, Gemma, Llama, Mistral and Qwen, such as"
                + " gpt2-small, pythia-70m and gemma-2-2b, and any OWNER/NAME on the hub.");
    }

    /**
     * Returns the files of the tokenizer; an empty list if there are none. tokenizer.json takes precedence over
     * vocab.json, as it does in Transformers. A vocab.json without merges.txt is refused, because GPT-2's own tokenizer
     * must not replace it.
     */
    private static List<Path> vocabulary(Function<String, Optional<Path>> optional, Function<String, Path> required) {
        Optional<Path> tokenizer = optional.apply(TOKENIZER);
        if (tokenizer.isPresent()) return List.of(tokenizer.get());
        Optional<Path> vocab = optional.apply(VOCABULARY);
        Optional<Path> merges = vocab.isPresent() ? optional.apply(MERGES) : Optional.empty();
        if (merges.isPresent()) return List.of(vocab.get(), merges.get());
        Optional<Path> sentencePiece = optional.apply(SENTENCE_PIECE);
        if (sentencePiece.isPresent()) return List.of(sentencePiece.get());
        return vocab.isEmpty() ? List.of() : List.of(vocab.get(), required.apply(MERGES));
    }

    private static ModelFiles of(
            Path config,
            Path weights,
            List<Path> vocabulary,
            List<Path> settings,
            String assumed,
            Function<List<String>, List<Path>> required) {
        List<String> names = StateDict.shards(weights);
        List<Path> files = required.apply(names);
        Map<String, Path> shards = new LinkedHashMap<>();
        for (int i = 0; i < names.size(); i++) shards.put(names.get(i), files.get(i));
        return new ModelFiles(config, weights, shards, vocabulary, settings, assumed);
    }

    /** Returns all files. */
    List<Path> all() {
        return Stream.of(List.of(config), vocabulary, settings, List.of(weights), shards.values())
                .flatMap(Collection::stream)
                .toList();
    }

    Tokenizer tokenizer() {
        return tokenizer(vocabulary, settings);
    }

    /** Returns the tokenizer whose files lie in a folder; GPT-2's own if there are none. */
    static Tokenizer tokenizerIn(Path folder) {
        Function<String, Optional<Path>> optional =
                name -> Optional.of(folder.resolve(name)).filter(Files::exists);
        return tokenizer(vocabulary(optional, required(folder, optional)), settings(optional));
    }

    private static Tokenizer tokenizer(List<Path> vocabulary, List<Path> settings) {
        return vocabulary.isEmpty() ? Tokenizer.gpt2().withSettings(settings) : Tokenizer.ofFiles(vocabulary, settings);
    }
}
