package io.github.panascope.model;

import io.github.panascope.InputException;

/**
 * The steps of TransformerLens's weight processing that are applied when a model is loaded. They change the
 * activations, but not the log-probabilities of the model. They are applied in the order of the components.
 *
 * @param foldLn               true to move the weight and bias of LayerNorm into the layers that read its output, whose
 *     weights are then centred over d_model; {@code hook_normalized} is then without weight and bias
 * @param centerWritingWeights true to give all weights that write to the residual stream a zero mean over d_model
 * @param centerUnembed        true to give W_U and b_U a zero mean over the vocabulary
 * @param foldValueBiases      true to move b_V through W_O into b_O, after which b_V is zero
 */
public record WeightProcessing(
        boolean foldLn, boolean centerWritingWeights, boolean centerUnembed, boolean foldValueBiases) {
    /** The processing of {@code HookedTransformer.from_pretrained}: all steps. */
    public static final WeightProcessing DEFAULT = new WeightProcessing(true, true, true, true);
    /** The processing of {@code from_pretrained_no_processing}: no step. */
    public static final WeightProcessing NONE = new WeightProcessing(false, false, false, false);
    /** The processing that {@code gpt2-small-res-jb} asks for: only centred writing weights. */
    public static final WeightProcessing CENTERED = new WeightProcessing(false, true, false, false);

    /**
     * Returns the steps that are applied to a model. {@link #DEFAULT} leaves out what does not suit the model, as
     * {@code from_pretrained} does: centring the writing weights without LayerNorm, and centring an unembedding whose
     * logits are bounded.
     *
     * @param name   name of the model, for the message
     * @param config description of the model
     * @return the steps
     * @throws InputException if other steps than the default would change what the model predicts
     */
    public WeightProcessing forModel(String name, TransformerConfig config) {
        boolean capped = config.embedding().logitCap() > 0;
        if (equals(DEFAULT)) return new WeightProcessing(true, !config.isRms(), !capped, true);
        if (centerWritingWeights && config.isRms())
            throw new InputException("model " + name + " has RMSNorm, which does not take off the mean: its writing"
                    + " weights cannot be centred. Load it with the default processing or with none.");
        if (centerUnembed && capped)
            throw new InputException("model " + name + " bounds its logits, which a constant changes: its unembedding"
                    + " cannot be centred. Load it with the default processing or with none.");
        return this;
    }
}
