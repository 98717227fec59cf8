package io.github.panascope.metrics;

import io.github.panascope.torch.DType;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.Arrays;

/**
 * How much of the variance of activations a reconstruction keeps, over rows that come in any order:
 * 1 − E‖x − x̂‖² / (E‖x‖² − ‖E x‖²), in float64 (SAELens 6's {@code explained_variance}). Sums only, so that parts can
 * be merged.
 */
public final class ExplainedVariance {
    private long rows;
    private double error;
    private double squares;
    private double[] sums;

    /**
     * Adds rows x [n, d] and their reconstructions [n, d], of any dtype.
     *
     * @param weights [n, 1]: 1 for rows that count, 0 for others
     */
    public void add(Tensor x, Tensor reconstruction, Tensor weights) {
        try (var _ = TensorScope.open()) {
            add(sums(x, reconstruction, weights).toDoubles(), 0, (int) x.size(1));
        }
    }

    /**
     * What {@link #add(double[], int, int)} takes, of rows as {@link #add(Tensor, Tensor, Tensor)} has them: float64 [3
     * + d] on their device, which is not waited for.
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

    /** Adds {@link #sums} of rows of {@code width} dimensions, which begin at an index. */
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

    /** Adds what another one has seen. */
    public void merge(ExplainedVariance other) {
        if (other.sums == null) return;
        addSums(other.sums);
        rows += other.rows;
        error += other.error;
        squares += other.squares;
    }

    /** 1 for a perfect reconstruction, 0 for one no better than the mean, below 0 for a worse one; NaN without rows. */
    public double value() {
        double mean = 0;
        if (sums != null) for (double sum : sums) mean += sum / rows * (sum / rows);
        return 1 - error / rows / (squares / rows - mean);
    }

    /** The value so far. */
    @Override
    public String toString() {
        return "ExplainedVariance(" + value() + ")";
    }
}
