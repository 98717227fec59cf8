package io.github.panascope.tokens;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * A text on its way to tokens, which steps change, with the place of each of its characters in the text that was given.
 * Places count UTF-16 units and hold whole code points. Immutable.
 */
final class AlignedText {
    /** The characters; only the first {@link #length} count. */
    final char[] chars;

    final int length;
    /** Whether places are known. Where only ids are wanted, they need not be. */
    final boolean tracked;
    /** Where the text begins, if each of its characters has the place of its own index. */
    private final int base;
    /** The place of the code point of each character; null if it follows from {@link #base}. */
    private final int @Nullable [] starts;

    private final int @Nullable [] ends;

    private AlignedText(
            char[] chars, int length, boolean tracked, int base, int @Nullable [] starts, int @Nullable [] ends) {
        this.chars = chars;
        this.length = length;
        this.tracked = tracked;
        this.base = base;
        this.starts = starts;
        this.ends = ends;
    }

    /** Returns a text as it was given. */
    static AlignedText of(String text, boolean tracked) {
        return new AlignedText(text.toCharArray(), text.length(), tracked, 0, null, null);
    }

    /** Returns the place where the code point of a character begins. */
    int start(int index) {
        if (starts != null) return starts[index];
        boolean second =
                index > 0 && Character.isLowSurrogate(chars[index]) && Character.isHighSurrogate(chars[index - 1]);
        return base + index - (second ? 1 : 0);
    }

    /** Returns the place where the code point of a character ends. */
    int end(int index) {
        if (ends != null) return ends[index];
        return base + index + (index + 1 < length && isPair(index) ? 2 : 1);
    }

    private boolean isPair(int index) {
        return Character.isHighSurrogate(chars[index]) && Character.isLowSurrogate(chars[index + 1]);
    }

    /** Returns the code point at an index, in a part of the text that ends at {@code end}. */
    int codePoint(int index, int end) {
        char c = chars[index];
        return Character.isHighSurrogate(c) && index + 1 < end && Character.isLowSurrogate(chars[index + 1])
                ? Character.toCodePoint(c, chars[index + 1])
                : c;
    }

    /** Returns a part of this text. */
    AlignedText slice(int from, int to) {
        if (from == 0 && to == length) return this;
        return new AlignedText(
                Arrays.copyOfRange(chars, from, to),
                to - from,
                tracked,
                base + from,
                starts == null ? null : Arrays.copyOfRange(starts, from, to),
                ends == null ? null : Arrays.copyOfRange(ends, from, to));
    }

    /** Returns this text with other characters, as many as it has, which keep the places. */
    AlignedText with(char[] others) {
        return new AlignedText(others, length, tracked, base, starts, ends);
    }

    /** Returns a part as a string. */
    String string(int from, int to) {
        return new String(chars, from, to - from);
    }

    @Override
    public String toString() {
        return string(0, length);
    }

    // ----------------------------------------------------------------------------------------------------------------

    /** Makes a changed copy of a text, from its beginning to its end. */
    static final class Builder {
        private final AlignedText source;
        private char[] chars;
        private int[] starts;
        private int[] ends;
        private int length;

        Builder(AlignedText source) {
            this.source = source;
            this.chars = new char[source.length + 16];
            this.starts = new int[source.tracked ? chars.length : 0];
            this.ends = starts.clone();
        }

        private void reserve(int more) {
            int needed = Math.addExact(length, more);
            if (needed <= chars.length) return;
            int capacity = (int) Math.min(Integer.MAX_VALUE - 8, Math.max(needed, chars.length * 2L));
            chars = Arrays.copyOf(chars, capacity);
            if (!source.tracked) return;
            starts = Arrays.copyOf(starts, capacity);
            ends = Arrays.copyOf(ends, capacity);
        }

        /** Adds characters of the source with their places. */
        Builder copy(int from, int to) {
            reserve(to - from);
            System.arraycopy(source.chars, from, chars, length, to - from);
            if (source.tracked)
                for (int i = from; i < to; i++) {
                    starts[length + i - from] = source.start(i);
                    ends[length + i - from] = source.end(i);
                }
            length += to - from;
            return this;
        }

        /**
         * Adds a text with the place of a character of the source.
         *
         * @param index the character; before the first one, the place is empty and begins there
         */
        Builder add(String text, int index) {
            reserve(text.length());
            text.getChars(0, text.length(), chars, length);
            if (source.tracked && !text.isEmpty()) {
                int start = index < 0 ? source.length == 0 ? source.base : source.start(0) : source.start(index);
                Arrays.fill(starts, length, length + text.length(), start);
                Arrays.fill(ends, length, length + text.length(), index < 0 ? start : source.end(index));
            }
            length += text.length();
            return this;
        }

        AlignedText build() {
            return source.tracked
                    ? new AlignedText(chars, length, true, 0, starts, ends)
                    : new AlignedText(chars, length, false, 0, null, null);
        }
    }
}
