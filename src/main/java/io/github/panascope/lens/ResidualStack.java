package io.github.panascope.lens;

import io.github.panascope.torch.DType;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Components of the residual stream, stacked along a first dimension, as the decompositions of {@link ActivationCache}
 * make them. {@code values} and the results of the methods belong to the innermost scope of the call that makes them.
 *
 * @param cache    the activations of the run that the components come from
 * @param values   [component, batch, pos, d_model], or [component, batch, d_model] at one position
 * @param labels   one label for each component, as TransformerLens writes them
 * @param position the only position, counted from 0; null if all positions are there
 */
public record ResidualStack(
        ActivationCache cache,
        Tensor values,
        List<String> labels,
        @Nullable Integer position) {
    /**
     * Copies the labels and checks the shape.
     *
     * @throws IllegalArgumentException if {@code values} does not have the rank that the position demands, or if the
     *     number of labels is not that of the components
     */
    public ResidualStack {
        labels = List.copyOf(labels);
        int rank = position == null ? 4 : 3;
        if (values.shape().rank() != rank || labels.size() != values.size(0))
            throw new IllegalArgumentException(labels.size() + " labels for " + values.describe()
                    + ": parts of the stream should be [component, batch, pos, d_model], or [component, batch, d_model]"
                    + " at one position");
    }

    /**
     * Selects one position of the components.
     *
     * @param wanted the position, counted from the end if negative
     * @return the components at this position, which share the memory of these
     * @throws IllegalStateException if these components are at one position already
     * @throws IndexOutOfBoundsException if the position is outside the run
     */
    public ResidualStack at(int wanted) {
        if (position != null) throw new IllegalStateException("these are at position " + position + " already");
        int positions = (int) values.size(2);
        int index = wanted < 0 ? wanted + positions : wanted;
        if (index < 0 || index >= positions)
            throw new IndexOutOfBoundsException(
                    "position " + wanted + " is outside the " + positions + " positions of the run");
        return new ResidualStack(cache, values.select(2, index), labels, index);
    }

    /**
     * Applies the norm of a block to the components, with the scale that it had in the run: subtracts from each
     * component its mean over d_model, if the norm is LayerNorm, and divides by that scale. The results add up to the
     * output of the norm without its weights (TransformerLens's {@code apply_ln_to_stack}). Needs hook_scale of that
     * norm in the cache.
     *
     * @param layer the block; -1 or n_layers for the norm before the unembedding
     * @param input the norm before attention, or the one before the MLP
     * @return the normalised components, in the innermost scope
     * @throws IllegalArgumentException if the layer is outside the model or has no MLP where {@code input} names it, or
     *     if the cache does not hold the scale
     */
    public ResidualStack applyLn(int layer, BlockInput input) {
        int layers = cache.model().config().nLayers();
        int at = cache.layerOrEnd(layer);
        if (at == layers && input == BlockInput.MLP)
            throw new IllegalArgumentException("there is no MLP after the last block");
        try (var _ = TensorScope.open()) {
            Tensor scale = cache.get(
                    at == layers
                            ? "ln_final.hook_scale"
                            : "blocks." + at + (input == BlockInput.MLP ? ".ln2" : ".ln1") + ".hook_scale");
            if (position != null) scale = scale.select(1, position);
            return with(centred(values).div(scale).promote());
        }
    }

    /**
     * Applies the norm before the unembedding to the components, each with its own scale, and then the weights of that
     * norm, if they are not folded away. The result is what the model would unembed if it ended there (the logit lens).
     *
     * @return the normalised components, in the innermost scope
     */
    public ResidualStack recomputeFinalLn() {
        HookedTransformer model = cache.model();
        try (var _ = TensorScope.open()) {
            Tensor centred = centred(values.to(DType.FLOAT32));
            Tensor result = centred.div(centred.mul(centred)
                    .mean(-1, true)
                    .add(model.config().eps())
                    .sqrt());
            if (model.hasWeight("ln_final.w")) result = result.mul(model.weight("ln_final.w"));
            if (model.hasWeight("ln_final.b")) result = result.add(model.weight("ln_final.b"));
            return with(result.to(values.dtype()).promote());
        }
    }

    /**
     * Computes what each component adds to the logit of a token: the component after the last norm, times the token's
     * direction. b_U is left out, and so is the bound of the logits where a model has one. Needs ln_final.hook_scale in
     * the cache.
     *
     * @param tokens int64: one token id [], or one for each row [batch], or one for each row and position [batch, pos]
     * @return [component, batch] or [component, batch, pos], in the innermost scope
     * @throws IllegalArgumentException if the shape of the tokens does not fit, or if the cache does not hold the scale
     */
    public Tensor logitAttrs(Tensor tokens) {
        return logitAttrs(tokens, null);
    }

    /**
     * Computes what each component adds to the difference of two tokens' logits: the component after the last norm,
     * times the difference of the tokens' directions. b_U is left out, and so is the bound of the logits where a model
     * has one. Needs ln_final.hook_scale in the cache.
     *
     * @param tokens          int64: one token id [], or one for each row [batch], or one for each row and position
     *     [batch, pos]
     * @param incorrectTokens the tokens whose logits are subtracted, in the shape of {@code tokens}; null for none
     * @return [component, batch] or [component, batch, pos], in the innermost scope
     * @throws IllegalArgumentException if the shape of the tokens does not fit, or if the cache does not hold the scale
     */
    public Tensor logitAttrs(Tensor tokens, @Nullable Tensor incorrectTokens) {
        if (incorrectTokens != null && !tokens.shape().equals(incorrectTokens.shape())) {
            throw new IllegalArgumentException("tokens and incorrect tokens should have one shape, not "
                    + tokens.shape() + " and " + incorrectTokens.shape());
        }
        int rank = tokens.shape().rank();
        boolean fits = rank == 0
                || tokens.size(0) == values.size(1)
                        && (rank == 1 || rank == 2 && position == null && tokens.size(1) == values.size(2));
        if (!fits)
            throw new IllegalArgumentException("tokens should be one, [], or [batch], or [batch, pos] where all"
                    + " positions are there, and " + tokens.shape() + " does not fit " + values.shape());
        HookedTransformer model = cache.model();
        try (var _ = TensorScope.open()) {
            Tensor directions = model.tokensToResidualDirections(tokens);
            if (incorrectTokens != null) directions = directions.sub(model.tokensToResidualDirections(incorrectTokens));
            if (rank == 1 && position == null) directions = directions.unsqueeze(1); // for each position of a row
            return applyLn(model.config().nLayers(), BlockInput.ATTENTION)
                    .values()
                    .mul(directions)
                    .sum(-1, false)
                    .promote();
        }
    }

    /** Subtracts the mean over d_model where the model's norms do. */
    private Tensor centred(Tensor components) {
        return cache.model().config().isRms() ? components : components.sub(components.mean(-1, true));
    }

    private ResidualStack with(Tensor others) {
        return new ResidualStack(cache, others, labels, position);
    }
}
