package io.github.panascope.metrics;

import io.github.panascope.internal.CompactForm;
import java.io.DataInput;
import java.io.DataOutput;
import java.io.IOException;
import java.io.InvalidObjectException;
import java.io.ObjectInputStream;
import java.io.Serializable;
import java.io.StreamCorruptedException;
import java.util.Arrays;

/**
 * An accumulator of L0, the number of features that are active (greater than 0) at a position: a histogram of counts,
 * to which positions are added in any order. Accumulators of parts can be merged in any order and grouping, with equal
 * results, and can be serialized.
 */
public final class L0 implements Serializable {
    private static final long serialVersionUID = 1L;
    private static final CompactForm FORM = new CompactForm("L0", 'L', 1);

    private transient long[] histogram = new long[64];
    private transient int max = -1;

    /** Makes an accumulator without positions. */
    public L0() {}

    /**
     * Counts one position.
     *
     * @param activeFeatures number of active features at the position, at least 0
     */
    public void add(int activeFeatures) {
        if (activeFeatures >= histogram.length)
            histogram = Arrays.copyOf(histogram, Math.max(activeFeatures + 1, histogram.length * 2));
        histogram[activeFeatures]++;
        max = Math.max(max, activeFeatures);
    }

    /**
     * Adds the positions of another accumulator to this one.
     *
     * @param other the other accumulator, which stays as it is
     */
    public void merge(L0 other) {
        if (other.max >= histogram.length) histogram = Arrays.copyOf(histogram, other.max + 1);
        for (int l0 = 0; l0 <= other.max; l0++) histogram[l0] += other.histogram[l0];
        max = Math.max(max, other.max);
    }

    /** {@return the number of positions} */
    public long positions() {
        return Arrays.stream(histogram).sum();
    }

    /** {@return the mean number of active features over positions; NaN without positions} */
    public double mean() {
        double sum = 0;
        for (int l0 = 0; l0 <= max; l0++) sum += (double) l0 * histogram[l0];
        return sum / positions();
    }

    /** {@return the number of positions with L0 = i at each index i, up to the largest L0; a new array} */
    public long[] histogram() {
        return Arrays.copyOf(histogram, max + 1);
    }

    /**
     * Writes this accumulator in its compact form: the histogram, a byte for a count below 128. Equal accumulators
     * write equal bytes.
     *
     * @param out what takes the bytes
     * @throws IOException if the output fails
     */
    public void writeTo(DataOutput out) throws IOException {
        FORM.write(out, content -> CompactForm.writeCounts(content, histogram()));
    }

    /**
     * Reads what {@link #writeTo} wrote, and nothing after it.
     *
     * @param in the bytes
     * @return a new accumulator
     * @throws io.github.panascope.InputException if the bytes are not those of an L0 of this version, or are damaged
     * @throws IOException if the input fails
     */
    public static L0 readFrom(DataInput in) throws IOException {
        return FORM.read(in, content -> {
            L0 l0 = new L0();
            l0.histogram = CompactForm.readCounts(content);
            l0.max = l0.histogram.length - 1;
            if (l0.max >= 0 && l0.histogram[l0.max] == 0)
                throw new StreamCorruptedException("a histogram that ends with 0");
            return l0;
        });
    }

    /** {@return what Java serialization writes in place of this: the compact form} */
    private Object writeReplace() {
        return new Serialized(this);
    }

    /**
     * Refuses bytes that are not the compact form.
     *
     * @param in the bytes
     * @throws InvalidObjectException always
     */
    private void readObject(ObjectInputStream in) throws InvalidObjectException {
        throw Serialized.refused();
    }

    /** {@return a description with the number of positions and the mean} */
    @Override
    public String toString() {
        return "L0(" + positions() + " positions, mean " + mean() + ")";
    }
}
