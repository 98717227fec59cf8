package io.github.panascope.tokens;

import com.knuddels.jtokkit.Encodings;
import com.knuddels.jtokkit.api.Encoding;
import com.knuddels.jtokkit.api.EncodingRegistry;
import com.knuddels.jtokkit.api.EncodingType;
import com.knuddels.jtokkit.api.GptBytePairEncodingParams;
import com.knuddels.jtokkit.api.IntArrayList;
import io.github.panascope.InputException;
import io.github.panascope.internal.ConfigFile;
import io.github.panascope.internal.TextFile;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import tools.jackson.databind.JsonNode;

/**
 * GPT-2's byte-level BPE, which converts texts to token ids and back, with the same results as Hugging Face's
 * tokenizer. The literal {@code <|endoftext|>} in a text becomes the special token, as it does there; this token also
 * marks beginning, end and padding. Thread-safe.
 *
 * <pre>{@code
 * Tokenizer tokenizer = Tokenizer.gpt2();
 * int[] ids = tokenizer.encode("Hello, world!");
 * System.out.println(Arrays.toString(ids)); // [15496, 11, 995, 0]
 * System.out.println(String.join("|", tokenizer.tokens(ids))); // Hello|,| world|!
 * System.out.println(tokenizer.decode(ids)); // Hello, world!
 * }</pre>
 */
public final class Tokenizer {
    /** The text of the only special token of GPT-2. */
    public static final String END_OF_TEXT = "<|endoftext|>";

    /** Matches a whole text: the encoder receives pieces of {@link Gpt2PreTokenizer}, which must not be split again. */
    private static final Pattern WHOLE = Pattern.compile(".+", Pattern.DOTALL);

    private final Encoding encoding;
    private final Gpt2PreTokenizer pieces;
    private final int endOfText;
    private final int size;

    private Tokenizer(Encoding encoding, int endOfText, int size) {
        this.encoding = encoding;
        this.pieces =
                new Gpt2PreTokenizer(piece -> encoding.encodeOrdinary(piece).toArray());
        this.endOfText = endOfText;
        this.size = size;
    }

    private static final class Gpt2 {
        static final Tokenizer INSTANCE =
                new Tokenizer(Encodings.newLazyEncodingRegistry().getEncoding(EncodingType.R50K_BASE), 50256, 50257);
    }

    /** {@return the tokenizer of the published GPT-2; always the same object} */
    public static Tokenizer gpt2() {
        return Gpt2.INSTANCE;
    }

    /**
     * Reads the tokenizer of a model from {@code vocab.json} and {@code merges.txt}.
     *
     * @param vocab  the JSON file with the id of each token
     * @param merges the text file with the merges, in the order of their ranks
     * @return the tokenizer; {@link #gpt2} if the files are those of GPT-2
     * @throws InputException if the files are malformed, contradict each other, or number tokens in another order than
     *     that of their merges
     */
    public static Tokenizer ofVocabulary(Path vocab, Path merges) {
        if (Gpt2Vocabulary.is(vocab, merges)) return gpt2();
        ConfigFile file = ConfigFile.read(vocab);
        List<String> lines = TextFile.read(merges).lines().toList();
        Map<String, Integer> ids = new HashMap<>();
        for (String token : file.keys()) ids.put(token, id(vocab.toString(), token, file.value(token)));
        List<String> pairs = lines.stream()
                .filter(line -> !line.startsWith("#version") && !line.isBlank())
                .toList();
        return build(vocab + " with " + merges.getFileName(), ids, pairs);
    }

    /**
     * Reads the tokenizer of a model from {@code tokenizer.json}, which has to describe a byte-level BPE like GPT-2's.
     *
     * @param path the JSON file
     * @return the tokenizer; {@link #gpt2} if the file describes that one
     * @throws InputException if the file is malformed, or has a setting that would produce other tokens and is not
     *     supported
     */
    public static Tokenizer ofTokenizerJson(Path path) {
        return Gpt2Vocabulary.is(path) ? gpt2() : TokenizerJson.read(path);
    }

    /** Returns the tokens of the 256 bytes, in the order of GPT-2's ids. */
    static List<String> letters() {
        return ByteLetters.ALL;
    }

    /** Returns the id of a token as an int. */
    static int id(String place, String token, JsonNode id) {
        if (!id.isIntegralNumber() || !id.canConvertToInt())
            throw new InputException(
                    place + ": the id of token '" + token + "' should be a whole number, not " + id + ".");
        return id.intValue();
    }

    /** Builds a tokenizer after checking that the encoder gives the ids of the merges. */
    static Tokenizer build(String place, Map<String, Integer> ids, List<String> merges) {
        Integer end = ids.get(END_OF_TEXT);
        if (end == null) throw new InputException(place + ": the vocabulary has no " + END_OF_TEXT + ".");
        Merges ranked = new Merges(place, ids, merges);
        requireComplete(place, ids);
        ranked.requireAllMade(letters());
        Map<byte[], Integer> encoder = new HashMap<>(ids.size() * 2);
        ids.forEach((token, id) -> {
            if (id != end.intValue()) encoder.put(bytes(place, token), id);
        });
        EncodingRegistry registry = Encodings.newLazyEncodingRegistry();
        registry.registerGptBytePairEncoding(
                new GptBytePairEncodingParams("model", WHOLE, encoder, Map.of(END_OF_TEXT, end)));
        return new Tokenizer(
                registry.getEncoding("model").orElseThrow(),
                end,
                ids.values().stream().mapToInt(Integer::intValue).max().orElse(0) + 1);
    }

    /**
     * Checks that the vocabulary has a token for each of the 256 bytes, and that ids are numbered from 0 without gaps.
     */
    private static void requireComplete(String place, Map<String, Integer> ids) {
        BitSet seen = new BitSet(ids.size());
        ids.forEach((token, id) -> {
            if (id < 0 || id >= ids.size())
                throw new InputException(place + ": token '" + token + "' should have an id from 0 to "
                        + (ids.size() - 1) + ", as there are " + ids.size() + " tokens, not " + id + ".");
            if (seen.get(id))
                throw new InputException(
                        place + ": token '" + token + "' has the id " + id + ", which another has too.");
            seen.set(id);
        });
        for (int letter = 0; letter < ByteLetters.BYTE_OF.length; letter++) {
            if (ByteLetters.BYTE_OF[letter] >= 0 && !ids.containsKey(String.valueOf((char) letter))) {
                throw new InputException(place + ": the vocabulary has no token '" + (char) letter + "' for the byte "
                        + ByteLetters.BYTE_OF[letter] + ": texts with it could not be tokenized.");
            }
        }
    }

    /**
     * Returns the bytes of a token. GPT-2 writes bytes as characters: printable ones as themselves, the others as
     * characters from U+0100 on.
     */
    private static byte[] bytes(String place, String token) {
        ByteArrayOutputStream out = new ByteArrayOutputStream(token.length());
        for (char c : token.toCharArray()) {
            int b = c < ByteLetters.BYTE_OF.length ? ByteLetters.BYTE_OF[c] : -1;
            if (b < 0)
                throw new InputException(
                        place + ": token '" + token + "' holds '" + c + "', which stands for no byte.");
            out.write(b);
        }
        return out.toByteArray();
    }

    /** The code point after the last of the characters that stand for bytes. */
    static final int LETTERS_END = 0x144;

    private static final class ByteLetters {
        static final int[] BYTE_OF = new int[LETTERS_END];
        static final List<String> ALL;

        static {
            Arrays.fill(BYTE_OF, -1);
            int next = 0x100;
            for (int b = 0; b < 256; b++) {
                boolean printable = b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae;
                BYTE_OF[printable ? b : next++] = b;
            }
            ALL = IntStream.range(0, BYTE_OF.length)
                    .filter(letter -> BYTE_OF[letter] >= 0)
                    .mapToObj(letter -> String.valueOf((char) letter))
                    .toList();
        }
    }

    // ----------------------------------------------------------------------------------------------------------------

    /** {@return the number of token ids, including the special token} */
    public int size() {
        return size;
    }

    /** {@return the id of {@code <|endoftext|>}, which marks beginning, end and padding} */
    public int endOfText() {
        return endOfText;
    }

    /**
     * Returns a hash of the vocabulary, whose order is that of the merges. Two tokenizers with the same fingerprint
     * produce the same ids for every text.
     *
     * @return the id of {@code <|endoftext|>}, a space, and 32 hexadecimal digits
     */
    public String fingerprint() {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            for (int id = 0; id < size; id++) {
                byte[] bytes = decodeBytes(id);
                digest.update(
                        ByteBuffer.allocate(Integer.BYTES).putInt(bytes.length).flip());
                digest.update(bytes);
            }
            return endOfText + " " + HexFormat.of().formatHex(digest.digest(), 0, 16);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }

    /** {@return a description with the number of tokens} */
    @Override
    public String toString() {
        return "Tokenizer of " + size + " tokens" + (this == Gpt2.INSTANCE ? ", GPT-2's own" : "");
    }

    /**
     * Converts a text to token ids. No token is added before or after the text.
     *
     * @param text any text
     * @return the ids, in a new array
     */
    public int[] encode(String text) {
        IntArrayList ids = new IntArrayList(text.length() / 3 + 1);
        char[] chars = text.toCharArray();
        int from = 0;
        for (int at; (at = text.indexOf(END_OF_TEXT, from)) >= 0; from = at + END_OF_TEXT.length()) {
            append(ids, chars, from, at);
            ids.add(endOfText);
        }
        append(ids, chars, from, chars.length);
        return ids.toArray();
    }

    private void append(IntArrayList ids, char[] text, int from, int end) {
        for (int start = from, next; start < end; start = next) {
            next = Gpt2PreTokenizer.end(text, start, end);
            for (int id : pieces.ids(text, start, next)) ids.add(id);
        }
    }

    /**
     * Converts token ids to the bytes of their text. A token may end within a character.
     *
     * @param ids ids from 0 to {@link #size} - 1
     * @return the bytes, in UTF-8 where they form whole characters
     * @throws IllegalArgumentException if an id is outside the vocabulary
     */
    public byte[] decodeBytes(int... ids) {
        IntArrayList list = new IntArrayList(ids.length);
        for (int id : ids) {
            if (id < 0 || id >= size)
                throw new IllegalArgumentException("token id " + id + " is outside the vocabulary of " + size);
            list.add(id);
        }
        return encoding.decodeBytes(list);
    }

    /**
     * Converts token ids to text. Bytes that do not form a whole character become U+FFFD.
     *
     * @param ids ids from 0 to {@link #size} - 1
     * @return the text
     * @throws IllegalArgumentException if an id is outside the vocabulary
     */
    public String decode(int... ids) {
        return new String(decodeBytes(ids), StandardCharsets.UTF_8);
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
