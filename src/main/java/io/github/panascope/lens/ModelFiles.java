package io.github.panascope.lens;

import io.github.panascope.hub.Hub;
import io.github.panascope.hub.HubRepo;
import io.github.panascope.hub.InputException;
import io.github.panascope.hub.Nearest;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/**
 * Where the files of a model lie, in Hugging Face's layout.
 *
 * @param config     config.json
 * @param weights    model.safetensors
 * @param vocabulary vocab.json and merges.txt, or tokenizer.json; none if GPT-2's own tokenizer applies
 */
record ModelFiles(Path config, Path weights, List<Path> vocabulary) {
    /** TransformerLens's names and aliases, by the hub's. */
    private static final Map<String, List<String>> NAMES = Map.of(
            "gpt2", List.of("gpt2", "gpt2-small"),
            "gpt2-medium", List.of("gpt2-medium"),
            "gpt2-large", List.of("gpt2-large"),
            "gpt2-xl", List.of("gpt2-xl"),
            "distilgpt2", List.of("distilgpt2", "distillgpt2", "distill-gpt2", "distil-gpt2", "gpt2-xs"));

    static ModelFiles find(String nameOrFolder, Hub hub) {
        Path folder = Path.of(nameOrFolder);
        if (Files.isDirectory(folder)) {
            Function<String, Optional<Path>> inFolder = name -> Optional.of(folder.resolve(name)).filter(Files::exists);
            return of(name -> inFolder.apply(name).orElseThrow(() -> new InputException("model folder " + folder + " has no " + name + ".")), inFolder);
        }
        HubRepo repo = HubRepo.model(hubId(nameOrFolder));
        return of(name -> hub.file(repo, name), name -> hub.optionalFile(repo, name));
    }

    private static String hubId(String name) {
        for (var known : NAMES.entrySet()) if (known.getValue().contains(name)) return known.getKey();
        if (name.matches("[^/.][^/]*/[^/]+")) return name;
        List<String> all = NAMES.values().stream().flatMap(List::stream).sorted().toList();
        throw new InputException("model '" + name + "' is not known, and no folder of that name exists." + Nearest.advice(name, all) + " Known: " + String.join(", ", all) + ".");
    }

    private static ModelFiles of(Function<String, Path> required, Function<String, Optional<Path>> optional) {
        Path config = required.apply("config.json");
        Path weights = required.apply("model.safetensors");
        List<Path> vocabulary = new ArrayList<>();
        Optional<Path> vocab = optional.apply("vocab.json");
        Optional<Path> merges = vocab.flatMap(found -> optional.apply("merges.txt"));
        if (merges.isPresent()) vocabulary.addAll(List.of(vocab.get(), merges.get()));
        else optional.apply("tokenizer.json").ifPresent(vocabulary::add);
        return new ModelFiles(config, weights, List.copyOf(vocabulary));
    }

    Tokenizer tokenizer() {
        return switch (vocabulary.size()) {
            case 0 -> Tokenizer.gpt2();
            case 1 -> Tokenizer.ofTokenizerJson(vocabulary.get(0));
            default -> Tokenizer.ofVocabulary(vocabulary.get(0), vocabulary.get(1));
        };
    }
}
