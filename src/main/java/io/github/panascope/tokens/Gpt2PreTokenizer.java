package io.github.panascope.tokens;

import java.util.Arrays;
import java.util.function.Function;

/**
 * The splitter of texts into the pieces (words, numbers, other signs, white space) within which GPT-2's tokenizer
 * merges, with a cache of the ids of earlier pieces, as texts consist of few different ones. The pattern, in the syntax
 * of the regular expressions of tokenizers, is {@code 's|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+|
 * ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+}. Thread-safe.
 */
final class Gpt2PreTokenizer {
    private static final int ENTRIES = 1 << 16;
    private static final int LONGEST = 64;
    static final byte LETTER = 0;
    static final byte NUMBER = 1;
    static final byte SPACE = 2;
    static final byte OTHER = 3;
    private static final byte[] ASCII = new byte[128];

    static {
        for (int c = 0; c < ASCII.length; c++) ASCII[c] = kindByType(c);
    }

    /** A piece and its ids. It is immutable, so that threads can read each other's entries without a lock. */
    private record Entry(char[] piece, int[] ids) {}

    private final Function<String, int[]> encode;
    /** The cache, indexed by hash; a piece replaces another one of the same index. */
    private final Entry[] known = new Entry[ENTRIES];

    /**
     * Creates a splitter with an empty cache.
     *
     * @param encode returns the ids of one piece
     */
    Gpt2PreTokenizer(Function<String, int[]> encode) {
        this.encode = encode;
    }

    /** Returns the ids of a piece. The array is shared and must not be written to. */
    int[] ids(char[] text, int from, int to) {
        int hash = 0;
        for (int i = from; i < to; i++) hash = 31 * hash + text[i];
        int slot = (hash ^ hash >>> 16) & ENTRIES - 1;
        Entry entry = known[slot];
        if (entry != null && Arrays.equals(entry.piece, 0, entry.piece.length, text, from, to)) return entry.ids;
        int[] ids = encode.apply(new String(text, from, to - from));
        if (to - from <= LONGEST) known[slot] = new Entry(Arrays.copyOfRange(text, from, to), ids);
        return ids;
    }

    /** Returns the end of the piece that begins at {@code from}, in a text that ends at {@code end}. */
    static int end(char[] text, int from, int end) {
        if (text[from] == '\'') {
            int contraction = contraction(text, from + 1, end);
            if (contraction > 0) return from + 1 + contraction;
        }
        int start = text[from] == ' ' && from + 1 < end ? from + 1 : from; // a space joins the next piece
        int kind = kind(text, start, end);
        if (kind != SPACE) return run(text, start, end, kind);
        int next = run(text, from, end, SPACE);
        if (next == end) return next;
        return next - 1 > from ? next - 1 : next; // the last space begins the next piece, unless it is the only one
    }

    /**
     * Returns the number of letters after an apostrophe that belong to its piece: those of s, t, m, d, re, ve or ll.
     */
    private static int contraction(char[] text, int from, int end) {
        if (from >= end) return 0;
        char first = text[from];
        char second = from + 1 < end ? text[from + 1] : 0;
        if (first == 's' || first == 't' || first == 'm' || first == 'd') return 1;
        return (first == 'r' || first == 'v') && second == 'e' || first == 'l' && second == 'l' ? 2 : 0;
    }

    static int run(char[] text, int from, int end, int kind) {
        int i = from;
        while (i < end && kind(text, i, end) == kind)
            i += Character.isHighSurrogate(text[i]) && i + 1 < end && Character.isLowSurrogate(text[i + 1]) ? 2 : 1;
        return i;
    }

    static byte kind(char[] text, int at, int end) {
        char c = text[at];
        return c < 128 ? ASCII[c] : kindByType(Character.codePointAt(text, at, end));
    }

    /** Returns the kind of a character, by Unicode's general category and its property White_Space. */
    private static byte kindByType(int codePoint) {
        return switch (Character.getType(codePoint)) {
            case Character.UPPERCASE_LETTER,
                    Character.LOWERCASE_LETTER,
                    Character.TITLECASE_LETTER,
                    Character.MODIFIER_LETTER,
                    Character.OTHER_LETTER -> LETTER;
            case Character.DECIMAL_DIGIT_NUMBER, Character.LETTER_NUMBER, Character.OTHER_NUMBER -> NUMBER;
            case Character.SPACE_SEPARATOR, Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR -> SPACE;
            default -> codePoint >= 9 && codePoint <= 13 || codePoint == 0x85 ? SPACE : OTHER;
        };
    }
}
