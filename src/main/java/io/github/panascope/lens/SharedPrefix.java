package io.github.panascope.lens;

import io.github.panascope.torch.Tensor;

/**
 * The common beginning of several runs over the same tokens: the blocks before the one at which the runs begin to
 * differ run once. Its memory belongs to the scope that was innermost when it was made.
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
    /** The stream that enters the block, [batch, pos, d_model]; null if runs begin at the tokens. */
    private final Tensor residual;

    private SharedPrefix(HookedTransformer model, Tensor tokens, int block, Tensor residual) {
        this.model = model;
        this.tokens = tokens;
        this.block = block;
        this.residual = residual;
    }

    /**
     * Runs the blocks before a block, if that saves anything: if there are such blocks, and no attachment of the model
     * reads before the block and writes at or after it.
     *
     * @param model  the model
     * @param tokens int64 [batch, pos]
     * @param block  the first block that the runs may change; with one outside of the model nothing is shared
     * @return the common beginning, whose memory belongs to the innermost scope
     * @throws IllegalArgumentException if the tokens are not [batch, pos], or if the model refuses them
     */
    public static SharedPrefix of(HookedTransformer model, Tensor tokens, int block) {
        if (tokens.shape().rank() != 2)
            throw new IllegalArgumentException("tokens should be int64 [batch, pos], not " + tokens.describe());
        boolean saves = block > 0 && block < model.config().nLayers() && model.canStartAt(block);
        return new SharedPrefix(
                model, tokens, block, saves ? model.forward(tokens).stopAtLayer(block) : null);
    }

    /** {@return whether there are blocks that the runs do not repeat} */
    public boolean isShared() {
        return residual != null;
    }

    /**
     * Describes a run that continues from the common beginning.
     *
     * @param times how often all rows of the tokens are repeated, one repetition after the other, so that each may be
     *     changed on its own
     * @return the forward pass over [times · batch, pos] tokens
     */
    public Forward forward(int times) {
        if (times == 1) return from(tokens, copy(residual));
        Tensor repeated = tokens.repeatRows(times);
        if (residual == null) return from(repeated, null);
        return from(repeated, residual.repeatRows(times));
    }

    /**
     * {@return a forward pass that continues from the common beginning, over the first position of the first row only}
     */
    public Forward forwardOfOnePosition() {
        return from(
                tokens.slice(0, 0, 1).slice(1, 0, 1),
                residual == null ? null : residual.slice(0, 0, 1).slice(1, 0, 1).copy());
    }

    /** Copies a stream, because a hook may edit it in place. */
    private static Tensor copy(Tensor stream) {
        return stream == null ? null : stream.copy();
    }

    private Forward from(Tensor some, Tensor stream) {
        Forward forward = model.forward(some);
        return stream == null ? forward : forward.startAtLayer(block, stream);
    }
}
