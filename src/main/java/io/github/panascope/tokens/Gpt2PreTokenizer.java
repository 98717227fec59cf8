package io.github.panascope.tokens;

import java.util.Arrays;
import java.util.function.Function;

/**
 * What GPT-2's tokenizer takes a text apart into before it merges anything (words, numbers, other signs, white space),
 * and the ids of those pieces that came up before: texts are made of few different ones. Its pattern, as tokenizers'
 * regular expressions have it, is
 * {@code 's|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+}. Thread-safe.
 */
final class Gpt2PreTokenizer {
    private static final int ENTRIES = 1 << 16;
    private static final int LONGEST = 64;
    private static final byte LETTER = 0;
    private static final byte NUMBER = 1;
    private static final byte SPACE = 2;
    private static final byte OTHER = 3;
    private static final byte[] ASCII = new byte[128];

    static {
        for (int c = 0; c < ASCII.length; c++) ASCII[c] = kindByType(c);
    }

    /** Immutable, so that threads may find each other's without a lock. */
    private record Entry(char[] piece, int[] ids) {}

    private final Function<String, int[]> encode;
    /** By hash; a piece takes the place of another with the same one. */
    private final Entry[] known = new Entry[ENTRIES];

    /** @param encode the ids of one piece */
    Gpt2PreTokenizer(Function<String, int[]> encode) {
        this.encode = encode;
    }

    /** The ids of a piece, not to be written to. */
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

    /** Where the piece that begins at {@code from} ends, in a text that ends at {@code end}. */
    static int end(char[] text, int from, int end) {
        if (text[from] == '\'') {
            int contraction = contraction(text, from + 1, end);
            if (contraction > 0) return from + 1 + contraction;
        }
        int start = text[from] == ' ' && from + 1 < end ? from + 1 : from; // a space belongs to what follows it
        int kind = kind(text, start, end);
        if (kind != SPACE) return run(text, start, end, kind);
        int next = run(text, from, end, SPACE);
        if (next == end) return next;
        return next - 1 > from ? next - 1 : next; // the last space begins the next piece, unless it is all there is
    }

    /** How many letters after an apostrophe belong to it: s, t, m, d, re, ve or ll. */
    private static int contraction(char[] text, int from, int end) {
        if (from >= end) return 0;
        char first = text[from];
        char second = from + 1 < end ? text[from + 1] : 0;
        if (first == 's' || first == 't' || first == 'm' || first == 'd') return 1;
        return (first == 'r' || first == 'v') && second == 'e' || first == 'l' && second == 'l' ? 2 : 0;
    }

    private static int run(char[] text, int from, int end, int kind) {
        int i = from;
        while (i < end && kind(text, i, end) == kind)
            i += Character.isHighSurrogate(text[i]) && i + 1 < end && Character.isLowSurrogate(text[i + 1]) ? 2 : 1;
        return i;
    }

    private static byte kind(char[] text, int at, int end) {
        char c = text[at];
        return c < 128 ? ASCII[c] : kindByType(Character.codePointAt(text, at, end));
    }

    /** By Unicode's general category and White_Space. */
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
