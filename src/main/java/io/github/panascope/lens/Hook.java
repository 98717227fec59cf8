package io.github.panascope.lens;

import io.github.panascope.model.HookPoint;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import org.jspecify.annotations.Nullable;

/** What happens at a hook point. */
@FunctionalInterface
public interface Hook {
    /**
     * Called when a run reaches a hook point, on the thread of that run.
     *
     * @param activation what flows there; borrowed: it must not be used after this call, keeping it takes
     *     {@link Tensor#promote} or {@link TensorScope#adopt}. What the hook makes itself lands in a scope that closes
     *     after it.
     * @param point      where it is: its name, block and axes
     * @return what flows on in its place: of the same dtype, device, rank, number of rows and last dimension; or the
     *     same tensor or null to leave it as it is
     * @throws Exception whatever is thrown ends the run, and reaches the caller of the run as itself
     */
    @Nullable
    Tensor apply(Tensor activation, HookPoint point) throws Exception;
}
