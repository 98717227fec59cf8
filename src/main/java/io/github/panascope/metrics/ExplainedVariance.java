package io.github.panascope.metrics;

import io.github.panascope.torch.DType;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.Arrays;

/**
 * How much of the variance of activations a reconstruction keeps, over rows that come in any order:
 * 1 − E‖x − x̂‖² / (E‖x‖² − ‖E x‖²), in float64 (SAELens 6's {@code explained_variance}). Sums only, so that parts can be merged.
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
            Tensor mask = weights.to(DType.FLOAT32), values = x.to(DType.FLOAT32).mul(mask), difference = values.sub(reconstruction.to(DType.FLOAT32).mul(mask));
            // Read together: each reading waits for the device.
            double[] found = Tensor.cat(0, mask.sum(DType.FLOAT64).reshape(1), difference.mul(difference).sum(DType.FLOAT64).reshape(1), values.mul(values).sum(DType.FLOAT64).reshape(1),
                    values.to(DType.FLOAT64).sum(0, false)).toDoubles();
            rows += (long) found[0];
            error += found[1];
            squares += found[2];
            addSums(Arrays.copyOfRange(found, 3, found.length));
        }
    }

    private void addSums(double[] more) {
        if (sums == null) sums = new double[more.length];
        if (sums.length != more.length) throw new IllegalArgumentException("rows of " + more.length + " dimensions after rows of " + sums.length);
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
}
