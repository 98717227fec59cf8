package io.github.panascope.tokens;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The letters that stand for bytes in byte-level vocabularies: printable characters of Latin-1 stand for themselves,
 * and characters from U+0100 on for the other bytes.
 */
final class ByteLetters {
    private static final int END = 0x144;
    private static final int[] BYTE_OF = new int[END];
    private static final char[] LETTER_OF = new char[256];

    static {
        Arrays.fill(BYTE_OF, -1);
        int next = 0x100;
        for (int b = 0; b < 256; b++) {
            boolean printable = b >= '!' && b <= '~' || b >= 0xa1 && b <= 0xac || b >= 0xae;
            int letter = printable ? b : next++;
            BYTE_OF[letter] = b;
            LETTER_OF[b] = (char) letter;
        }
    }

    private ByteLetters() {}

    /** Returns the letter of a byte. */
    static char letter(int value) {
        return LETTER_OF[value & 0xff];
    }

    /** Returns the byte of a letter, from 0 to 255, or -1 if the character stands for none. */
    static int value(char letter) {
        return letter < END ? BYTE_OF[letter] : -1;
    }

    /** Returns the letters of the 256 bytes, in the order of GPT-2's ids. */
    static List<String> all() {
        return IntStream.range(0, END)
                .filter(letter -> BYTE_OF[letter] >= 0)
                .mapToObj(letter -> String.valueOf((char) letter))
                .toList();
    }

    /** Returns the number of bytes of a code point in UTF-8; half of a surrogate pair is written as a question mark. */
    static int utf8Length(int codePoint) {
        if (codePoint < 0x80 || codePoint >= Character.MIN_SURROGATE && codePoint <= Character.MAX_SURROGATE) return 1;
        return codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4;
    }

    /** Writes a code point as UTF-8 and returns the index after it. */
    static int writeUtf8(int codePoint, byte[] bytes, int at) {
        switch (utf8Length(codePoint)) {
            case 1 -> bytes[at] = (byte) (codePoint < 0x80 ? codePoint : '?');
            case 2 -> bytes[at] = (byte) (0xc0 | codePoint >> 6);
            case 3 -> {
                bytes[at] = (byte) (0xe0 | codePoint >> 12);
                bytes[at + 1] = (byte) (0x80 | codePoint >> 6 & 0x3f);
            }
            default -> {
                bytes[at] = (byte) (0xf0 | codePoint >> 18);
                bytes[at + 1] = (byte) (0x80 | codePoint >> 12 & 0x3f);
                bytes[at + 2] = (byte) (0x80 | codePoint >> 6 & 0x3f);
            }
        }
        int end = at + utf8Length(codePoint);
        if (end > at + 1) bytes[end - 1] = (byte) (0x80 | codePoint & 0x3f);
        return end;
    }
}
