package io.github.panascope.dashboard;

import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.model.HookPoint;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import java.util.Arrays;

/**
 * The directions of features in the residual stream, and their logits. A direction is a row of W_dec if the SAE writes
 * to the residual stream, and a row of W_dec times W_out or W_O if it writes to neurons or heads, times the weight of
 * the norm that follows there in some models. The logits of a feature are its direction times W_U, without the final
 * norm, b_U and a bound of the logits.
 */
final class DecoderDirections {
    /**
     * The number of features in a product. Groups are counted from feature 0, whichever features are wanted, because
     * the rounding of a product may depend on its shape.
     */
    static final int GROUP = 128;

    private final HookedTransformer model;
    private final Sae sae;

    DecoderDirections(HookedTransformer model, Sae sae) {
        this.model = model;
        this.sae = sae;
    }

    /** {@return whether features have a direction in the residual stream} */
    boolean exist() {
        HookPoint out = HookPoint.of(sae.config().hookNameOut()).orElseThrow();
        return out.isInStream() || out.outputWeight(model.config()).isPresent();
    }

    /** {@return the number of tokens of the model} */
    int vocabulary() {
        return model.config().dVocab();
    }

    /** {@return the rows of W_dec of a group [group, d_out], a view in the innermost scope} */
    Tensor decoder(int group) {
        return sae.weight("W_dec")
                .slice(0, (long) group * GROUP, Math.min(sae.config().dSae(), (group + 1L) * GROUP));
    }

    /** {@return the directions of a group [group, d_model]; null if features have no directions} */
    Tensor of(int group) {
        return of(decoder(group));
    }

    /** {@return the directions of features [features, d_model], in their order; null if features have no directions} */
    Tensor of(int[] features) {
        return of(sae.weight("W_dec")
                .indexSelect(
                        0,
                        Tensor.of(Arrays.stream(features).asLongStream().toArray(), Shape.of(features.length))
                                .to(sae.device())));
    }

    private Tensor of(Tensor decoder) {
        HookPoint out = HookPoint.of(sae.config().hookNameOut()).orElseThrow();
        if (out.isInStream()) return decoder;
        if (out.outputWeight(model.config()).isEmpty()) return null;
        Tensor weight = model.weight(out.outputWeight(model.config()).get());
        Tensor directions =
                decoder.matmul(weight.reshape(-1, model.config().dModel()).to(sae.dtype())); // of heads side by side
        return out.outputNorm(model.config())
                .map(norm -> directions.mul(model.weight(norm).to(sae.dtype())))
                .orElse(directions);
    }

    /**
     * Computes the logits of a group.
     *
     * @param memory memory from {@link #logitsMemory}, which is overwritten
     * @return the logits [group, d_vocab] in this memory; null if features have no directions
     */
    Tensor logits(int group, Tensor memory) {
        Tensor directions = of(group);
        return directions == null ? null : model.toLogits(directions, memory.slice(0, 0, directions.size(0)));
    }

    /** {@return uninitialized memory for the logits of a group, in the innermost scope} */
    Tensor logitsMemory() {
        return Tensor.empty(sae.dtype(), Shape.of(GROUP, vocabulary()), sae.device());
    }
}
