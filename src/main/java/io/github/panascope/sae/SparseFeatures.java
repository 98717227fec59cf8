package io.github.panascope.sae;

import io.github.panascope.torch.Device;
import io.github.panascope.torch.GradMode;
import io.github.panascope.torch.Op;
import io.github.panascope.torch.Tensor;

/**
 * The features [n, d_sae] that are not zero, which are decoded as sums of few rows of W_dec instead of a product with
 * all of W_dec. The tensors belong to the scope that was innermost when the value was made.
 *
 * @param rows    the row of each feature, int64 [active], ascending
 * @param feature the feature, int64 [active]
 * @param values  the activation of each feature, [active]
 * @param starts  the index at which each row begins in the other three, int64 [n]
 */
record SparseFeatures(Tensor rows, Tensor feature, Tensor values, Tensor starts) {
    /** If more than one feature in this many is active, the product is faster. */
    private static final int SPARSE = 50;

    private static final Op NONZERO = Op.of("aten::nonzero", "");
    private static final Op COUNT_NONZERO = Op.of("aten::count_nonzero", "");
    private static final Op MUL = Op.of("aten::mul", "Scalar");
    private static final Op TAKE = Op.of("aten::take", "");
    private static final Op ARANGE = Op.of("aten::arange", "");
    private static final Op SEARCHSORTED = Op.of("aten::searchsorted", "Tensor");
    private static final Op EMBEDDING_BAG = Op.of("aten::embedding_bag", "");

    /**
     * Returns the sparse form, or null where it does not pay: off the CPU, while gradients flow, or with too many
     * features that are not zero.
     */
    static SparseFeatures of(Tensor features) {
        if (!features.device().equals(Device.CPU)
                || features.shape().elements() == 0
                || GradMode.flowsThrough(features)) return null;
        Tensor count = COUNT_NONZERO.tensor(features);
        if ((long) count.item() > features.shape().elements() / SPARSE) return null;
        Tensor places = NONZERO.tensor(features);
        Tensor rows = places.select(1, 0).contiguous();
        Tensor feature = places.select(1, 1).contiguous();
        return new SparseFeatures(
                rows,
                feature,
                TAKE.tensor(features, MUL.tensor(rows, features.size(1)).add(feature)),
                SEARCHSORTED.tensor(rows, ARANGE.tensor(features.size(0))));
    }

    /** Returns the number of features that are not zero in each row. */
    long[] counts() {
        long[] starts = starts().toLongs();
        long[] counts = new long[starts.length];
        for (int i = 0; i < counts.length; i++)
            counts[i] = (i + 1 < counts.length ? starts[i + 1] : rows.size(0)) - starts[i];
        return counts;
    }

    /** Returns the features, each divided by the number of its feature, [d_sae]. */
    SparseFeatures dividedBy(Tensor numbers) {
        return new SparseFeatures(rows, feature, values.div(numbers.indexSelect(0, feature)), starts);
    }

    /**
     * Computes the features times W_dec [d_sae, d_out] plus b_dec [d_out]: [n, d_out]. Terms are added in the order of
     * the features.
     */
    Tensor decode(Tensor wDec, Tensor bDec) {
        return EMBEDDING_BAG
                .tensor(wDec, feature, starts, false, 0, false, values)
                .add_(bDec);
    }
}
