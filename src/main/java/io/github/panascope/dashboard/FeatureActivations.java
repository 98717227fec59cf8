package io.github.panascope.dashboard;

import java.util.Arrays;
import java.util.BitSet;

/** The activations of one feature that are not zero, by ascending index (row * context + position). */
final class FeatureActivations {
    final int feature;
    int[] indices;
    float[] values;
    int size;

    FeatureActivations(int feature, int capacity) {
        this.feature = feature;
        indices = new int[capacity];
        values = new float[capacity];
    }

    void add(int index, float value) {
        indices[size] = index;
        values[size++] = value;
    }

    /** {@return the activation at an index; 0 if none is listed} */
    float at(int index) {
        int found = Arrays.binarySearch(indices, 0, size, index);
        return found < 0 ? 0 : values[found];
    }

    /** {@return the activations outside a set of indices; this object if the set is empty} */
    FeatureActivations without(BitSet excluded) {
        if (excluded.isEmpty()) return this;
        FeatureActivations kept = new FeatureActivations(feature, size);
        for (int i = 0; i < size; i++) if (!excluded.get(indices[i])) kept.add(indices[i], values[i]);
        return kept;
    }

    float max() {
        float max = 0;
        for (int i = 0; i < size; i++) max = Math.max(max, values[i]);
        return max;
    }
}
