package io.github.panascope.metrics;

import java.util.Arrays;

/**
 * An accumulator of L0, the number of features that are active (greater than 0) at a position: a histogram of counts,
 * to which positions are added in any order.
 */
public final class L0 {
    private long[] histogram = new long[64];
    private int max = -1;

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

    /** {@return a description with the number of positions and the mean} */
    @Override
    public String toString() {
        return "L0(" + positions() + " positions, mean " + mean() + ")";
    }
}
