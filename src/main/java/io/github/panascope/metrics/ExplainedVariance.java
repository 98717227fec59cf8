package io.github.panascope.metrics;

import io.github.panascope.torch.DType;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.Arrays;

/**
 * An accumulator of the share of the variance of activations that a reconstruction keeps, over rows in any order: 1 −
 * E‖x − x̂‖² / (E‖x‖² − ‖E x‖²), in float64 (SAELens 6's {@code explained_variance}). It holds only sums, so that
 * accumulators can be merged.
 */
public final class ExplainedVariance {
    private long rows;
    private double error;
    private double squares;
    private double[] sums;

    /** Makes an accumulator without rows. */
    public ExplainedVariance() {}

    /**
     * Adds rows of activations and their reconstructions.
     *
     * @param x              activations [n, d], of any dtype
     * @param reconstruction reconstructions [n, d], of any dtype
     * @param weights        [n, 1], 1 for rows that count and 0 for others
     * @throws IllegalArgumentException if earlier rows had another number of dimensions
     */
    public void add(Tensor x, Tensor reconstruction, Tensor weights) {
        try (var _ = TensorScope.open()) {
            add(sums(x, reconstruction, weights).toDoubles(), 0, (int) x.size(1));
        }
    }

    /**
     * Computes the sums that {@link #add(double[], int, int)} takes, for rows as in {@link #add(Tensor, Tensor,
     * Tensor)}: float64 [3 + d] on the device of the rows, without waiting for the device.
     */
    static Tensor sums(Tensor x, Tensor reconstruction, Tensor weights) {
        Tensor mask = weights.to(DType.FLOAT32);
        Tensor values = x.to(DType.FLOAT32).mul(mask);
        Tensor difference = values.sub(reconstruction.to(DType.FLOAT32).mul(mask));
        return Tensor.cat(
                0,
                mask.sum(DType.FLOAT64).reshape(1),
                difference.mul(difference).sum(DType.FLOAT64).reshape(1),
                values.mul(values).sum(DType.FLOAT64).reshape(1),
                values.to(DType.FLOAT64).sum(0, false));
    }

    /** Adds the result of {@link #sums} for rows of {@code width} dimensions, which begins at an index of an array. */
    void add(double[] found, int at, int width) {
        rows += (long) found[at];
        error += found[at + 1];
        squares += found[at + 2];
        addSums(Arrays.copyOfRange(found, at + 3, at + 3 + width));
    }

    private void addSums(double[] more) {
        if (sums == null) sums = new double[more.length];
        if (sums.length != more.length)
            throw new IllegalArgumentException("rows of " + more.length + " dimensions after rows of " + sums.length);
        for (int i = 0; i < more.length; i++) sums[i] += more[i];
    }

    /**
     * Adds the rows of another accumulator to this one.
     *
     * @param other the other accumulator, which stays as it is
     * @throws IllegalArgumentException if its rows have another number of dimensions
     */
    public void merge(ExplainedVariance other) {
        if (other.sums == null) return;
        addSums(other.sums);
        rows += other.rows;
        error += other.error;
        squares += other.squares;
    }

    /**
     * {@return the explained variance: 1 for a perfect reconstruction, 0 for one that is no better than the mean,
     * negative for a worse one; NaN without rows}
     */
    public double value() {
        double mean = 0;
        if (sums != null) for (double sum : sums) mean += sum / rows * (sum / rows);
        return 1 - error / rows / (squares / rows - mean);
    }

    /** {@return a description with the current value} */
    @Override
    public String toString() {
        return "ExplainedVariance(" + value() + ")";
    }
}
