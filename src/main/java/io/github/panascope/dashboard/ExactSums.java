package io.github.panascope.dashboard;

import java.nio.ByteBuffer;

/**
 * Sums that do not depend on the order of their terms: fixed-point numbers of 63 bits before the point and 40 after it,
 * so that shards may be added up in any order. A term is rounded once, to 2^-40. Not thread-safe.
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

    /** Adds a term, which is a number. Fractions are carried only now and then: there is room for 2^23 of them. */
    void add(int index, double term) {
        double floor = Math.floor(term);
        whole[index] += (long) floor;
        fraction[index] += (long) ((term - floor) * SCALE);
    }

    /** Adds a sum of terms, in its two parts. */
    void add(int index, long wholeOfTerms, long fractionOfTerms) {
        whole[index] += wholeOfTerms;
        fraction[index] += fractionOfTerms;
    }

    void addAll(ExactSums other) {
        for (int i = 0; i < whole.length; i++) {
            whole[i] += other.whole[i];
            fraction[i] += other.fraction[i];
        }
        carry();
    }

    double get(int index) {
        return whole[index]
                + (fraction[index] >> FRACTION_BITS)
                + (fraction[index] & (1L << FRACTION_BITS) - 1) / SCALE;
    }

    /** Brings fractions below 1, so that equal sums have equal bits. */
    void carry() {
        for (int i = 0; i < whole.length; i++) {
            whole[i] += fraction[i] >> FRACTION_BITS;
            fraction[i] &= (1L << FRACTION_BITS) - 1;
        }
    }

    /** Writes one sum, after {@link #carry}. */
    void write(int index, ByteBuffer out) {
        out.putLong(whole[index]).putLong(fraction[index]);
    }

    void read(int index, ByteBuffer in) {
        whole[index] = in.getLong();
        fraction[index] = in.getLong();
    }
}
