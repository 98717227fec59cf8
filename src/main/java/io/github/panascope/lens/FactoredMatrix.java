package io.github.panascope.lens;

import io.github.panascope.torch.Op;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;

/**
 * A matrix A·B of low rank that is kept as its two factors, with any leading dimensions (TransformerLens's
 * {@code FactoredMatrix}): a head's OV circuit W_V·W_O, its QK circuit W_Q·W_Kᵀ. Results belong to the innermost scope;
 * the factors are the caller's.
 *
 * @param a [..., l, m]
 * @param b [..., m, r]
 */
public record FactoredMatrix(Tensor a, Tensor b) {
    private static final class Linalg {
        static final Op SVD = Op.of("aten::linalg_svd", "");
        static final Op EIGENVALUES = Op.of("aten::linalg_eigvals", "");
        static final Op AS_REAL = Op.of("aten::view_as_real", "");
    }

    /** Checks that the factors fit. */
    public FactoredMatrix {
        if (a.shape().rank() < 2 || b.shape().rank() < 2 || a.size(-1) != b.size(-2))
            throw new IllegalArgumentException("the factors " + a.shape() + " and " + b.shape() + " do not fit");
    }

    /** The whole matrix [..., l, r]. */
    public Tensor ab() {
        return a.matmul(b);
    }

    /** The factors the other way round [..., m, m]: small, with the same eigenvalues but for zeros. */
    public Tensor ba() {
        return b.matmul(a);
    }

    /** The transposed matrix. */
    public FactoredMatrix t() {
        return new FactoredMatrix(b.transpose(-2, -1), a.transpose(-2, -1));
    }

    /** This matrix times another [..., r, n], kept as factors with the smaller inner dimension. */
    public FactoredMatrix matmul(Tensor other) {
        return b.size(-2) <= b.size(-1) ? new FactoredMatrix(a, b.matmul(other)) : new FactoredMatrix(ab(), other);
    }

    /** This matrix times another, kept as factors. */
    public FactoredMatrix matmul(FactoredMatrix other) {
        return new FactoredMatrix(a, b.matmul(other.a).matmul(other.b));
    }

    /** One of the leading dimension's, such as a layer's or a head's. */
    public FactoredMatrix get(long index) {
        return new FactoredMatrix(a.select(0, index), b.select(0, index));
    }

    /**
     * U·diag(S)·Vᵀ.
     *
     * @param u [..., l, k], its columns of length 1 and at right angles; k is the smallest of l, m and r
     * @param s [..., k], from the largest down
     * @param v [..., r, k], as U; TransformerLens calls it {@code Vh}
     */
    public record Svd(Tensor u, Tensor s, Tensor v) {}

    /** The singular value decomposition, by those of the factors and of an m×m matrix between them. */
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

    /** The Frobenius norm [...]. */
    public Tensor norm() {
        try (var _ = TensorScope.open()) {
            Tensor s = svd().s();
            return s.mul(s).sum(-1, false).sqrt().promote();
        }
    }

    /** The eigenvalues, but for zeros: [..., m, 2], real and imaginary parts, in no order. The matrix is square. */
    public Tensor eigenvalues() {
        if (a.size(-2) != b.size(-1))
            throw new IllegalArgumentException(
                    "only a square matrix has eigenvalues, not one of " + a.size(-2) + " by " + b.size(-1));
        try (var _ = TensorScope.open()) {
            return Linalg.AS_REAL.tensor(Linalg.EIGENVALUES.tensor(ba())).promote();
        }
    }

    /**
     * diag(S)·Vᵀ [..., m, r]: the same but for a rotation on the left, so that norms of products with it are the same.
     */
    Tensor collapsedLeft() {
        Svd svd = svd();
        return svd.s().unsqueeze(-1).mul(svd.v().transpose(-2, -1));
    }

    /** U·diag(S) [..., l, m]. */
    Tensor collapsedRight() {
        Svd svd = svd();
        return svd.u().mul(svd.s().unsqueeze(-2));
    }
}
