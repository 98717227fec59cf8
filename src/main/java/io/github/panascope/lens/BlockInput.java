package io.github.panascope.lens;

/** The two points at which a block reads the residual stream. */
public enum BlockInput {
    /** The stream as it enters the block, which attention reads: {@code hook_resid_pre}. */
    ATTENTION,
    /** The stream with the output of the block's attention, which the MLP reads: {@code hook_resid_mid}. */
    MLP
}
