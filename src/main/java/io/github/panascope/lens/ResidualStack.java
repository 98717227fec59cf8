package io.github.panascope.lens;

import io.github.panascope.torch.DType;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Parts of the residual stream, one on the other, as {@link ActivationCache}'s decompositions make them. Results belong
 * to the innermost scope; so does {@code values}.
 *
 * @param cache    of the run that they come from
 * @param values   [component, batch, pos, d_model], or [component, batch, d_model] at one position
 * @param labels   one for each component, as TransformerLens writes them
 * @param position the one position, counted from 0; null if all are there
 */
public record ResidualStack(
        ActivationCache cache,
        Tensor values,
        List<String> labels,
        @Nullable Integer position) {
    /** Copies the labels. */
    public ResidualStack {
        labels = List.copyOf(labels);
        int rank = position == null ? 4 : 3;
        if (values.shape().rank() != rank || labels.size() != values.size(0))
            throw new IllegalArgumentException(labels.size() + " labels for " + values
                    + ": parts of the stream should be [component, batch, pos, d_model], or [component, batch, d_model]"
                    + " at one position");
    }

    /** The same at one position, counted from the end if negative. */
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
     * The same as a block's LayerNorm sees them: each less its mean over d_model, divided by the scale that the run had
     * there, so that their sum is what the LayerNorm gave, but for its weights (TransformerLens's
     * {@code apply_ln_to_stack}).
     *
     * @param layer    the block; n_layers for the LayerNorm before the unembedding
     * @param input the LayerNorm before attention, or before the MLP
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
            return with(values.sub(values.mean(-1, true)).div(scale).promote());
        }
    }

    /**
     * The same after the LayerNorm before the unembedding with a scale of each one's own, and its weights: what the
     * model would say if it ended there (the logit lens).
     */
    public ResidualStack recomputeFinalLn() {
        HookedTransformer model = cache.model();
        try (var _ = TensorScope.open()) {
            Tensor centred = values.to(DType.FLOAT32);
            centred = centred.sub(centred.mean(-1, true));
            Tensor result = centred.div(centred.mul(centred)
                    .mean(-1, true)
                    .add(model.config().eps())
                    .sqrt());
            if (model.hasWeight("ln_final.w"))
                result = result.mul(model.weight("ln_final.w")).add(model.weight("ln_final.b"));
            return with(result.to(values.dtype()).promote());
        }
    }

    /**
     * What each component adds to the logit of a token: its part of the last LayerNorm's output times the token's
     * direction. b_U is left out.
     *
     * @param tokens int64: one [], or one for each row [batch], or with all positions [batch, pos]
     * @return [component, batch] or [component, batch, pos]
     */
    public Tensor logitAttrs(Tensor tokens) {
        return logitAttrs(tokens, null);
    }

    /** The same for the difference of two tokens' logits; {@code incorrectTokens} has the shape of {@code tokens}. */
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

    private ResidualStack with(Tensor others) {
        return new ResidualStack(cache, others, labels, position);
    }
}
