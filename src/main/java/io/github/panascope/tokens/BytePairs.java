package io.github.panascope.tokens;

import io.github.panascope.InputException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Byte pair encoding, as the model {@code BPE} of Hugging Face's tokenizers: it takes a piece of text apart into its
 * characters and joins neighbours, the pair with the lowest rank first, and of equal ones the leftmost. The ids of
 * earlier pieces are kept, as texts consist of few different ones. Thread-safe.
 */
final class BytePairs {
    /**
     * The settings of a model.
     *
     * @param unknown       the token of characters that the vocabulary does not have; null if they are dropped
     * @param prefix        what precedes characters in the vocabulary, except the first of a piece
     * @param suffix        what follows the last character of a piece in the vocabulary
     * @param fuseUnknown   whether neighbours that the vocabulary does not have make one unknown token
     * @param byteFallback  whether such a character is written as its bytes, such as {@code <0xE2>}, if all are tokens
     * @param ignoreMerges  whether a piece that is a token is not taken apart
     */
    record Settings(
            @Nullable String unknown,
            String prefix,
            String suffix,
            boolean fuseUnknown,
            boolean byteFallback,
            boolean ignoreMerges) {}

    /** The tokens of a piece: their ids, and how many bytes each takes of the piece in UTF-8. Neither is written to. */
    record Word(char[] piece, int[] ids, int[] bytes) {}

    private static final int CACHED = 1 << 16;
    private static final int LONGEST_CACHED = 64;
    private static final int BMP = 1 << 16;
    private static final int NONE = -1;

    private final String place;
    private final Settings settings;
    private final Map<String, Integer> ids;
    private final PairMerger merger;
    /** Whether pieces are texts whose bytes are written as letters, all of which are tokens. */
    private final boolean byteLevel;

    private final int[] idOfByte = new int[256];
    /** The id of {@code <0xNN>} for each byte; null unless all are tokens. */
    private final int[] fallback = new int[256];

    private final int unknown;
    private final int[] idOfChar = new int[BMP];
    private final Map<Integer, Integer> idOfOther = new HashMap<>();
    /** The pairs of neighbouring characters that some token joins; null where a piece may not be cut. */
    private final @Nullable LongTable joined;

    private final Word[] known = new Word[CACHED];

    /**
     * Creates a model.
     *
     * @param place     name of the file, for error messages
     * @param ids       id of each token
     * @param merger    the merges
     * @param byteLevel whether pieces are given as text, to be written as {@link ByteLetters}, all of which are tokens
     */
    BytePairs(String place, Settings settings, Map<String, Integer> ids, PairMerger merger, boolean byteLevel) {
        this.place = place;
        this.settings = settings;
        this.ids = ids;
        this.merger = merger;
        this.byteLevel = byteLevel;
        this.unknown = settings.unknown == null ? NONE : ids.getOrDefault(settings.unknown, NONE);
        Arrays.fill(idOfChar, NONE);
        ids.forEach((token, id) -> {
            if (token.length() == 1) idOfChar[token.charAt(0)] = id;
            else if (token.length() == 2 && token.codePointCount(0, 2) == 1) idOfOther.put(token.codePointAt(0), id);
        });
        for (int b = 0; b < 256; b++) {
            idOfByte[b] = idOfChar[ByteLetters.letter(b)];
            fallback[b] = ids.getOrDefault(String.format(Locale.ROOT, "<0x%02X>", b), NONE);
        }
        this.joined = byteLevel || !canCut() ? null : merger.joinedCharacters(ids);
    }

    /**
     * Returns whether a piece may be cut between two characters that no token joins. It may not where a token does not
     * consist of the characters that it stands for.
     */
    private boolean canCut() {
        if (!settings.prefix.isEmpty() || !settings.suffix.isEmpty() || settings.ignoreMerges) return false;
        if (unknown != NONE && merger.uses(unknown)) return false;
        for (int id : fallback) if (settings.byteFallback && id != NONE && merger.uses(id)) return false;
        return true;
    }

    /** Passes the tokens of a piece on, in one or several words. */
    void encode(char[] text, int from, int to, Consumer<Word> words) {
        if (joined == null || to - from < 2) {
            words.accept(word(text, from, to));
            return;
        }
        int start = from;
        for (int i = from + 1; i < to; i++) {
            if (joined.has(LongTable.pair(text[i - 1], text[i])) || !isKnown(text, i - 1) || !isKnown(text, i))
                continue;
            words.accept(word(text, start, i));
            start = i;
        }
        words.accept(word(text, start, to));
    }

    private boolean isKnown(char[] text, int index) {
        return idOfChar[text[index]] != NONE;
    }

    /** Returns the tokens of a piece, from the cache if they are there. */
    private Word word(char[] text, int from, int to) {
        if (to - from > LONGEST_CACHED) return made(Arrays.copyOfRange(text, from, to));
        int hash = 0;
        for (int i = from; i < to; i++) hash = 31 * hash + text[i];
        int slot = (hash ^ hash >>> 16) & CACHED - 1;
        Word word = known[slot];
        if (word != null && Arrays.equals(word.piece, 0, word.piece.length, text, from, to)) return word;
        word = made(Arrays.copyOfRange(text, from, to));
        known[slot] = word;
        return word;
    }

    private Word made(char[] piece) {
        if (settings.ignoreMerges) {
            Symbols whole = new Symbols(piece.length * 3);
            String token = byteLevel ? letters(piece) : new String(piece);
            Integer id = ids.get(token);
            if (id != null) {
                whole.add(id, utf8Length(piece));
                return whole.word(piece);
            }
        }
        Symbols symbols = byteLevel ? bytes(piece) : characters(piece);
        symbols.size = merger.merge(symbols.ids, symbols.bytes, symbols.size);
        return symbols.word(piece);
    }

    private static int utf8Length(char[] piece) {
        int length = 0;
        for (int i = 0; i < piece.length; ) {
            int codePoint = Character.codePointAt(piece, i);
            length += ByteLetters.utf8Length(codePoint);
            i += Character.charCount(codePoint);
        }
        return length;
    }

    private static String letters(char[] piece) {
        byte[] bytes = utf8(piece);
        char[] letters = new char[bytes.length];
        for (int i = 0; i < bytes.length; i++) letters[i] = ByteLetters.letter(bytes[i]);
        return new String(letters);
    }

    private static byte[] utf8(char[] piece) {
        byte[] bytes = new byte[utf8Length(piece)];
        int at = 0;
        for (int i = 0; i < piece.length; ) {
            int codePoint = Character.codePointAt(piece, i);
            at = ByteLetters.writeUtf8(codePoint, bytes, at);
            i += Character.charCount(codePoint);
        }
        return bytes;
    }

    /** The parts of a piece before and after merges. */
    private static final class Symbols {
        private int[] ids;
        private int[] bytes;
        private int size;

        Symbols(int capacity) {
            this.ids = new int[Math.max(capacity, 1)];
            this.bytes = new int[ids.length];
        }

        void add(int id, int length) {
            if (size == ids.length) {
                ids = Arrays.copyOf(ids, size * 2);
                bytes = Arrays.copyOf(bytes, size * 2);
            }
            ids[size] = id;
            bytes[size++] = length;
        }

        Word word(char[] piece) {
            return new Word(piece, Arrays.copyOf(ids, size), Arrays.copyOf(bytes, size));
        }
    }

    private Symbols bytes(char[] piece) {
        byte[] bytes = utf8(piece);
        Symbols symbols = new Symbols(bytes.length);
        for (byte b : bytes) symbols.add(idOfByte[b & 0xff], 1);
        return symbols;
    }

    private Symbols characters(char[] piece) {
        Symbols symbols = new Symbols(piece.length);
        int unknownBytes = 0; // of unknown characters that no symbol stands for yet
        for (int i = 0, next; i < piece.length; i = next) {
            int codePoint = Character.codePointAt(piece, i);
            next = i + Character.charCount(codePoint);
            int length = ByteLetters.utf8Length(codePoint);
            int id = id(codePoint, i == 0, next == piece.length);
            if (id != NONE) {
                if (unknownBytes > 0) symbols.add(unknown, unknownBytes);
                unknownBytes = 0;
                symbols.add(id, length);
            } else if (!settings.byteFallback || !addBytes(spelled(codePoint, i == 0, next == piece.length), symbols)) {
                if (settings.unknown == null) continue; // the character is dropped
                if (unknown == NONE)
                    throw new InputException(place + ": the text holds '" + Character.toString(codePoint)
                            + "', which is no token, and neither is the unk_token '" + settings.unknown + "'.");
                if (unknownBytes > 0 && !settings.fuseUnknown) {
                    symbols.add(unknown, unknownBytes);
                    unknownBytes = 0;
                }
                unknownBytes += length;
            }
        }
        if (unknownBytes > 0) symbols.add(unknown, unknownBytes);
        return symbols;
    }

    private int id(int codePoint, boolean first, boolean last) {
        if ((first || settings.prefix.isEmpty()) && (!last || settings.suffix.isEmpty()))
            return codePoint < BMP ? idOfChar[codePoint] : idOfOther.getOrDefault(codePoint, NONE);
        return ids.getOrDefault(spelled(codePoint, first, last), NONE);
    }

    /** Returns a character as the vocabulary writes it at the beginning, in the middle or at the end of a piece. */
    private String spelled(int codePoint, boolean first, boolean last) {
        return (first ? "" : settings.prefix) + Character.toString(codePoint) + (last ? settings.suffix : "");
    }

    /** Adds the tokens of the bytes of a character, and returns whether there are such tokens. */
    private boolean addBytes(String character, Symbols symbols) {
        byte[] bytes = utf8(character.toCharArray());
        for (byte b : bytes) if (fallback[b & 0xff] == NONE) return false;
        for (byte b : bytes) symbols.add(fallback[b & 0xff], 1);
        return true;
    }
}
