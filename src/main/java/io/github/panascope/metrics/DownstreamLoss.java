package io.github.panascope.metrics;

/**
 * Mean cross-entropy of the next token, in nats, with three activations at the SAE's hook point: the model's own, the
 * reconstruction, and zeros.
 *
 * @param original      loss of the unchanged model
 * @param reconstructed loss with the reconstruction in place of the activation
 * @param zero          loss with zeros in place of the activation
 */
public record DownstreamLoss(double original, double reconstructed, double zero) {
    /**
     * {@return the CE loss score (zero - reconstructed) / (zero - original): 1 for a perfect reconstruction, 0 for one
     * that is no better than zeros}
     */
    public double score() {
        return (zero - reconstructed) / (zero - original);
    }
}
