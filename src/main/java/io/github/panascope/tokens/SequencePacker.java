package io.github.panascope.tokens;

import java.util.function.Consumer;

/** SAELens's {@code concat_and_batch_sequences}: one sequence of ids after the other, in rows of one length. */
final class SequencePacker {
    private final int separator;
    private final boolean beginWithSeparator;
    private final Consumer<int[]> rows;
    private int[] row;
    private int filled;

    /**
     * @param separator          the token between sequences
     * @param beginWithSeparator whether rows begin with it too
     * @param rows               gets each row that is full, an array of its own
     */
    SequencePacker(int separator, int contextSize, boolean beginWithSeparator, Consumer<int[]> rows) {
        this.separator = separator;
        this.beginWithSeparator = beginWithSeparator;
        this.rows = rows;
        this.row = new int[contextSize];
    }

    /** Adds a sequence; where it begins with the separator itself, no other is put before it. */
    void add(int[] sequence) {
        for (int offset = 0; offset < sequence.length; ) {
            if ((filled > 0 || beginWithSeparator) && sequence[offset] != separator) row[filled++] = separator;
            int taken = Math.min(row.length - filled, sequence.length - offset);
            System.arraycopy(sequence, offset, row, filled, taken);
            filled += taken;
            offset += taken;
            if (filled < row.length) continue;
            rows.accept(row);
            row = new int[row.length];
            filled = 0;
        }
    }
}
