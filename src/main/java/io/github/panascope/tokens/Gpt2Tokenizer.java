package io.github.panascope.tokens;

import com.knuddels.jtokkit.Encodings;
import com.knuddels.jtokkit.api.EncodingType;
import com.knuddels.jtokkit.api.IntArrayList;
import io.github.panascope.InputException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Byte-level BPE like GPT-2's, by jtokkit. The literal {@code <|endoftext|>} is its only special token.
 */
final class Gpt2Tokenizer extends Tokenizer {
    /** The text of the only special token of GPT-2. */
    static final String END_OF_TEXT = "<|endoftext|>";

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

    // ----------------------------------------------------------------------------------------------------- vocabulary

    @Override
    public Tokenizer withSettings(List<Path> settings) {
        String difference = TokenizerSettings.read(settings).differsFromGpt2();
        if (difference == null) return this;
        throw new InputException(difference + " GPT-2's tokenizer has only " + END_OF_TEXT
                + ": put a tokenizer.json, or vocab.json and merges.txt, beside the settings.");
    }

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
        for (int i = 0; i < bytes.length; i++) letters[i] = ByteLetters.letter(bytes[i]);
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
            int length = ByteLetters.utf8Length(text.codePointAt(at));
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
