package io.github.panascope.torch;

import org.jspecify.annotations.Nullable;

/** A callback at hook points: it reads the activation there, and may replace it. */
@FunctionalInterface
public interface ActivationHook {
    /**
     * Reads an activation and may replace it. Called when a run reaches a hook point, on the thread of that run.
     *
     * @param activation the activation at the hook point; borrowed: it must not be used after this call, and
     *     {@link Tensor#promote} or {@link TensorScope#adopt} keeps it. Tensors that the hook makes itself belong to a
     *     scope that closes after the call.
     * @param name       the name of the hook point, such as {@code blocks.8.hook_resid_pre}
     * @return the tensor that replaces the activation, of the same dtype, device and rank; or the activation itself or
     *     null to leave it unchanged
     * @throws Exception any exception ends the run and is rethrown unchanged to the caller of the run
     */
    @Nullable
    Tensor apply(Tensor activation, String name) throws Exception;
}
