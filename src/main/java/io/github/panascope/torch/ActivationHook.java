package io.github.panascope.torch;

import org.jspecify.annotations.Nullable;

/** What happens at a hook point. */
@FunctionalInterface
public interface ActivationHook {
    /**
     * Called when a run reaches a hook point, on the thread of that run.
     *
     * @param activation what flows there; borrowed: it must not be used after this call, keeping it takes
     *     {@link Tensor#promote} or {@link TensorScope#adopt}. What the hook makes itself lands in a scope that closes
     *     after it.
     * @param name       the hook point's name, such as {@code blocks.8.hook_resid_pre}
     * @return what flows on in its place: of the same dtype, device and rank; or the same tensor or
     *     null to leave it as it is
     * @throws Exception whatever is thrown ends the run, and reaches the caller of the run as itself
     */
    @Nullable
    Tensor apply(Tensor activation, String name) throws Exception;
}
