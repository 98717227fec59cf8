package io.github.panascope.lens;

/** The two points at which a block reads the residual stream. */
public enum BlockInput {
    /** The stream as it enters the block, which attention reads: {@code hook_resid_pre}. */
    ATTENTION,
    /**
     * The stream that the MLP reads: that with the output of the block's attention, {@code hook_resid_mid}, or
     * {@code hook_resid_pre} where attention and MLP are parallel.
     */
    MLP
}
