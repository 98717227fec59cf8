package io.github.panascope.torch;

import java.util.Arrays;
import java.util.stream.Collectors;

/** The sizes of a tensor's dimensions, outermost first. Immutable. */
public final class Shape {
    private final long[] sizes;

    private Shape(long[] sizes) {
        this.sizes = sizes;
    }

    /**
     * A shape of these sizes; none for a scalar.
     *
     * @throws IllegalArgumentException if a size is negative
     */
    public static Shape of(long... sizes) {
        for (long size : sizes) if (size < 0) throw new IllegalArgumentException("a size must not be negative: " + Arrays.toString(sizes));
        return new Shape(sizes.clone());
    }

    /** The number of dimensions. */
    public int rank() {
        return sizes.length;
    }

    /** The size of a dimension; a negative one counts from the end. */
    public long size(int dimension) {
        return sizes[dimension < 0 ? dimension + sizes.length : dimension];
    }

    /** The number of elements. */
    public long elements() {
        long product = 1;
        for (long size : sizes) product = Math.multiplyExact(product, size);
        return product;
    }

    /** A copy of the sizes. */
    public long[] sizes() {
        return sizes.clone();
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Shape shape && Arrays.equals(sizes, shape.sizes);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(sizes);
    }

    /** As Python writes a tuple, such as {@code [2, 16, 48]}. */
    @Override
    public String toString() {
        return Arrays.stream(sizes).mapToObj(Long::toString).collect(Collectors.joining(", ", "[", "]"));
    }
}
