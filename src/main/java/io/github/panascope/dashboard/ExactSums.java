package io.github.panascope.dashboard;

import java.nio.ByteBuffer;

/**
 * Sums that do not depend on the order of their terms, so that shards may be added in any order. They are fixed-point
 * numbers with 63 bits before and 40 bits after the point. A term is rounded once, to a multiple of 2^-40. Not
 * thread-safe.
 */
final class ExactSums {
    static final int BYTES = 2 * Long.BYTES;
    private static final int FRACTION_BITS = 40;
    private static final double SCALE = 0x1p40;

    private final long[] whole, fraction;

    ExactSums(int count) {
        whole = new long[count];
        fraction = new long[count];
    }

    /**
     * Adds a finite term. Fractions are not carried here; there is room for the fractions of 2^23 terms before
     * {@link #carry} must be called.
     */
    void add(int index, double term) {
        double floor = Math.floor(term);
        whole[index] += (long) floor;
        fraction[index] += (long) ((term - floor) * SCALE);
    }

    /** Adds a sum of terms, given as integer part and fraction in units of 2^-40. */
    void add(int index, long wholeOfTerms, long fractionOfTerms) {
        whole[index] += wholeOfTerms;
        fraction[index] += fractionOfTerms;
    }

    /** Adds as many sums as there are here, which {@link #write} wrote one after another. */
    void addAll(ByteBuffer written) {
        for (int i = 0; i < whole.length; i++) add(i, written.getLong(), written.getLong());
        carry();
    }

    double get(int index) {
        return whole[index]
                + (fraction[index] >> FRACTION_BITS)
                + (fraction[index] & (1L << FRACTION_BITS) - 1) / SCALE;
    }

    /** Carries fractions into the integer parts, so that equal sums have equal bits. */
    void carry() {
        for (int i = 0; i < whole.length; i++) {
            whole[i] += fraction[i] >> FRACTION_BITS;
            fraction[i] &= (1L << FRACTION_BITS) - 1;
        }
    }

    /** Writes one sum. {@link #carry} must have been called. */
    void write(int index, ByteBuffer out) {
        out.putLong(whole[index]).putLong(fraction[index]);
    }

    void read(int index, ByteBuffer in) {
        whole[index] = in.getLong();
        fraction[index] = in.getLong();
    }
}
