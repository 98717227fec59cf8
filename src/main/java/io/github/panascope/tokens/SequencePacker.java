package io.github.panascope.tokens;

import java.util.function.Consumer;

/**
 * Packs sequences of ids, one after the other, into rows of equal length, as SAELens's
 * {@code concat_and_batch_sequences} does.
 */
final class SequencePacker {
    private final int separator;
    private final boolean beginWithSeparator;
    private final Consumer<int[]> rows;
    private int[] row;
    private int filled;

    /**
     * Creates a packer with an empty row.
     *
     * @param separator          the token between sequences
     * @param contextSize        number of tokens of a row
     * @param beginWithSeparator whether each row begins with the separator
     * @param rows               called with each full row, in an array that it may keep
     */
    SequencePacker(int separator, int contextSize, boolean beginWithSeparator, Consumer<int[]> rows) {
        this.separator = separator;
        this.beginWithSeparator = beginWithSeparator;
        this.rows = rows;
        this.row = new int[contextSize];
    }

    /** Adds a sequence. No separator precedes a sequence, or the rest of one, that itself begins with the separator. */
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
