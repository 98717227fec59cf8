package io.github.panascope.tokens;

import com.knuddels.jtokkit.Encodings;
import com.knuddels.jtokkit.api.EncodingRegistry;
import com.knuddels.jtokkit.api.EncodingType;
import com.knuddels.jtokkit.api.GptBytePairEncodingParams;
import com.knuddels.jtokkit.api.IntArrayList;
import io.github.panascope.InputException;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.function.Function;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Byte-level BPE like GPT-2's, by jtokkit. The literal {@code <|endoftext|>} is its only special token.
 */
final class Gpt2Tokenizer extends Tokenizer {
    /** The text of the only special token of GPT-2. */
    static final String END_OF_TEXT = "<|endoftext|>";

    /** Matches a whole text: the encoder receives pieces of {@link Gpt2PreTokenizer}, which must not be split again. */
    private static final Pattern WHOLE = Pattern.compile(".+", Pattern.DOTALL);

    private final Function<IntArrayList, byte[]> decode;
    private final Gpt2PreTokenizer pieces;
    private final int endOfText;
    private final int size;
    private final Set<Integer> special;
    private volatile @Nullable Map<String, Integer> idsOfTokens;

    private Gpt2Tokenizer(
            Function<String, IntArrayList> encode, Function<IntArrayList, byte[]> decode, int endOfText, int size) {
        this.pieces = new Gpt2PreTokenizer(piece -> encode.apply(piece).toArray());
        this.decode = decode;
        this.endOfText = endOfText;
        this.size = size;
        this.special = Set.of(endOfText);
    }

    private static final class Published {
        static final Gpt2Tokenizer INSTANCE;

        static {
            var encoding = Encodings.newLazyEncodingRegistry().getEncoding(EncodingType.R50K_BASE);
            INSTANCE = new Gpt2Tokenizer(encoding::encodeOrdinary, encoding::decodeBytes, 50256, 50257);
        }
    }

    /** Returns the tokenizer of the published GPT-2, always the same object. */
    static Gpt2Tokenizer published() {
        return Published.INSTANCE;
    }

    /** Returns the tokens of the 256 bytes, in the order of GPT-2's ids. */
    static List<String> letters() {
        return ByteLetters.ALL;
    }

    /** Builds a tokenizer after checking that the encoder gives the ids of the merges. */
    static Gpt2Tokenizer build(String place, Map<String, Integer> ids, List<String> merges) {
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
        var encoding = registry.getEncoding("model").orElseThrow();
        return new Gpt2Tokenizer(
                encoding::encodeOrdinary,
                encoding::decodeBytes,
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
        static final char[] LETTER_OF = new char[256];
        static final List<String> ALL;

        static {
            Arrays.fill(BYTE_OF, -1);
            int next = 0x100;
            for (int b = 0; b < 256; b++) {
                boolean printable = b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae;
                int letter = printable ? b : next++;
                BYTE_OF[letter] = b;
                LETTER_OF[b] = (char) letter;
            }
            ALL = IntStream.range(0, BYTE_OF.length)
                    .filter(letter -> BYTE_OF[letter] >= 0)
                    .mapToObj(letter -> String.valueOf((char) letter))
                    .toList();
        }
    }

    // ----------------------------------------------------------------------------------------------------- vocabulary

    @Override
    public int size() {
        return size;
    }

    @Override
    public int bos() {
        return endOfText;
    }

    @Override
    public int eos() {
        return endOfText;
    }

    @Override
    public int pad() {
        return endOfText;
    }

    @Override
    public Set<Integer> specialIds() {
        return special;
    }

    @Override
    public boolean isSpecial(int id) {
        return id == endOfText;
    }

    @Override
    public boolean addsBos() {
        return false;
    }

    @Override
    public OptionalInt id(String token) {
        Integer id = idsOfTokens().get(token);
        return id == null ? OptionalInt.empty() : OptionalInt.of(id);
    }

    /** Returns the id of each token; most programs do not need them, so that they are made on demand. */
    private Map<String, Integer> idsOfTokens() {
        Map<String, Integer> made = idsOfTokens;
        if (made == null) {
            made = new HashMap<>(size * 2);
            for (int id = 0; id < size; id++) made.put(token(id), id);
            idsOfTokens = made;
        }
        return made;
    }

    @Override
    public String token(int id) {
        if (id == endOfText) return END_OF_TEXT;
        byte[] bytes = decodeBytes(id);
        char[] letters = new char[bytes.length];
        for (int i = 0; i < bytes.length; i++) letters[i] = ByteLetters.LETTER_OF[bytes[i] & 0xff];
        return new String(letters);
    }

    @Override
    public Optional<String> chatTemplate() {
        return Optional.empty();
    }

    /** Returns the id of {@code <|endoftext|>}, and the hash of the vocabulary, whose order is that of the merges. */
    @Override
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

    @Override
    public String toString() {
        return "Tokenizer of " + size + " tokens" + (this == Published.INSTANCE ? ", GPT-2's own" : "");
    }

    // ------------------------------------------------------------------------------------------------ texts and tokens

    @Override
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
     * Returns the places of tokens, found by the number of their bytes. GPT-2's file asks for places that are not
     * trimmed: the space before a word belongs to it.
     */
    @Override
    public Encoding encodeWithOffsets(String text) {
        int[] ids = encode(text);
        int[] places = new int[text.getBytes(StandardCharsets.UTF_8).length + 1]; // of the character of each byte
        int bytes = 0;
        for (int at = 0; at < text.length(); at += Character.charCount(text.codePointAt(at))) {
            int length = utf8Length(text.codePointAt(at));
            Arrays.fill(places, bytes, bytes + length, at);
            bytes += length;
        }
        places[bytes] = text.length();
        int[] starts = new int[ids.length];
        int[] ends = new int[ids.length];
        List<String> tokens = new ArrayList<>(ids.length);
        int from = 0;
        for (int i = 0; i < ids.length; i++) {
            int to = from + decodeBytes(ids[i]).length;
            starts[i] = places[from];
            ends[i] = places[to - 1] + Character.charCount(text.codePointAt(places[to - 1]));
            tokens.add(token(ids[i]));
            from = to;
        }
        return new Encoding(ids, tokens, starts, ends);
    }

    /** Returns the number of bytes of a character; a half of a surrogate pair becomes one, a question mark. */
    private static int utf8Length(int codePoint) {
        if (codePoint < 0x80 || codePoint >= Character.MIN_SURROGATE && codePoint <= Character.MAX_SURROGATE) return 1;
        return codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4;
    }

    @Override
    public int[] encodeWithSpecialTokens(String text) {
        return encode(text);
    }

    @Override
    public byte[] decodeBytes(int... ids) {
        IntArrayList list = new IntArrayList(ids.length);
        for (int id : ids) {
            if (id < 0 || id >= size)
                throw new IllegalArgumentException("token id " + id + " is outside the vocabulary of " + size);
            list.add(id);
        }
        return decode.apply(list);
    }
}
