package io.github.panascope.model;

/**
 * Which of TransformerLens's weight-processing steps are applied when a model is loaded. They change what flows inside,
 * not the log-probabilities that come out; they are applied in the order of the components.
 *
 * @param foldLn              LayerNorm's weight and bias move into the layers that read it, whose weights are then
 *     centred over d_model; {@code hook_normalized} is then without weight and bias
 * @param centerWritingWeights everything that writes to the residual stream has zero mean over d_model
 * @param centerUnembed       W_U and b_U have zero mean over the vocabulary
 * @param foldValueBiases     b_V becomes zero and moves through W_O into b_O
 */
public record WeightProcessing(
        boolean foldLn, boolean centerWritingWeights, boolean centerUnembed, boolean foldValueBiases) {
    /** What {@code HookedTransformer.from_pretrained} does. */
    public static final WeightProcessing DEFAULT = new WeightProcessing(true, true, true, true);
    /** What {@code from_pretrained_no_processing} does. */
    public static final WeightProcessing NONE = new WeightProcessing(false, false, false, false);
    /** Only centred writing weights: what {@code gpt2-small-res-jb} asks for. */
    public static final WeightProcessing CENTERED = new WeightProcessing(false, true, false, false);
}
