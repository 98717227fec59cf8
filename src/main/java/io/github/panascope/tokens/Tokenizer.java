package io.github.panascope.tokens;

import io.github.panascope.InputException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;

/**
 * A tokenizer, which converts texts to token ids and back, with the same results as Hugging Face's. The literal of a
 * special token, such as {@code <|endoftext|>}, becomes that token, as it does there. Thread-safe.
 *
 * <pre>{@code
 * Tokenizer tokenizer = Tokenizer.gpt2();
 * int[] ids = tokenizer.encode("Hello, world!");
 * System.out.println(Arrays.toString(ids)); // [15496, 11, 995, 0]
 * System.out.println(String.join("|", tokenizer.tokens(ids))); // Hello|,| world|!
 * System.out.println(tokenizer.decode(ids)); // Hello, world!
 * }</pre>
 */
public abstract sealed class Tokenizer permits Gpt2Tokenizer, PipelineTokenizer {
    /** The names of the files beside a vocabulary that say which tokens begin, end and pad texts. */
    public static final List<String> SETTINGS_FILES = TokenizerSettings.FILES;

    /** The name of the file with a template of conversations, which belongs to the settings and may be absent. */
    public static final String CHAT_TEMPLATE_FILE = TokenizerSettings.TEMPLATE;

    private static final String TOKENIZER = "tokenizer.json";
    private static final String SENTENCE_PIECE = "tokenizer.model";
    private static final String VOCABULARY = "vocab.json";
    private static final String MERGES = "merges.txt";

    Tokenizer() {}

    /** {@return the tokenizer of the published GPT-2; always the same object} */
    public static Tokenizer gpt2() {
        return Gpt2Tokenizer.published();
    }

    /**
     * Reads the tokenizer of a model from {@code vocab.json} and {@code merges.txt}.
     *
     * @param vocab  the JSON file with the id of each token
     * @param merges the text file with the merges, in the order of their ranks
     * @return the tokenizer; {@link #gpt2} if the files are those of GPT-2
     * @throws InputException if the files are malformed or contradict each other
     */
    public static Tokenizer ofVocabulary(Path vocab, Path merges) {
        return Gpt2Vocabulary.is(vocab, merges) ? gpt2() : VocabularyFiles.read(vocab, merges);
    }

    /**
     * Reads the tokenizer of a model from {@code tokenizer.json}, in the format of Hugging Face's tokenizers. The page
     * "Tokenizers" lists what is supported.
     *
     * @param path the JSON file
     * @return the tokenizer; {@link #gpt2} if the file describes that one
     * @throws InputException if the file is malformed, or has a setting that would produce other tokens and is not
     *     supported
     */
    public static Tokenizer ofTokenizerJson(Path path) {
        return Gpt2Vocabulary.is(path) ? gpt2() : TokenizerJson.read(path, null);
    }

    /**
     * Reads the tokenizer of a model from the files in its folder, as Transformers does: {@code tokenizer.json},
     * SentencePiece's {@code tokenizer.model}, or {@code vocab.json} with {@code merges.txt}, and the settings that are
     * there: {@link #SETTINGS_FILES} and {@code chat_template.jinja}.
     *
     * @param folder the folder, which needs no other files
     * @return the tokenizer; {@link #gpt2} if the files are those of GPT-2
     * @throws InputException if the folder has no vocabulary, or a file is malformed, contradicts another one, or has a
     *     setting that would produce other tokens and is not supported
     */
    public static Tokenizer ofFolder(Path folder) {
        List<Path> vocabulary;
        if (Files.exists(folder.resolve(TOKENIZER))) vocabulary = List.of(folder.resolve(TOKENIZER));
        else if (Files.exists(folder.resolve(VOCABULARY)) && Files.exists(folder.resolve(MERGES)))
            vocabulary = List.of(folder.resolve(VOCABULARY), folder.resolve(MERGES));
        else if (Files.exists(folder.resolve(SENTENCE_PIECE))) vocabulary = List.of(folder.resolve(SENTENCE_PIECE));
        else
            throw new InputException("folder " + folder + " has no tokenizer: it needs " + TOKENIZER + ", or "
                    + SENTENCE_PIECE + ", or " + VOCABULARY + " and " + MERGES + ".");
        return ofFiles(
                vocabulary,
                Stream.concat(SETTINGS_FILES.stream(), Stream.of(CHAT_TEMPLATE_FILE))
                        .map(folder::resolve)
                        .filter(Files::exists)
                        .toList());
    }

    /**
     * Reads the tokenizer of a model from its files, wherever they lie.
     *
     * @param vocabulary {@code tokenizer.json}, {@code tokenizer.model}, or {@code vocab.json} and {@code merges.txt}
     * @param settings   files with the names of {@link #SETTINGS_FILES}, or none
     * @return the tokenizer; {@link #gpt2} if the files are those of GPT-2
     * @throws InputException if a file is malformed, contradicts another one, or has a setting that would produce other
     *     tokens and is not supported
     * @throws IllegalArgumentException if the vocabulary is not one or two files
     */
    public static Tokenizer ofFiles(List<Path> vocabulary, List<Path> settings) {
        Path first = vocabulary.getFirst();
        TokenizerSettings read = TokenizerSettings.read(settings);
        boolean gpt2 = settings.isEmpty() || read.differsFromGpt2() == null;
        return switch (vocabulary.size()) {
            case 1 -> {
                if (gpt2 && Gpt2Vocabulary.is(first)) yield gpt2();
                if (first.getFileName().toString().equals(SENTENCE_PIECE)) yield SentencePieceModel.read(first, read);
                yield TokenizerJson.read(first, settings.isEmpty() ? null : read);
            }
            case 2 -> {
                if (gpt2 && Gpt2Vocabulary.is(first, vocabulary.get(1))) yield gpt2();
                PipelineTokenizer tokenizer = VocabularyFiles.read(first, vocabulary.get(1));
                yield settings.isEmpty() ? tokenizer : read.apply(tokenizer);
            }
            default ->
                throw new IllegalArgumentException(
                        "a vocabulary is one file, or two with the merges, not " + vocabulary);
        };
    }

    /**
     * Returns this vocabulary with the special tokens that settings files name.
     *
     * @param settings files with the names of {@link #SETTINGS_FILES}
     * @return the tokenizer; this one if nothing changes
     * @throws InputException if a file is malformed, or has a setting that would produce other tokens and is not
     *     supported
     */
    public abstract Tokenizer withSettings(List<Path> settings);

    /** Returns the id of a token as an int. */
    static int id(String place, String token, JsonNode id) {
        if (!id.isIntegralNumber() || !id.canConvertToInt())
            throw new InputException(
                    place + ": the id of token '" + token + "' should be a whole number, not " + id + ".");
        return id.intValue();
    }

    // ----------------------------------------------------------------------------------------------------- vocabulary

    /** {@return the number of token ids, including special tokens; ids are less than this} */
    public abstract int size();

    /**
     * Returns the token that begins texts.
     *
     * @return its id; {@link #eos} if the tokenizer names none; for GPT-2 that of {@code <|endoftext|>}
     * @throws InputException if the tokenizer has neither
     */
    public abstract int bos();

    /**
     * Returns the token that ends texts.
     *
     * @return its id; that of {@code <|endoftext|>} if the tokenizer names none
     * @throws InputException if the tokenizer has neither
     */
    public abstract int eos();

    /**
     * Returns the token that fills rows up.
     *
     * @return its id; {@link #eos} if the tokenizer names none
     * @throws InputException if the tokenizer has neither
     */
    public abstract int pad();

    /**
     * Returns the tokens that begin, end and pad texts, which SAELens calls special and excludes from evaluations.
     *
     * @return {@link #bos}, {@link #eos} and {@link #pad}, each once, ascending
     * @throws InputException if the tokenizer has none of them
     */
    public final int[] bosEosPad() {
        return IntStream.of(bos(), eos(), pad()).sorted().distinct().toArray();
    }

    /** {@return the ids of all special tokens, ascending, in an unmodifiable set} */
    public abstract Set<Integer> specialIds();

    /**
     * Returns whether a token is a special one, which stands for no text.
     *
     * @param id any number
     * @return true if {@link #specialIds} has it
     */
    public boolean isSpecial(int id) {
        return specialIds().contains(id);
    }

    /** {@return whether {@link #encodeWithSpecialTokens} begins with {@link #bos}} */
    public abstract boolean addsBos();

    /**
     * Looks a token up.
     *
     * @param token the token as the vocabulary writes it, such as {@code Ġthe}, {@code ▁the} or {@code <0x0A>}
     * @return its id; empty if the vocabulary does not have it
     */
    public abstract OptionalInt id(String token);

    /**
     * Returns a token as the vocabulary writes it, such as {@code Ġthe}, {@code ▁the} or {@code <0x0A>};
     * {@link #decode} returns its text.
     *
     * @param id an id
     * @return the token; {@code [id 1234]} for an id that none has, as of a row that only fills a model's embedding up
     * @throws IllegalArgumentException if the id is negative, or outside the vocabulary of the published GPT-2
     */
    public abstract String token(int id);

    /** {@return the template that makes one text of a conversation, in Jinja's language, if there is one} */
    public abstract Optional<String> chatTemplate();

    /**
     * Returns a hash of all that determines ids. Two tokenizers with the same fingerprint produce the same ids for
     * every text.
     *
     * @return an id, a space, and 32 hexadecimal digits
     */
    public abstract String fingerprint();

    // ------------------------------------------------------------------------------------------------- texts to tokens

    /**
     * The tokens of a text with their places in it.
     *
     * @param ids    the ids
     * @param tokens each token as the vocabulary writes it
     * @param starts where the characters of each token begin in the text, as an index of {@link String#charAt}
     * @param ends   where they end. A token of some of the bytes of a character has the place of the whole character
     */
    public record Encoding(int[] ids, List<String> tokens, int[] starts, int[] ends) {}

    /**
     * Converts a text to token ids. No token is added before or after the text.
     *
     * @param text any text
     * @return the ids, in a new array
     */
    public abstract int[] encode(String text);

    /**
     * Converts a text to token ids and puts {@link #bos} before them, as models expect texts to begin.
     *
     * @param text any text
     * @return the ids, in a new array
     */
    public final int[] encodeAfterBos(String text) {
        return IntStream.concat(IntStream.of(bos()), IntStream.of(encode(text))).toArray();
    }

    /**
     * Converts a text to token ids with their places in the text. No token is added before or after the text. Places
     * count UTF-16 units, as Java's strings do; those of Hugging Face in Python count code points.
     *
     * @param text any text
     * @return the ids of {@link #encode}, with tokens and places
     */
    public abstract Encoding encodeWithOffsets(String text);

    /**
     * Converts a text to token ids, with the tokens that the tokenizer adds by itself before and after a text. GPT-2's
     * adds none.
     *
     * @param text any text
     * @return the ids, in a new array
     */
    public abstract int[] encodeWithSpecialTokens(String text);

    // ------------------------------------------------------------------------------------------------- tokens to texts

    /**
     * Converts token ids to the bytes of their text. A token may end within a character.
     *
     * @param ids ids from 0 to {@link #size} - 1
     * @return the bytes, in UTF-8 where they form whole characters
     * @throws IllegalArgumentException if an id is outside the vocabulary
     */
    public abstract byte[] decodeBytes(int... ids);

    /**
     * Converts token ids to text. Bytes that do not form a whole character become U+FFFD.
     *
     * @param ids ids; those that no token has give nothing
     * @return the text
     * @throws IllegalArgumentException if an id is negative, or outside the vocabulary of the published GPT-2
     */
    public String decode(int... ids) {
        return new String(decodeBytes(ids), StandardCharsets.UTF_8);
    }

    /**
     * Converts token ids to text, with or without special tokens.
     *
     * @param skipSpecialTokens true to leave out the {@link #specialIds}
     * @param ids               ids from 0 to {@link #size} - 1
     * @return the text; bytes that do not form a whole character become U+FFFD
     * @throws IllegalArgumentException if an id is outside the vocabulary
     */
    public String decode(boolean skipSpecialTokens, int... ids) {
        if (!skipSpecialTokens) return decode(ids);
        int[] kept = new int[ids.length];
        int size = 0;
        for (int id : ids) if (!isSpecial(id)) kept[size++] = id;
        return decode(Arrays.copyOf(kept, size));
    }

    /**
     * Converts token ids to texts, each id on its own.
     *
     * @param ids ids from 0 to {@link #size} - 1
     * @return the text of each id; bytes that do not form a whole character become U+FFFD
     * @throws IllegalArgumentException if an id is outside the vocabulary
     */
    public List<String> tokens(int... ids) {
        List<String> tokens = new ArrayList<>(ids.length);
        for (int id : ids) tokens.add(decode(id));
        return tokens;
    }
}
