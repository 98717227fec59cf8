package io.github.panascope.spark;

import java.io.Serializable;
import java.util.Locale;

/**
 * The rows that one task collects, into a feature store in a folder of its own.
 *
 * @param first the first row
 * @param end   the row after the last
 */
record Unit(long first, long end) implements Serializable {
    long rows() {
        return end - first;
    }

    /** {@return the name of the unit's folder, which sorts by row} */
    @Override
    public String toString() {
        return String.format(Locale.ROOT, "%012d-%012d", first, end);
    }
}
