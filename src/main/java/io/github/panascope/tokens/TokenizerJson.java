package io.github.panascope.tokens;

import io.github.panascope.InputException;
import io.github.panascope.internal.ConfigFile;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * The steps of a {@code tokenizer.json} in the format of Hugging Face's tokenizers. What is not supported is refused by
 * name, and so is an unknown key. Truncation and padding are not read: the caller of Transformers chooses them in each
 * call, whatever the file says.
 *
 * @param place       the file, for error messages
 * @param description what determines ids, apart from tokens and merges
 * @param ids         the id of each token of the model
 * @param tokens      the token of each id; null for an id that no token has
 * @param pairs       the merges
 * @param normalizer  changes texts; null if they are taken as they are
 * @param splitter    splits texts
 * @param model       makes tokens of pieces
 * @param decoder     makes texts of tokens
 * @param needsPlaces whether a step asks where a piece begins in the whole text
 */
record TokenizerJson(
        String place,
        String description,
        Map<String, Integer> ids,
        @Nullable String[] tokens,
        long[] pairs,
        @Nullable TextNormalizer normalizer,
        PreTokenizer splitter,
        BytePairs model,
        TokenDecoder decoder,
        boolean needsPlaces) {
    /** Larger ids are refused, as a table has one entry for each id. */
    private static final int LARGEST_ID = 1 << 24;

    /**
     * Reads a file.
     *
     * @param settings what stands beside it; null if only the file counts
     */
    static Tokenizer read(Path path, @Nullable TokenizerSettings settings) {
        ConfigFile file = ConfigFile.read(path);
        JsonNode space = file.value("pre_tokenizer", JsonNode::isObject)
                .filter(splitter -> splitter.path("type").asString("").equals("ByteLevel"))
                .map(splitter -> splitter.get("add_prefix_space"))
                .orElse(null);
        if (settings != null && space != null && space.isBoolean()) // Transformers sets it, as far as it knows of it
        file = file.with("{\"add_prefix_space\": " + settings.addPrefixSpace() + "}", Set.of(), "pre_tokenizer");
        if ((settings == null || settings.differsFromGpt2() == null) && isGpt2(file)) return Tokenizer.gpt2();
        PipelineTokenizer tokenizer = of(file);
        return settings == null ? tokenizer : settings.apply(tokenizer);
    }

    /** Reads the content of a file. */
    static PipelineTokenizer of(ConfigFile file) {
        StepSettings.requireKeys(
                file,
                "version",
                "truncation",
                "padding",
                "added_tokens",
                "normalizer",
                "pre_tokenizer",
                "post_processor",
                "decoder",
                "model");
        ConfigFile model =
                file.object("model").orElseThrow(() -> new InputException(file.place() + " has no 'model'."));
        Map<String, Integer> ids = ids(model);
        List<AddedTokens.Added> tokens = new ArrayList<>();
        List<Integer> wanted = new ArrayList<>();
        readAdded(file, tokens, wanted);
        List<String[]> merges = merges(model);
        TokenizerJson parts = steps(file, model, ids, merges);
        AddedTokens added = new AddedTokens(ids);
        added.add(tokens);
        added.prepare(file.place(), parts::normalized);
        for (int i = 0; i < tokens.size(); i++) {
            AddedTokens.Added token = tokens.get(i);
            Integer given = added.ids().get(token.content());
            if (given != null && !given.equals(wanted.get(i)))
                throw new InputException(file.place() + ": the id of the added token '" + token.content() + "' is "
                        + wanted.get(i) + " in the file, and should be " + given
                        + ", as the vocabulary has it, or as the next one after the ids before it.");
        }
        PostProcessor processor = PostProcessor.read(file.place() + ": post_processor", file.value("post_processor"));
        for (int id : processor.around(new int[0]))
            if (!added.byId().containsKey(id) && (id < 0 || id >= parts.tokens.length || parts.tokens[id] == null))
                throw new InputException(file.place() + ": post_processor: the template puts the id " + id
                        + " around a text, and no token has it.");
        return new PipelineTokenizer(parts, added, processor, PipelineTokenizer.Roles.NONE);
    }

    /** Returns whether the file is that of GPT-2, for which there is a faster tokenizer. */
    private static boolean isGpt2(ConfigFile file) {
        JsonNode model = file.value("model");
        if (model == null || !Gpt2Vocabulary.hasSize(model.path("vocab").size())) return false;
        ConfigFile read = file.object("model").orElseThrow();
        List<AddedTokens.Added> tokens = new ArrayList<>();
        readAdded(file, tokens, new ArrayList<>());
        JsonNode pieces = file.value("pre_tokenizer");
        PostProcessor processor = PostProcessor.read(file.place() + ": post_processor", file.value("post_processor"));
        return !file.has("normalizer")
                && pieces != null
                && pieces.path("type").asString("").equals("ByteLevel")
                && !pieces.path("add_prefix_space").asBoolean(true)
                && pieces.path("use_regex").asBoolean(true)
                && tokens.equals(List.of(new AddedTokens.Added(
                        Gpt2Tokenizer.END_OF_TEXT,
                        false,
                        false,
                        false,
                        !tokens.isEmpty() && tokens.getFirst().normalized(),
                        true)))
                && processor.before().length == 0
                && processor.after().length == 0
                && processor.trims().isEmpty()
                && !read.flag("ignore_merges", false)
                && read.number("dropout", 0) == 0
                && Gpt2Vocabulary.is(
                        ids(read),
                        merges(read).stream()
                                .map(pair -> String.join(" ", pair))
                                .toList());
    }

    private static TokenizerJson steps(
            ConfigFile file, ConfigFile model, Map<String, Integer> ids, List<String[]> merges) {
        if (model.number("dropout", 0) != 0)
            throw model.wrong("dropout", "null, as only then a text has one sequence of tokens");
        BytePairs.Settings settings = new BytePairs.Settings(
                model.text("unk_token", null),
                model.text("continuing_subword_prefix", ""),
                model.text("end_of_word_suffix", ""),
                model.flag("fuse_unk", false),
                model.flag("byte_fallback", false),
                model.flag("ignore_merges", false));
        if (settings.byteFallback() && !(settings.prefix() + settings.suffix()).isEmpty())
            throw model.wrong("byte_fallback", "false with a continuing_subword_prefix or an end_of_word_suffix");
        String place = file.place();
        TextNormalizer normalizer = TextNormalizer.read(place + ": normalizer", file.value("normalizer"));
        List<PreTokenizer> steps = PreTokenizer.read(place + ": pre_tokenizer", file.value("pre_tokenizer"));
        boolean needsPlaces = false;
        for (int i = 0; i < steps.size(); i++)
            needsPlaces |= (normalizer != null || i > 0)
                    && steps.get(i) instanceof MetaspaceStep step
                    && step.scheme() == MetaspaceStep.Scheme.FIRST;
        boolean byteLevel = !steps.isEmpty()
                && steps.getLast() == ByteLetterStep.INSTANCE
                && settings.prefix().isEmpty()
                && settings.suffix().isEmpty()
                && ByteLetters.all().stream().allMatch(ids::containsKey);
        PreTokenizer splitter = (text, from, to, pieces) -> pieces.accept(text, from, to);
        boolean first = true;
        for (PreTokenizer step : byteLevel ? steps.subList(0, steps.size() - 1) : steps) {
            splitter = first ? step : splitter.then(step);
            first = false;
        }
        PairMerger merger = new PairMerger(model.place(), ids, merges, settings.prefix());
        return new TokenizerJson(
                place,
                settings + " " + file.value("normalizer") + " " + file.value("pre_tokenizer"),
                ids,
                tokens(ids),
                merger.pairs(),
                normalizer,
                splitter,
                new BytePairs(model.place(), settings, ids, merger, byteLevel),
                TokenDecoder.read(place + ": decoder", file.value("decoder")),
                needsPlaces);
    }

    private static @Nullable String[] tokens(Map<String, Integer> ids) {
        @Nullable
        String[] tokens =
                new String[ids.values().stream().mapToInt(id -> id + 1).max().orElse(0)];
        ids.forEach((token, id) -> tokens[id] = token);
        return tokens;
    }

    /** Returns a text as the normalizer changes it. */
    String normalized(String text) {
        return normalizer == null
                ? text
                : normalizer.apply(AlignedText.of(text, false)).toString();
    }

    private static Map<String, Integer> ids(ConfigFile model) {
        StepSettings.requireKeys(
                model,
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
        if (!model.text("type", "BPE").equals("BPE")) throw model.wrong("type", "'BPE', the supported one");
        if (model.object("vocab").isEmpty()) throw new InputException(model.place() + " has no 'vocab'.");
        JsonNode vocabulary = model.value("vocab");
        Map<String, Integer> ids = new HashMap<>(vocabulary.size() * 2);
        vocabulary.forEachEntry((token, value) -> {
            int id = Tokenizer.id(model.place(), token, value);
            if (id < 0 || id > LARGEST_ID)
                throw new InputException(model.place() + ": the id of token '" + token + "' should be from 0 to "
                        + LARGEST_ID + ", not " + id + ".");
            ids.put(token, id);
        });
        return ids;
    }

    private static void readAdded(ConfigFile file, List<AddedTokens.Added> tokens, List<Integer> ids) {
        if (!file.has("added_tokens")) return;
        for (JsonNode token : StepSettings.list(file, "added_tokens")) {
            ConfigFile added = ConfigFile.of(file.place() + ": added token", token);
            StepSettings.requireKeys(
                    added, "id", "content", "single_word", "lstrip", "rstrip", "normalized", "special");
            tokens.add(added(added, true));
            ids.add(Tokenizer.id(added.place(), added.text("content"), token.path("id")));
        }
    }

    /**
     * Reads the description of an added token.
     *
     * @param normalized whether it is normalized, if the description does not say so
     */
    static AddedTokens.Added added(ConfigFile token, boolean normalized) {
        return new AddedTokens.Added(
                token.text("content"),
                token.flag("single_word", false),
                token.flag("lstrip", false),
                token.flag("rstrip", false),
                token.flag("normalized", normalized),
                token.flag("special", false));
    }

    private static List<String[]> merges(ConfigFile model) {
        JsonNode merges = model.value("merges");
        if (merges == null || !merges.isArray()) throw new InputException(model.place() + " has no 'merges'.");
        List<String[]> pairs = new ArrayList<>(merges.size());
        for (JsonNode merge : merges) {
            if (merge.isString() && merge.stringValue().startsWith("#version")) continue;
            String[] pair = merge.isString() ? merge.stringValue().split(" ", -1) : new String[0];
            if (merge.isArray()
                    && merge.size() == 2
                    && merge.get(0).isString()
                    && merge.get(1).isString())
                pair = new String[] {merge.get(0).stringValue(), merge.get(1).stringValue()};
            if (pair.length != 2)
                throw new InputException(model.place() + ": merges should hold pairs of tokens, not " + merge + ".");
            pairs.add(pair);
        }
        return pairs;
    }
}
