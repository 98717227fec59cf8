package io.github.panascope.metrics;

/**
 * Mean cross-entropy of the next token, in nats, with the SAE's hook point left alone, replaced by the reconstruction,
 * and replaced by zeros.
 *
 * @param original      the model as it is
 * @param reconstructed with the reconstruction in place
 * @param zero          with zeros in place
 */
public record DownstreamLoss(double original, double reconstructed, double zero) {
    /**
     * The CE loss score: (zero - reconstructed) / (zero - original); 1 is a perfect reconstruction, 0 is no better than
     * zeros.
     */
    public double score() {
        return (zero - reconstructed) / (zero - original);
    }
}
