package io.github.panascope.tokens;

import org.jspecify.annotations.Nullable;

/**
 * Finds the matches of the patterns by which most byte-level tokenizers split texts, much faster than a regular
 * expression. Each pattern matches all of a text, piece after piece.
 */
interface WordScanner {
    /** GPT-2's pattern. */
    WordScanner GPT2 = Gpt2PreTokenizer::end;

    /** The pattern that came with GPT-4 and that Llama 3 and Qwen use; a number of digits differs between them. */
    String PATTERN = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|DIGITS| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
            + "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

    /** The pattern of {@link #GPT2}. */
    String GPT2_PATTERN = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

    /** Returns the end of the match that begins at an index. */
    int end(char[] text, int from, int end);

    /** Returns the scanner of a pattern; null if there is none. */
    static @Nullable WordScanner of(String pattern) {
        if (pattern.equals(GPT2_PATTERN)) return GPT2;
        if (pattern.equals(PATTERN.replace("DIGITS", "\\p{N}{1,3}")))
            return (text, from, end) -> end(text, from, end, 3);
        if (pattern.equals(PATTERN.replace("DIGITS", "\\p{N}"))) return (text, from, end) -> end(text, from, end, 1);
        if (pattern.equals(PATTERN.replace("DIGITS", "\\p{N}+")))
            return (text, from, end) -> end(text, from, end, Integer.MAX_VALUE);
        return null;
    }

    private static int end(char[] text, int from, int end, int digits) {
        char c = text[from];
        if (c == '\'') {
            int letters = contraction(text, from + 1, end);
            if (letters > 0) return from + 1 + letters;
        }
        int kind = Gpt2PreTokenizer.kind(text, from, end);
        if (kind == Gpt2PreTokenizer.LETTER) return Gpt2PreTokenizer.run(text, from, end, Gpt2PreTokenizer.LETTER);
        if (kind == Gpt2PreTokenizer.NUMBER) return numbers(text, from, end, digits);
        int next = from + (isPair(text, from, end) ? 2 : 1);
        int nextKind = next < end ? Gpt2PreTokenizer.kind(text, next, end) : -1;
        if (nextKind == Gpt2PreTokenizer.LETTER && c != '\r' && c != '\n')
            return Gpt2PreTokenizer.run(text, next, end, Gpt2PreTokenizer.LETTER);
        if (kind == Gpt2PreTokenizer.OTHER || c == ' ' && nextKind == Gpt2PreTokenizer.OTHER) {
            int stop = Gpt2PreTokenizer.run(
                    text, kind == Gpt2PreTokenizer.OTHER ? from : next, end, Gpt2PreTokenizer.OTHER);
            while (stop < end && (text[stop] == '\r' || text[stop] == '\n')) stop++;
            return stop;
        }
        return space(text, from, end);
    }

    private static boolean isPair(char[] text, int at, int end) {
        return Character.isHighSurrogate(text[at]) && at + 1 < end && Character.isLowSurrogate(text[at + 1]);
    }

    private static int numbers(char[] text, int from, int end, int digits) {
        int at = from;
        for (int i = 0; i < digits && at < end && Gpt2PreTokenizer.kind(text, at, end) == Gpt2PreTokenizer.NUMBER; i++)
            at += isPair(text, at, end) ? 2 : 1;
        return at;
    }

    /** Returns the end of white space: after its last line end, or before the character that joins the next word. */
    private static int space(char[] text, int from, int end) {
        int stop = Gpt2PreTokenizer.run(text, from, end, Gpt2PreTokenizer.SPACE);
        for (int i = stop - 1; i >= from; i--) if (text[i] == '\r' || text[i] == '\n') return i + 1;
        return stop == end || stop - 1 == from ? stop : stop - 1;
    }

    /** Returns the number of letters after an apostrophe that belong to it, in either case. */
    private static int contraction(char[] text, int from, int end) {
        if (from >= end) return 0;
        char first = lower(text[from]);
        char second = from + 1 < end ? lower(text[from + 1]) : 0;
        if (first == 's' || first == 't' || first == 'm' || first == 'd') return 1;
        return (first == 'r' || first == 'v') && second == 'e' || first == 'l' && second == 'l' ? 2 : 0;
    }

    private static char lower(char c) {
        return c == '\u017f' ? 's' : c >= 'A' && c <= 'Z' ? (char) (c + 32) : c; // the long s is a form of s
    }
}
