package io.github.panascope.lens;

/** Where a block reads the residual stream. */
public enum BlockInput {
    /** As it comes into the block, which attention reads: {@code hook_resid_pre}. */
    ATTENTION,
    /** With what the block's attention has added, which its MLP reads: {@code hook_resid_mid}. */
    MLP
}
