package io.github.panascope.tokens;

import io.github.panascope.InputException;
import io.github.panascope.internal.ConfigFile;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import tools.jackson.databind.JsonNode;

/**
 * A {@code tokenizer.json} in the format of Hugging Face's tokenizers, if it describes a tokenizer like GPT-2's. A
 * setting that would produce other tokens than {@link Tokenizer} is refused by name, and so is an unknown key.
 */
final class TokenizerJson {
    /**
     * The keys of the file. Truncation and padding are chosen by the caller of Transformers in each call, whatever the
     * file says.
     */
    private static final Set<String> TOP = Set.of(
            "version",
            "truncation",
            "padding",
            "added_tokens",
            "normalizer",
            "pre_tokenizer",
            "post_processor",
            "decoder",
            "model");
    /**
     * The keys of the model. The treatment of unknown tokens does not matter, as none occur where all bytes are tokens.
     */
    private static final Set<String> MODEL = Set.of(
            "type",
            "dropout",
            "unk_token",
            "continuing_subword_prefix",
            "end_of_word_suffix",
            "fuse_unk",
            "byte_fallback",
            "ignore_merges",
            "vocab",
            "merges");
    /** The keys of an added token. Whether it is normalized does not matter where there is no normalizer. */
    private static final Set<String> ADDED =
            Set.of("id", "content", "single_word", "lstrip", "rstrip", "normalized", "special");
    /** The keys of a byte-level step; offsets, which {@code trim_offsets} affects, are not computed here. */
    private static final Set<String> BYTE_LEVEL = Set.of("type", "add_prefix_space", "trim_offsets", "use_regex");

    private final ConfigFile file;
    private final ConfigFile model;

    private TokenizerJson(ConfigFile file) {
        this.file = file;
        this.model = file.object("model").orElseThrow(() -> new InputException(file.place() + " has no 'model'."));
    }

    /** Reads the vocabulary and the merges. */
    static Tokenizer read(Path path) {
        TokenizerJson json = new TokenizerJson(ConfigFile.read(path));
        json.requireModel();
        json.requireSteps();
        Map<String, Integer> ids = json.ids(path.toString());
        json.requireAddedTokens(path.toString(), ids);
        List<String> merges = json.merges();
        if (Gpt2Vocabulary.is(ids, merges)) return Tokenizer.gpt2();
        return Gpt2Tokenizer.build(path.toString(), ids, merges);
    }

    private void requireModel() {
        requireKeys(file, TOP);
        if (!model.text("type", "BPE").equals("BPE")) throw model.wrong("type", "'BPE'");
        requireKeys(model, MODEL);
        if (model.number("dropout", 0) != 0)
            throw model.wrong("dropout", "null, as only then a text has one sequence of tokens");
        for (String key : List.of("continuing_subword_prefix", "end_of_word_suffix"))
            if (!model.text(key, "").isEmpty()) throw model.wrong(key, "null or empty");
        for (String key : List.of("byte_fallback", "ignore_merges"))
            if (model.flag(key, false)) throw model.wrong(key, "false");
    }

    private void requireSteps() {
        if (file.has("normalizer")) throw file.wrong("normalizer", "null, as texts are taken as they are");
        ConfigFile pieces = file.object("pre_tokenizer")
                .orElseThrow(() -> file.wrong("pre_tokenizer", "GPT-2's, of the type 'ByteLevel'"));
        requireType(pieces, "ByteLevel", BYTE_LEVEL);
        if (pieces.flag("add_prefix_space", true)) throw pieces.wrong("add_prefix_space", "false");
        if (!pieces.flag("use_regex", true)) throw pieces.wrong("use_regex", "true");
        file.object("decoder").ifPresent(decoder -> requireType(decoder, "ByteLevel", BYTE_LEVEL));
        file.object("post_processor").ifPresent(this::requireNothingAdded);
    }

    /**
     * Checks that the post-processor adds no token. Transformers 5 writes a template for GPT-2 that contains only the
     * text.
     */
    private void requireNothingAdded(ConfigFile processor) {
        if (processor.text("type").equals("ByteLevel")) return;
        Optional<JsonNode> single = processor.text("type").equals("TemplateProcessing")
                ? processor.value("single", JsonNode::isArray)
                : Optional.empty();
        boolean textAlone = single.isPresent()
                && single.get().size() == 1
                && single.get().get(0).path("Sequence").path("id").asString("").equals("A");
        if (!textAlone) throw file.wrong("post_processor", "one that puts no token before or after a text");
    }

    private static void requireType(ConfigFile part, String type, Set<String> keys) {
        if (!part.text("type").equals(type)) throw part.wrong("type", "'" + type + "'");
        requireKeys(part, keys);
    }

    private static void requireKeys(ConfigFile part, Set<String> understood) {
        Set<String> others = new TreeSet<>(part.keys());
        others.removeAll(understood);
        if (!others.isEmpty())
            throw new InputException(part.place() + ": '" + String.join("', '", others)
                    + "' is not understood, and may make other tokens.");
    }

    private Map<String, Integer> ids(String place) {
        if (model.object("vocab").isEmpty()) throw new InputException(place + ": model has no 'vocab'.");
        Map<String, Integer> ids = new HashMap<>();
        model.value("vocab").forEachEntry((token, id) -> ids.put(token, Tokenizer.id(place, token, id)));
        return ids;
    }

    /**
     * Adds the end-of-text token to the ids if only the list of added tokens has it, and refuses all other added
     * tokens.
     */
    private void requireAddedTokens(String place, Map<String, Integer> ids) {
        if (!file.has("added_tokens")) return;
        for (JsonNode token :
                file.value("added_tokens", JsonNode::isArray).orElseThrow(() -> file.wrong("added_tokens", "a list"))) {
            ConfigFile added = ConfigFile.of(place + ": added token", token);
            requireKeys(added, ADDED);
            String content = added.text("content");
            if (!content.equals(Gpt2Tokenizer.END_OF_TEXT))
                throw added.wrong(
                        "content", "'" + Gpt2Tokenizer.END_OF_TEXT + "', the only added token that is supported");
            for (String key : List.of("single_word", "lstrip", "rstrip"))
                if (added.flag(key, false)) throw added.wrong(key, "false");
            int id = Tokenizer.id(place, content, token.path("id"));
            Integer other = ids.putIfAbsent(content, id);
            if (other != null && other != id)
                throw new InputException(place + ": the id of " + content + " is " + id
                        + " among the added tokens, and " + other + " in the vocabulary.");
        }
    }

    private List<String> merges() {
        JsonNode merges = model.value("merges");
        if (merges == null || !merges.isArray()) throw new InputException(model.place() + " has no 'merges'.");
        List<String> pairs = new ArrayList<>();
        for (JsonNode merge : merges) {
            boolean pair = merge.isArray()
                    && merge.size() == 2
                    && merge.get(0).isString()
                    && merge.get(1).isString();
            if (!pair && !merge.isString())
                throw new InputException(model.place() + ": merges should hold pairs of tokens, not " + merge + ".");
            pairs.add(pair ? merge.get(0).stringValue() + " " + merge.get(1).stringValue() : merge.stringValue());
        }
        return pairs;
    }
}
