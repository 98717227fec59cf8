package io.github.panascope.lens;

import io.github.panascope.torch.DType;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;

/**
 * Memory for the logits of some positions while losses are computed from them. Runs may share it one after the other
 * ({@link Forward#lossWorkspace}), which saves time, because the system has to clear newly allocated memory. The
 * tensors belong to the scope that was innermost when the workspace was made.
 *
 * @param products [positions, d_vocab] in the model's dtype
 * @param logits   [positions, d_vocab], float32; the same tensor as {@code products} if the model is in float32, or if
 *     losses are computed from bfloat16 logits directly
 */
public record LossWorkspace(Tensor products, Tensor logits) {
    /** Positions at once on the CPU: 103 MB for GPT-2's vocabulary in float32. Products of fewer rows are slower. */
    private static final int POSITIONS = 512;
    /** Positions at once on the CPU in bfloat16, which take as much memory as half of them in float32. */
    private static final int POSITIONS_IN_BFLOAT16 = 1024;
    /** Positions at once on a GPU: 1.6 GB for GPT-2's vocabulary in float32, in products that fill the GPU. */
    private static final int POSITIONS_ON_DEVICE = 8192;

    /**
     * Allocates the memory for a model.
     *
     * @param model     the model of the runs
     * @param positions the largest number of positions in a run, over all rows
     * @return the memory, in the innermost scope and on the device of the model
     */
    public static LossWorkspace of(HookedTransformer model, long positions) {
        DType dtype = model.dtype();
        boolean cpu = model.device().isCpu();
        boolean capped = model.config().embedding().logitCap() > 0; // in float32
        boolean asTheyAre = dtype == DType.BFLOAT16 && cpu && !model.isExact() && !capped;
        int most = asTheyAre ? POSITIONS_IN_BFLOAT16 : cpu ? POSITIONS : POSITIONS_ON_DEVICE;
        Shape shape =
                Shape.of(Math.max(1, Math.min(most, positions)), model.config().dVocab());
        Tensor products = Tensor.empty(dtype, shape, model.device());
        boolean shared = asTheyAre || dtype == DType.FLOAT32;
        return new LossWorkspace(products, shared ? products : Tensor.empty(DType.FLOAT32, shape, model.device()));
    }
}
