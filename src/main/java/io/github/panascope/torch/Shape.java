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
     * Makes a shape from sizes.
     *
     * @param sizes the sizes, outermost first; none for a scalar
     * @return the shape
     * @throws IllegalArgumentException if a size is negative
     */
    public static Shape of(long... sizes) {
        for (long size : sizes)
            if (size < 0) throw new IllegalArgumentException("a size must not be negative: " + Arrays.toString(sizes));
        return new Shape(sizes.clone());
    }

    /** {@return the number of dimensions} */
    public int rank() {
        return sizes.length;
    }

    /**
     * Returns the size of a dimension.
     *
     * @param dimension the dimension; a negative one counts from the end
     * @return the number of elements along it
     * @throws IndexOutOfBoundsException if there is no such dimension
     */
    public long size(int dimension) {
        int index = dimension < 0 ? dimension + sizes.length : dimension;
        if (index < 0 || index >= sizes.length)
            throw new IndexOutOfBoundsException(
                    "the shape " + this + " has " + sizes.length + " dimensions, and no dimension " + dimension);
        return sizes[index];
    }

    /**
     * Computes the number of elements, the product of the sizes.
     *
     * @return the number; 1 for a scalar
     * @throws IllegalArgumentException if the number exceeds the range of a long
     */
    public long elements() {
        long product = 1;
        try {
            for (long size : sizes) product = Math.multiplyExact(product, size);
        } catch (ArithmeticException e) {
            if (Arrays.stream(sizes).anyMatch(size -> size == 0)) return 0;
            throw new IllegalArgumentException(
                    "a tensor of the shape " + this + " would have more than " + Long.MAX_VALUE + " elements", e);
        }
        return product;
    }

    /** {@return a copy of the sizes, outermost first} */
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

    /** {@return the sizes as Python writes a list, such as {@code [2, 16, 48]}} */
    @Override
    public String toString() {
        return Arrays.stream(sizes).mapToObj(Long::toString).collect(Collectors.joining(", ", "[", "]"));
    }
}
