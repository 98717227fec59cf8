package io.github.panascope.lens;

import io.github.panascope.torch.Tensor;

/**
 * What several runs over the same tokens have in common: the blocks before the one where they begin to differ run once.
 * Its memory belongs to the scope that was innermost when it was made.
 *
 * <pre>{@code
 * SharedPrefix shared = SharedPrefix.of(model, tokens, HookPoint.of(hook).orElseThrow().block());
 * double before = shared.forward(1).loss();
 * double after = shared.forward(1).hooks(Hooks.at(hook, Edits.zero())).loss();
 * }</pre>
 */
public final class SharedPrefix {
    private final HookedTransformer model;
    private final Tensor tokens;
    private final int block;
    /** What comes into the block, [batch, pos, d_model]; null if runs begin at the tokens. */
    private final Tensor residual;

    private SharedPrefix(HookedTransformer model, Tensor tokens, int block, Tensor residual) {
        this.model = model;
        this.tokens = tokens;
        this.block = block;
        this.residual = residual;
    }

    /**
     * Runs the blocks before one, if that saves anything: if there are some, and nothing that is attached to the model
     * reads before it and writes there or later.
     *
     * @param tokens int64 [batch, pos]
     * @param block  the first one that runs may change; outside of the model's blocks nothing is shared
     * @throws IllegalArgumentException if the tokens are not [batch, pos], or are no tokens of the model
     */
    public static SharedPrefix of(HookedTransformer model, Tensor tokens, int block) {
        if (tokens.shape().rank() != 2)
            throw new IllegalArgumentException("tokens should be int64 [batch, pos], not " + tokens);
        boolean saves = block > 0 && block < model.config().nLayers() && model.canStartAt(block);
        return new SharedPrefix(
                model, tokens, block, saves ? model.forward(tokens).stopAtLayer(block) : null);
    }

    /** Whether there is something that runs need not do again. */
    public boolean isShared() {
        return residual != null;
    }

    /**
     * Describes a run that goes on from here.
     *
     * @param times how often the tokens' rows are repeated, one behind the other, so that each may be changed alone
     */
    public Forward forward(int times) {
        if (times == 1) return from(tokens, copy(residual));
        Tensor repeated = tokens.repeatRows(times);
        if (residual == null) return from(repeated, null);
        return from(repeated, residual.repeatRows(times));
    }

    /** Describes a run over the first row's first position alone. */
    public Forward forwardOfOnePosition() {
        return from(
                tokens.slice(0, 0, 1).slice(1, 0, 1),
                residual == null ? null : residual.slice(0, 0, 1).slice(1, 0, 1).copy());
    }

    /** A hook may write to what comes in. */
    private static Tensor copy(Tensor stream) {
        return stream == null ? null : stream.copy();
    }

    private Forward from(Tensor some, Tensor stream) {
        Forward forward = model.forward(some);
        return stream == null ? forward : forward.startAtLayer(block, stream);
    }
}
