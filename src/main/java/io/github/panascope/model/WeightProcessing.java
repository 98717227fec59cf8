package io.github.panascope.model;

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
}
