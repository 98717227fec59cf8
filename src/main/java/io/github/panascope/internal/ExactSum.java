package io.github.panascope.internal;

import java.io.DataInputStream;
import java.io.DataOutput;
import java.io.IOException;
import java.io.StreamCorruptedException;
import java.math.BigDecimal;
import java.math.BigInteger;

/**
 * A sum of doubles without any rounding: an integer times a power of two, as each double is. It does not depend on the
 * order of the terms or on how they are grouped, no term is too large or too small for it, and equal sums have equal
 * bytes. Terms that are not finite are noted apart, so that {@link #value} is what the sum of doubles would be. Not
 * thread-safe.
 */
public final class ExactSum {
    private static final int NAN = 1;
    private static final int INFINITE = 2;
    private static final int NEGATIVE_INFINITE = 4;
    /** The number of notes about terms that are not finite. */
    private static final int NOTES = 3;

    private static final int MANTISSA_BITS = 52;
    /** The exponent of the smallest double, as an integer times a power of two. */
    private static final int LEAST_EXPONENT = Double.MIN_EXPONENT - MANTISSA_BITS;
    /** The binary digits before the point of 2^63 of the largest doubles. */
    private static final int MOST_DIGITS = Double.MAX_EXPONENT + 1 + Long.SIZE - 1;

    private static final int MOST_BYTES = (MOST_DIGITS - LEAST_EXPONENT) / Byte.SIZE + 1;

    private BigInteger units = BigInteger.ZERO;
    /** Of the units; at most 0. */
    private int exponent;

    private int notFinite;

    /** Makes a sum without terms, which is 0. */
    public ExactSum() {}

    /**
     * Adds a term.
     *
     * @param term any double
     */
    public void add(double term) {
        if (Double.isNaN(term)) notFinite |= NAN;
        else if (Double.isInfinite(term)) notFinite |= term > 0 ? INFINITE : NEGATIVE_INFINITE;
        else {
            int ofTerm = Math.max(Math.getExponent(term), Double.MIN_EXPONENT) - MANTISSA_BITS;
            add(BigInteger.valueOf((long) Math.scalb(term, -ofTerm)), ofTerm);
        }
    }

    /**
     * Adds the terms of another sum.
     *
     * @param other the other sum, which stays as it is
     */
    public void add(ExactSum other) {
        notFinite |= other.notFinite;
        add(other.units, other.exponent);
    }

    private void add(BigInteger more, int ofMore) {
        if (more.signum() == 0) return;
        if (ofMore < exponent) {
            units = units.shiftLeft(exponent - ofMore);
            exponent = ofMore;
        }
        units = units.add(more.shiftLeft(ofMore - exponent));
    }

    /**
     * {@return the double that is nearest to the sum, which may be infinite; NaN if a term is NaN or if terms are
     * infinite with both signs}
     */
    public double value() {
        return switch (notFinite) {
            case 0 ->
                new BigDecimal(units)
                        .multiply(new BigDecimal(Math.scalb(1.0, exponent)))
                        .doubleValue();
            case INFINITE -> Double.POSITIVE_INFINITY;
            case NEGATIVE_INFINITE -> Double.NEGATIVE_INFINITY;
            default -> Double.NaN;
        };
    }

    /**
     * Writes the sum: a varint with the notes and the number of bytes of an odd integer, the integer, and its exponent;
     * neither of them for 0.
     *
     * @param out what takes the bytes
     * @throws IOException if the output fails
     */
    public void writeTo(DataOutput out) throws IOException {
        int zeros = Math.max(0, units.getLowestSetBit());
        byte[] odd = units.signum() == 0 ? new byte[0] : units.shiftRight(zeros).toByteArray();
        CompactForm.writeVarint(out, (long) odd.length << NOTES | notFinite);
        out.write(odd);
        if (odd.length > 0) out.writeShort(exponent + zeros);
    }

    /**
     * Reads what {@link #writeTo} wrote.
     *
     * @param in the bytes
     * @return the sum
     * @throws IOException if the bytes end too early or are no sum
     */
    public static ExactSum readFrom(DataInputStream in) throws IOException {
        long head = CompactForm.readVarint(in);
        long length = head >>> NOTES;
        if (length > MOST_BYTES) throw new StreamCorruptedException("a sum of " + length + " bytes");
        ExactSum sum = new ExactSum();
        sum.notFinite = (int) head & (1 << NOTES) - 1;
        if (length == 0) return sum;
        byte[] odd = new byte[(int) length];
        in.readFully(odd);
        int exponent = in.readShort();
        BigInteger units = new BigInteger(odd);
        if (!units.testBit(0) || exponent < LEAST_EXPONENT || units.bitLength() + exponent > MOST_DIGITS)
            throw new StreamCorruptedException("a sum that is not one of doubles");
        sum.add(units, exponent);
        return sum;
    }
}
