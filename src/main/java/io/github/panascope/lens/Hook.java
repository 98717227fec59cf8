package io.github.panascope.lens;

import io.github.panascope.model.HookPoint;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import org.jspecify.annotations.Nullable;

/** A function that is called at a hook point and may replace the activation there. */
@FunctionalInterface
public interface Hook {
    /**
     * Handles an activation. Called when a run reaches the hook point, on the thread of that run.
     *
     * @param activation the activation; borrowed: it must not be used after this call. To keep it, call
     *     {@link Tensor#promote} or {@link TensorScope#adopt}. Tensors that the hook makes belong to a scope that
     *     closes after it.
     * @param point      the hook point: its name, block and axes
     * @return the tensor that flows on in the place of the activation, with the same dtype, device, rank, number of
     *     rows and last dimension; or the same tensor, or null, to leave the activation as it is
     * @throws Exception any exception; it ends the run and reaches the caller of the run unchanged
     */
    @Nullable
    Tensor apply(Tensor activation, HookPoint point) throws Exception;
}
