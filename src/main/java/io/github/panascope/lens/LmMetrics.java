package io.github.panascope.lens;

import io.github.panascope.torch.DType;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import org.jspecify.annotations.Nullable;

/**
 * Measures of how well logits predict the next tokens (TransformerLens's {@code lm_cross_entropy_loss} and
 * {@code lm_accuracy}). Logits are [batch, pos, d_vocab], tokens are int64 [batch, pos]. The last position predicts
 * nothing, so that there are pos-1 results a row.
 */
public final class LmMetrics {
    private LmMetrics() {}

    /**
     * Computes the cross-entropy of each next token, −log softmax(logits)[next token].
     *
     * @param logits [batch, pos, d_vocab]
     * @param tokens int64 [batch, pos], of at least two positions
     * @return the losses in nats, float32 [batch, pos-1] on the device of the logits, in the innermost scope
     * @throws IllegalArgumentException if the shapes do not fit, or if there are fewer than two positions
     */
    public static Tensor crossEntropyLossPerToken(Tensor logits, Tensor tokens) {
        try (var _ = TensorScope.open()) {
            long positions = requireTargets(logits, tokens);
            Tensor targets =
                    tokens.to(logits.device()).slice(1, 1, positions + 1).unsqueeze(-1);
            return logits.slice(1, 0, positions)
                    .to(DType.FLOAT32)
                    .logSoftmax(-1)
                    .gather(-1, targets)
                    .select(2, 0)
                    .mul(-1)
                    .promote();
        }
    }

    /**
     * Computes the mean cross-entropy of the next tokens.
     *
     * @param logits [batch, pos, d_vocab]
     * @param tokens int64 [batch, pos], of at least two positions
     * @param mask   [batch, pos]: a position counts where the mask is not 0 at it and at the next; null if all count
     * @return the mean loss in nats
     * @throws IllegalArgumentException if the shapes do not fit, or if there are fewer than two positions
     */
    public static double crossEntropyLoss(Tensor logits, Tensor tokens, @Nullable Tensor mask) {
        try (var _ = TensorScope.open()) {
            Tensor losses = crossEntropyLossPerToken(logits, tokens);
            if (mask == null) return losses.mean().item();
            Tensor counts = nextTokenMask(mask.to(logits.device()));
            return masked(losses, counts).sum(DType.FLOAT32).item()
                    / counts.sum(DType.INT64).item();
        }
    }

    /**
     * Computes for each position whether its most probable token is the next token.
     *
     * @param logits [batch, pos, d_vocab]
     * @param tokens int64 [batch, pos], of at least two positions
     * @return bool [batch, pos-1] on the device of the logits, in the innermost scope; true where the prediction is
     *     right
     * @throws IllegalArgumentException if the shapes do not fit, or if there are fewer than two positions
     */
    public static Tensor accuracyPerToken(Tensor logits, Tensor tokens) {
        try (var _ = TensorScope.open()) {
            long positions = requireTargets(logits, tokens);
            return logits.slice(1, 0, positions)
                    .argmax(-1)
                    .eq(tokens.to(logits.device()).slice(1, 1, positions + 1))
                    .promote();
        }
    }

    /**
     * Computes the share of positions whose most probable token is the next token.
     *
     * @param logits [batch, pos, d_vocab]
     * @param tokens int64 [batch, pos], of at least two positions
     * @return the share, from 0 to 1
     * @throws IllegalArgumentException if the shapes do not fit, or if there are fewer than two positions
     */
    public static double accuracy(Tensor logits, Tensor tokens) {
        try (var _ = TensorScope.open()) {
            return accuracyPerToken(logits, tokens).to(DType.FLOAT64).mean().item();
        }
    }

    /**
     * Returns the losses with zero wherever the mask is zero. Selects instead of multiplying, because NaN would survive
     * a product.
     */
    static Tensor masked(Tensor losses, Tensor mask) {
        return losses.zerosLike().where(mask.eq(0), losses);
    }

    /** Returns a mask of ones and zeros, int64: 1 wherever the given mask is not 0. */
    static Tensor binary(Tensor mask) {
        return mask.eq(0).eq(0).to(DType.INT64);
    }

    /** Returns 1 where neither a position nor the next is masked, else 0: int64 [batch, pos-1]. */
    static Tensor nextTokenMask(Tensor given) {
        Tensor mask = binary(given);
        long positions = mask.size(1) - 1;
        return mask.slice(1, 0, positions).mul(mask.slice(1, 1, positions + 1));
    }

    private static long requireTargets(Tensor logits, Tensor tokens) {
        if (logits.shape().rank() != 3
                || tokens.shape().rank() != 2
                || logits.size(0) != tokens.size(0)
                || logits.size(1) != tokens.size(1)
                || tokens.size(1) < 2) {
            throw new IllegalArgumentException(
                    "logits [batch, pos, d_vocab] and tokens [batch, pos] of at least two positions are needed, not "
                            + logits.shape() + " and " + tokens.shape());
        }
        return tokens.size(1) - 1;
    }
}
