package io.github.panascope.dashboard;

import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.model.HookPoint;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Op;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import java.util.Arrays;

/**
 * What features write to the residual stream: rows of W_dec where the SAE writes there, times W_out or W_O where it
 * writes to neurons or heads. And what that adds to the logits: times W_U, without the final LayerNorm and b_U.
 */
final class DecoderDirections {
    /**
     * Products are of this many features, counted from 0, whichever are wanted: a product's rounding may depend on its
     * shape.
     */
    static final int GROUP = 128;

    private static final Op MM = Op.of("aten::mm", "out");

    private final HookedTransformer model;
    private final Sae sae;

    DecoderDirections(HookedTransformer model, Sae sae) {
        this.model = model;
        this.sae = sae;
    }

    /** Whether features have a direction in the residual stream. */
    boolean exist() {
        HookPoint out = HookPoint.of(sae.config().hookNameOut()).orElseThrow();
        return out.isInStream() || out.outputWeight().isPresent();
    }

    /** How many tokens there are. */
    int vocabulary() {
        return model.config().dVocab();
    }

    /** W_dec of a group, [group, d_out], in the innermost scope. */
    Tensor decoder(int group) {
        return sae.weight("W_dec")
                .slice(0, (long) group * GROUP, Math.min(sae.config().dSae(), (group + 1L) * GROUP));
    }

    /** Directions of a group, [group, d_model]; null if there are none. */
    Tensor of(int group) {
        return of(decoder(group));
    }

    /** The same of any features, in their order. */
    Tensor of(int[] features) {
        return of(sae.weight("W_dec")
                .indexSelect(
                        0,
                        Tensor.of(Arrays.stream(features).asLongStream().toArray(), Shape.of(features.length))
                                .to(sae.device())));
    }

    private Tensor of(Tensor decoder) {
        HookPoint out = HookPoint.of(sae.config().hookNameOut()).orElseThrow();
        if (out.outputWeight().isPresent()) {
            Tensor weight = model.weight(out.outputWeight().get());
            return decoder.matmul(
                    weight.reshape(-1, model.config().dModel()).to(sae.dtype())); // of heads laid side by side
        }
        return out.isInStream() ? decoder : null;
    }

    /** Logits of a group, [group, d_vocab], in memory from {@link #logitsMemory}; null if there are none. */
    Tensor logits(int group, Tensor memory) {
        Tensor directions = of(group);
        return directions == null
                ? null
                : MM.tensor(
                        directions,
                        model.weight("unembed.W_U").to(sae.dtype()),
                        memory.slice(0, 0, directions.size(0)));
    }

    /** Room for the logits of a group, in the innermost scope. */
    Tensor logitsMemory() {
        return Tensor.empty(sae.dtype(), Shape.of(GROUP, vocabulary()), sae.device());
    }
}
