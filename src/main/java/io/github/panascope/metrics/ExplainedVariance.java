package io.github.panascope.metrics;

import io.github.panascope.internal.CompactForm;
import io.github.panascope.internal.ExactSum;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.io.DataInput;
import java.io.DataOutput;
import java.io.IOException;
import java.io.InvalidObjectException;
import java.io.ObjectInputStream;
import java.io.Serializable;
import java.util.Arrays;

/**
 * An accumulator of the share of the variance of activations that a reconstruction keeps, over rows in any order: 1 −
 * E‖x − x̂‖² / (E‖x‖² − ‖E x‖²), in float64 (SAELens 6's {@code explained_variance}). It holds only sums, which are
 * exact: accumulators of parts can be merged in any order and grouping, with equal results, and can be serialized.
 */
public final class ExplainedVariance implements Serializable {
    private static final long serialVersionUID = 1L;
    private static final CompactForm FORM = new CompactForm("ExplainedVariance", 'V', 1);

    private transient long rows;
    private transient ExactSum error = new ExactSum();
    private transient ExactSum squares = new ExactSum();
    /** For each dimension, of the activations; none before the first rows. */
    private transient ExactSum[] sums = {};

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
        requireWidth(width);
        rows += (long) found[at];
        error.add(found[at + 1]);
        squares.add(found[at + 2]);
        for (int i = 0; i < width; i++) sums[i].add(found[at + 3 + i]);
    }

    private void requireWidth(int width) {
        if (sums.length == 0) {
            sums = new ExactSum[width];
            Arrays.setAll(sums, _ -> new ExactSum());
        }
        if (sums.length != width)
            throw new IllegalArgumentException("rows of " + width + " dimensions after rows of " + sums.length);
    }

    /** Returns the number of dimensions of the rows, 0 before the first. */
    int width() {
        return sums.length;
    }

    /**
     * Adds the rows of another accumulator to this one.
     *
     * @param other the other accumulator, which stays as it is
     * @throws IllegalArgumentException if its rows have another number of dimensions
     */
    public void merge(ExplainedVariance other) {
        if (other.sums.length == 0) return;
        requireWidth(other.sums.length);
        rows += other.rows;
        error.add(other.error);
        squares.add(other.squares);
        for (int i = 0; i < sums.length; i++) sums[i].add(other.sums[i]);
    }

    /**
     * {@return the explained variance: 1 for a perfect reconstruction, 0 for one that is no better than the mean,
     * negative for a worse one; NaN without rows}
     */
    public double value() {
        double mean = 0;
        for (ExactSum sum : sums) mean += sum.value() / rows * (sum.value() / rows);
        return 1 - error.value() / rows / (squares.value() / rows - mean);
    }

    /**
     * Writes this accumulator in its compact form: the number of rows, and the exact sums. Equal accumulators write
     * equal bytes.
     *
     * @param out what takes the bytes
     * @throws IOException if the output fails
     */
    public void writeTo(DataOutput out) throws IOException {
        FORM.write(out, content -> {
            CompactForm.writeVarint(content, rows);
            error.writeTo(content);
            squares.writeTo(content);
            CompactForm.writeVarint(content, sums.length);
            for (ExactSum sum : sums) sum.writeTo(content);
        });
    }

    /**
     * Reads what {@link #writeTo} wrote, and nothing after it.
     *
     * @param in the bytes
     * @return a new accumulator
     * @throws io.github.panascope.InputException if the bytes are not those of an ExplainedVariance of this version, or
     *     are damaged
     * @throws IOException if the input fails
     */
    public static ExplainedVariance readFrom(DataInput in) throws IOException {
        return FORM.read(in, content -> {
            ExplainedVariance variance = new ExplainedVariance();
            variance.rows = CompactForm.readCount(content);
            variance.error = ExactSum.readFrom(content);
            variance.squares = ExactSum.readFrom(content);
            variance.sums = new ExactSum[CompactForm.readLength(content)];
            for (int i = 0; i < variance.sums.length; i++) variance.sums[i] = ExactSum.readFrom(content);
            return variance;
        });
    }

    /** {@return what Java serialization writes in place of this: the compact form} */
    private Object writeReplace() {
        return new Serialized(this);
    }

    /**
     * Refuses bytes that are not the compact form.
     *
     * @param in the bytes
     * @throws InvalidObjectException always
     */
    private void readObject(ObjectInputStream in) throws InvalidObjectException {
        throw Serialized.refused();
    }

    /** {@return a description with the current value} */
    @Override
    public String toString() {
        return "ExplainedVariance(" + value() + ")";
    }
}
