package io.github.panascope.tokens;

import java.util.Arrays;

/** The parts of a text that a pattern matches and those between them, and the pieces that they make. */
final class Spans {
    /** What happens to matches. */
    enum Behavior {
        REMOVED,
        ISOLATED,
        MERGED_WITH_PREVIOUS,
        MERGED_WITH_NEXT,
        CONTIGUOUS
    }

    /** Receives the ends of a piece. */
    interface Pieces {
        void accept(int from, int to);
    }

    private final int from;
    private int[] ends = new int[64];
    private boolean[] matches = new boolean[64];
    private int size;

    /** Begins where the text begins. */
    Spans(int from) {
        this.from = from;
    }

    private int last() {
        return size == 0 ? from : ends[size - 1];
    }

    /** Adds a match, and what is between it and the one before. */
    void match(int start, int end) {
        if (start > last()) add(start, false);
        add(end, true);
    }

    /** Adds what is after the last match. */
    void end(int end) {
        if (end > last()) add(end, false);
    }

    private void add(int end, boolean match) {
        if (size == ends.length) {
            ends = Arrays.copyOf(ends, size * 2);
            matches = Arrays.copyOf(matches, size * 2);
        }
        ends[size] = end;
        matches[size++] = match;
    }

    /**
     * Passes the pieces on, in their order, except empty ones.
     *
     * @param invert true if what is between matches counts as matches
     */
    void pieces(Behavior behavior, boolean invert, Pieces pieces) {
        if (invert) for (int i = 0; i < size; i++) matches[i] = !matches[i];
        boolean[] begins = new boolean[size]; // whether a piece begins with a span
        boolean previous = false;
        for (int i = 0; i < size; i++) {
            begins[i] = switch (behavior) {
                case REMOVED, ISOLATED -> true;
                case CONTIGUOUS -> matches[i] != previous;
                case MERGED_WITH_PREVIOUS -> !matches[i] || previous;
                case MERGED_WITH_NEXT -> i == 0 || !matches[i - 1] || matches[i];
            };
            previous = matches[i];
        }
        int start = from;
        for (int i = 0; i < size; i++) {
            boolean ended = i + 1 == size || begins[i + 1];
            if (!ended) continue;
            if (ends[i] > start && !(behavior == Behavior.REMOVED && matches[i])) pieces.accept(start, ends[i]);
            start = ends[i];
        }
    }
}
