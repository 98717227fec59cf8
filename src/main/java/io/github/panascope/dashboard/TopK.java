package io.github.panascope.dashboard;

import java.util.Arrays;

/**
 * The k largest of the offered values, largest first; of equal values those with the lower index first. NaN and
 * negative infinity are never kept. Values are inserted into a sorted list, because k is small.
 */
final class TopK {
    /**
     * The number of values that are compared together, in a loop that the JIT compiler turns into vector instructions.
     */
    private static final int BLOCK = 256;

    private final int[] indices;
    private final double[] values;
    private final double[] attached;
    private int size;
    private double least;

    TopK(int k) {
        indices = new int[k];
        values = new double[k];
        attached = new double[k];
        clear();
    }

    /** {@return the indices of the k largest values of an array, largest first} */
    static int[] of(float[] array, int k) {
        TopK top = new TopK(Math.min(k, array.length));
        for (int start = 0; start < array.length; start += BLOCK) {
            int end = Math.min(start + BLOCK, array.length);
            float most = Float.NEGATIVE_INFINITY;
            for (int i = start; i < end; i++) most = Math.max(most, array[i]);
            if (most <= top.least()) continue;
            for (int i = start; i < end; i++) if (array[i] > top.least()) top.offer(i, array[i]);
        }
        return top.indices();
    }

    /** {@return the indices of the k smallest values of an array, smallest first} */
    static int[] lowest(float[] array, int k) {
        TopK top = new TopK(Math.min(k, array.length));
        for (int start = 0; start < array.length; start += BLOCK) {
            int end = Math.min(start + BLOCK, array.length);
            float least = Float.POSITIVE_INFINITY;
            for (int i = start; i < end; i++) least = Math.min(least, array[i]);
            if (-least <= top.least()) continue;
            for (int i = start; i < end; i++) if (-array[i] > top.least()) top.offer(i, -array[i]);
        }
        return top.indices();
    }

    /** {@return the indices of the k largest values of an array, largest first} */
    static int[] of(double[] array, int k) {
        TopK top = new TopK(Math.min(k, array.length));
        for (int start = 0; start < array.length; start += BLOCK) {
            int end = Math.min(start + BLOCK, array.length);
            double most = Double.NEGATIVE_INFINITY;
            for (int i = start; i < end; i++) most = Math.max(most, array[i]);
            if (most <= top.least()) continue;
            for (int i = start; i < end; i++) if (array[i] > top.least()) top.offer(i, array[i]);
        }
        return top.indices();
    }

    /** Removes all values. */
    void clear() {
        size = 0;
        least = indices.length == 0 ? Double.POSITIVE_INFINITY : Double.NEGATIVE_INFINITY;
    }

    /**
     * {@return the value that a new value must exceed to be kept, or equal with a lower index; negative infinity while
     * there are fewer than k values}
     */
    double least() {
        return least;
    }

    int size() {
        return size;
    }

    /** {@return the index of the i-th largest value, from 0} */
    int index(int i) {
        return indices[i];
    }

    /** {@return the i-th largest value, from 0} */
    double value(int i) {
        return values[i];
    }

    /** {@return the number that was offered together with the i-th largest value, from 0} */
    double attached(int i) {
        return attached[i];
    }

    /** {@return the indices of the values, largest value first} */
    int[] indices() {
        return Arrays.copyOf(indices, size);
    }

    /** Keeps a value if it is among the k largest. */
    void offer(int index, double value) {
        offer(index, value, 0);
    }

    /** Keeps a value if it is among the k largest, together with a number that does not affect the order. */
    void offer(int index, double value, double with) {
        if (!(value >= least) || value == Double.NEGATIVE_INFINITY || indices.length == 0) return;
        if (size == indices.length && value == least && index > indices[size - 1]) return;
        int at = size < indices.length ? size++ : size - 1;
        for (; at > 0 && (values[at - 1] < value || values[at - 1] == value && indices[at - 1] > index); at--) {
            values[at] = values[at - 1];
            indices[at] = indices[at - 1];
            attached[at] = attached[at - 1];
        }
        values[at] = value;
        indices[at] = index;
        attached[at] = with;
        if (size == indices.length) least = values[size - 1];
    }

    /** Offers all values of another list, with their attached numbers. */
    void offerAll(TopK other) {
        for (int i = 0; i < other.size; i++) offer(other.indices[i], other.values[i], other.attached[i]);
    }
}
