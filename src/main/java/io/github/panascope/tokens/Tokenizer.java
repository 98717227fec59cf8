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
 * GPT-2's byte-level BPE: texts to token ids and back, equal to Hugging Face's. Thread-safe. The literal
 * {@code <|endoftext|>} in a text is the special token, as it is for Hugging Face; beginning, end and padding are all
 * that token.
 */
public final class Tokenizer {
    /** The only special token of GPT-2. */
    public static final String END_OF_TEXT = "<|endoftext|>";

    /** What comes to the encoder is one of {@link Gpt2PreTokenizer}, not to be taken apart again. */
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

    /** The tokenizer of the published GPT-2. */
    public static Tokenizer gpt2() {
        return Gpt2.INSTANCE;
    }

    /**
     * A model's own {@code vocab.json} and {@code merges.txt}.
     *
     * @throws InputException if they are malformed, disagree, or number tokens in another order than that of their
     *     merges
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
     * A model's own {@code tokenizer.json}, if it holds a byte-level BPE as GPT-2's is.
     *
     * @throws InputException if it is malformed, or asks for anything that would make other tokens and is not supported
     */
    public static Tokenizer ofTokenizerJson(Path path) {
        return Gpt2Vocabulary.is(path) ? gpt2() : TokenizerJson.read(path);
    }

    /** The tokens of the 256 bytes, in the order of GPT-2's ids. */
    static List<String> letters() {
        return ByteLetters.ALL;
    }

    static int id(String place, String token, JsonNode id) {
        if (!id.isIntegralNumber() || !id.canConvertToInt())
            throw new InputException(
                    place + ": the id of token '" + token + "' should be a whole number, not " + id + ".");
        return id.intValue();
    }

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

    /** Any text is made of the 256 bytes, and ids are numbered from 0 without gaps. */
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

    /** GPT-2 writes bytes as characters: printable ones as themselves, the others from U+0100 on. */
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

    /** After the last of the characters that stand for bytes. */
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

    /** The number of token ids, the special token included. */
    public int size() {
        return size;
    }

    /** The id of {@code <|endoftext|>}: beginning, end and padding. */
    public int endOfText() {
        return endOfText;
    }

    /**
     * A hash of the vocabulary, whose order is that of the merges: two tokenizers with the same one make the same ids
     * of a text.
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

    /** Its size, for people. */
    @Override
    public String toString() {
        return "Tokenizer of " + size + " tokens" + (this == Gpt2.INSTANCE ? ", GPT-2's own" : "");
    }

    /** The ids of a text. Nothing is put before or after it. */
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

    /** The bytes of token ids, which need not be whole characters. */
    public byte[] decodeBytes(int... ids) {
        IntArrayList list = new IntArrayList(ids.length);
        for (int id : ids) {
            if (id < 0 || id >= size)
                throw new IllegalArgumentException("token id " + id + " is outside the vocabulary of " + size);
            list.add(id);
        }
        return encoding.decodeBytes(list);
    }

    /** The text of token ids; bytes that are no whole character become U+FFFD. */
    public String decode(int... ids) {
        return new String(decodeBytes(ids), StandardCharsets.UTF_8);
    }

    /** The text of each token id by itself. */
    public List<String> tokens(int... ids) {
        List<String> tokens = new ArrayList<>(ids.length);
        for (int id : ids) tokens.add(decode(id));
        return tokens;
    }
}
