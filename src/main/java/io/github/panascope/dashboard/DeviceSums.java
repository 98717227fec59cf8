package io.github.panascope.dashboard;

import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Op;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;

/**
 * The sums of {@link NeuronCorrelationSums} over some rows, kept on a device: of each row in float64, and of rows in
 * the fixed-point numbers of {@link ExactSums}, so that they are the same however rows are put together. Two int64 for
 * each number: what is before the point, and what is behind it in 2^-40. Confined to a thread.
 */
final class DeviceSums implements AutoCloseable {
    /** Bytes of products that are held at once. */
    private static final long PRODUCTS_AT_ONCE = 1L << 30;

    private static final Op FLOOR = Op.of("aten::floor", "");
    private static final Op BMM = Op.of("aten::bmm", "");

    private final int dIn;
    private final TensorScope scope = TensorScope.shared();
    /** [2 + features, d_in]: of y, of y², and of each feature's products with y. */
    private final Tensor whole;

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

    /** Adds y and y², float64 [rows, pos, d_in], of the rows from (inclusive) to (exclusive). */
    void addNeurons(Tensor y, Tensor squares, int firstRow, int endRow) {
        try (var _ = TensorScope.open()) {
            add(0, Tensor.stack(1, y.sum(1, false), squares.sum(1, false)).slice(0, firstRow, endRow));
        }
    }

    /**
     * Adds Σ x·y over the positions of each row from (inclusive) to (exclusive), for features [rows, pos, features] of
     * consecutive places and y, float64 [rows, pos, d_in]. Those of the other rows are worked out too: a product's
     * rounding may depend on its shape.
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

    /** Adds the sums of rows, float64 [rows, n, d_in], to the lines from one on. */
    private void add(long line, Tensor terms) {
        Tensor floor = FLOOR.tensor(terms);
        long end = line + terms.size(1);
        whole.slice(0, line, end).add_(floor.to(DType.INT64).sum(0, false));
        fraction.slice(0, line, end)
                .add_(terms.sub(floor).mul(0x1p40).to(DType.INT64).sum(0, false));
    }

    /**
     * All of them, int64 [2, 2 + features, d_in], what is before the point first; on the device, in the innermost
     * scope: for {@link NeuronCorrelationSums#addAll(long[])}.
     */
    Tensor all() {
        return Tensor.stack(0, whole, fraction);
    }

    @Override
    public void close() {
        scope.close();
    }
}
