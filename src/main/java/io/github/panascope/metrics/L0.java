package io.github.panascope.metrics;

import java.util.Arrays;

/** How many features are active at a position (greater than 0): a histogram of integer counts, filled in any order. */
public final class L0 {
    private long[] histogram = new long[64];
    private int max = -1;

    /** Counts one position. */
    public void add(int activeFeatures) {
        if (activeFeatures >= histogram.length)
            histogram = Arrays.copyOf(histogram, Math.max(activeFeatures + 1, histogram.length * 2));
        histogram[activeFeatures]++;
        max = Math.max(max, activeFeatures);
    }

    /** Adds what another one has counted. */
    public void merge(L0 other) {
        if (other.max >= histogram.length) histogram = Arrays.copyOf(histogram, other.max + 1);
        for (int l0 = 0; l0 <= other.max; l0++) histogram[l0] += other.histogram[l0];
        max = Math.max(max, other.max);
    }

    /** The number of positions. */
    public long positions() {
        return Arrays.stream(histogram).sum();
    }

    /** The mean over positions; NaN if there are none. */
    public double mean() {
        double sum = 0;
        for (int l0 = 0; l0 <= max; l0++) sum += (double) l0 * histogram[l0];
        return sum / positions();
    }

    /** The number of positions at index = L0; as long as the largest L0 needs. */
    public long[] histogram() {
        return Arrays.copyOf(histogram, max + 1);
    }

    /** How many positions were counted, and the mean. */
    @Override
    public String toString() {
        return "L0(" + positions() + " positions, mean " + mean() + ")";
    }
}
