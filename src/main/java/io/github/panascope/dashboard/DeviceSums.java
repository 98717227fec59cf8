package io.github.panascope.dashboard;

import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Op;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;

/**
 * The sums of {@link NeuronCorrelationSums} over some rows, kept on a device. Each row is summed in float64. Rows are
 * added in the fixed-point format of {@link ExactSums}, so that the result does not depend on how rows are grouped. A
 * sum is two int64: the integer part, and the fraction in units of 2^-40. Confined to a thread.
 */
final class DeviceSums implements AutoCloseable {
    /** The most bytes of products that are held at once. */
    private static final long PRODUCTS_AT_ONCE = 1L << 30;

    private static final Op FLOOR = Op.of("aten::floor", "");
    private static final Op BMM = Op.of("aten::bmm", "");

    private final int dIn;
    private final TensorScope scope = TensorScope.shared();
    /** The integer parts [2 + features, d_in] of the sums of y, of y², and of each feature's products with y. */
    private final Tensor whole;

    /** The fractions of the sums, in the layout of {@link #whole}. */
    private final Tensor fraction;

    DeviceSums(int features, int dIn, Device device) {
        this.dIn = dIn;
        try (var _ = TensorScope.open()) {
            whole = scope.adopt(Tensor.zeros(DType.INT64, Shape.of(features + 2, dIn), device));
            fraction = scope.adopt(Tensor.zeros(DType.INT64, Shape.of(features + 2, dIn), device));
        } catch (RuntimeException | Error e) {
            scope.close();
            throw e;
        }
    }

    /**
     * Adds y and y², float64 [rows, pos, d_in], of the rows from {@code firstRow} (inclusive) to {@code endRow}
     * (exclusive).
     */
    void addNeurons(Tensor y, Tensor squares, int firstRow, int endRow) {
        try (var _ = TensorScope.open()) {
            add(0, Tensor.stack(1, y.sum(1, false), squares.sum(1, false)).slice(0, firstRow, endRow));
        }
    }

    /**
     * Adds Σ x·y over the positions of each row from {@code firstRow} (inclusive) to {@code endRow} (exclusive). The
     * products of the other rows are computed too, because the rounding of a product may depend on its shape.
     *
     * @param firstPlace the place of the first feature; the others have the following places
     * @param features   x [rows, pos, features]
     * @param y          the activation, float64 [rows, pos, d_in]
     */
    void addProducts(int firstPlace, Tensor features, Tensor y, int firstRow, int endRow) {
        long rows = y.size(0);
        long count = features.size(2);
        long step = Math.max(1, PRODUCTS_AT_ONCE / (rows * dIn * Double.BYTES));
        for (long from = 0; from < count; from += step) {
            long to = Math.min(count, from + step);
            try (var _ = TensorScope.open()) {
                Tensor x = features.slice(2, from, to).to(DType.FLOAT64).transpose(1, 2);
                add(2 + firstPlace + from, BMM.tensor(x, y).slice(0, firstRow, endRow));
            }
        }
    }

    /**
     * Adds the sums of rows, float64 [rows, n, d_in], to n lines.
     *
     * @param line the first of these lines
     */
    private void add(long line, Tensor terms) {
        Tensor floor = FLOOR.tensor(terms);
        long end = line + terms.size(1);
        whole.slice(0, line, end).add_(floor.to(DType.INT64).sum(0, false));
        fraction.slice(0, line, end)
                .add_(terms.sub(floor).mul(0x1p40).to(DType.INT64).sum(0, false));
    }

    /**
     * {@return all sums for {@link NeuronCorrelationSums#addAll(long[])}: int64 [2, 2 + features, d_in], integer parts
     * first, on the device, in the innermost scope}
     */
    Tensor all() {
        return Tensor.stack(0, whole, fraction);
    }

    @Override
    public void close() {
        scope.close();
    }
}
