package io.github.panascope.lens;

import io.github.panascope.torch.Op;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;

/**
 * A matrix A·B of low rank that is kept as its two factors, with any leading dimensions (TransformerLens's
 * {@code FactoredMatrix}): a head's OV circuit W_V·W_O, or its QK circuit W_Q·W_Kᵀ. Results belong to the innermost
 * scope; the factors belong to the caller.
 *
 * @param a the left factor, [..., l, m]
 * @param b the right factor, [..., m, r]
 */
public record FactoredMatrix(Tensor a, Tensor b) {
    private static final class Linalg {
        static final Op SVD = Op.of("aten::linalg_svd", "");
        static final Op EIGENVALUES = Op.of("aten::linalg_eigvals", "");
        static final Op AS_REAL = Op.of("aten::view_as_real", "");
    }

    /**
     * Checks that the inner dimensions of the factors agree.
     *
     * @throws IllegalArgumentException if a factor has fewer than two dimensions, or their inner dimensions differ
     */
    public FactoredMatrix {
        if (a.shape().rank() < 2 || b.shape().rank() < 2 || a.size(-1) != b.size(-2))
            throw new IllegalArgumentException("the factors " + a.shape() + " and " + b.shape() + " do not fit");
    }

    /** {@return the whole matrix A·B, [..., l, r], in the innermost scope} */
    public Tensor ab() {
        return a.matmul(b);
    }

    /**
     * {@return the factors multiplied in the other order, B·A, [..., m, m], in the innermost scope: a small matrix that
     * has the eigenvalues of A·B except for zeros}
     */
    public Tensor ba() {
        return b.matmul(a);
    }

    /** {@return the transposed matrix, as factors that share the memory of these} */
    public FactoredMatrix t() {
        return new FactoredMatrix(b.transpose(-2, -1), a.transpose(-2, -1));
    }

    /**
     * Multiplies this matrix by another and keeps the product as factors with the smaller inner dimension.
     *
     * @param other the right operand, [..., r, n]
     * @return the product, [..., l, n]; its new factor belongs to the innermost scope
     */
    public FactoredMatrix matmul(Tensor other) {
        return b.size(-2) <= b.size(-1) ? new FactoredMatrix(a, b.matmul(other)) : new FactoredMatrix(ab(), other);
    }

    /**
     * Multiplies this matrix by another factored matrix and keeps the product as factors.
     *
     * @param other the right operand, [..., r, n]
     * @return the product, [..., l, n]; its new factor belongs to the innermost scope
     */
    public FactoredMatrix matmul(FactoredMatrix other) {
        return new FactoredMatrix(a, b.matmul(other.a).matmul(other.b));
    }

    /**
     * Selects one index of the first leading dimension, such as a layer or a head.
     *
     * @param index the index, from 0
     * @return the selected matrix, whose factors share the memory of these
     */
    public FactoredMatrix get(long index) {
        return new FactoredMatrix(a.select(0, index), b.select(0, index));
    }

    /**
     * A singular value decomposition U·diag(S)·Vᵀ.
     *
     * @param u [..., l, k] with columns of length 1 at right angles to each other; k is the smallest of l, m and r
     * @param s the singular values, [..., k], in descending order
     * @param v [..., r, k] with columns of length 1 at right angles to each other; TransformerLens calls it {@code Vh}
     */
    public record Svd(Tensor u, Tensor s, Tensor v) {}

    /**
     * Computes the singular value decomposition from those of the factors and of a matrix of at most m×m between them.
     *
     * @return the decomposition, whose tensors belong to the innermost scope
     */
    public Svd svd() {
        try (var _ = TensorScope.open()) {
            Tensor[] left = Linalg.SVD.tensors(3, a, false);
            Tensor[] right = Linalg.SVD.tensors(3, b, false); // each U, S, Vᵀ
            Tensor middle = left[1].unsqueeze(-1).mul(left[2]).matmul(right[0]).mul(right[1].unsqueeze(-2));
            Tensor[] inner = Linalg.SVD.tensors(3, middle, false);
            Tensor u = left[0].matmul(inner[0]);
            Tensor v = right[2].transpose(-2, -1).matmul(inner[2].transpose(-2, -1));
            return new Svd(u.promote(), inner[1].promote(), v.promote());
        }
    }

    /** {@return the Frobenius norm, [...], in the innermost scope} */
    public Tensor norm() {
        try (var _ = TensorScope.open()) {
            Tensor s = svd().s();
            return s.mul(s).sum(-1, false).sqrt().promote();
        }
    }

    /**
     * Computes the eigenvalues of a square matrix, except for zeros.
     *
     * @return [..., m, 2]: the real and the imaginary parts, in no particular order, in the innermost scope
     * @throws IllegalArgumentException if the matrix is not square
     */
    public Tensor eigenvalues() {
        if (a.size(-2) != b.size(-1))
            throw new IllegalArgumentException(
                    "only a square matrix has eigenvalues, not one of " + a.size(-2) + " by " + b.size(-1));
        try (var _ = TensorScope.open()) {
            return Linalg.AS_REAL.tensor(Linalg.EIGENVALUES.tensor(ba())).promote();
        }
    }

    /**
     * Returns diag(S)·Vᵀ, [..., k, r]. It differs from this matrix by a rotation on the left only, so that norms of
     * products with it are equal.
     */
    Tensor collapsedLeft() {
        Svd svd = svd();
        return svd.s().unsqueeze(-1).mul(svd.v().transpose(-2, -1));
    }

    /** Returns U·diag(S), [..., l, k]. */
    Tensor collapsedRight() {
        Svd svd = svd();
        return svd.u().mul(svd.s().unsqueeze(-2));
    }
}
