package io.github.panascope.lens;

import io.github.panascope.torch.DType;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;

/**
 * Memory for the logits of some positions while losses are made of them, which runs may share one after the other
 * ({@link Forward#lossMemory}): the system has to clear memory that is got anew. In the scope that was the innermost
 * when it was made.
 *
 * @param products [positions, d_vocab], in the model's dtype
 * @param logits   [positions, d_vocab], float32; the same as products where the model is in float32, and where losses
 *     are made of logits in bfloat16 as they are
 */
public record LossWorkspace(Tensor products, Tensor logits) {
    /** Positions at once: 103 MB of GPT-2's vocabulary in float32. Products of fewer rows are slower. */
    private static final int POSITIONS = 512;
    /** As much memory in bfloat16. */
    private static final int POSITIONS_IN_BFLOAT16 = 1024;
    /** The same on a GPU: 1.6 GB, in products that fill it. */
    private static final int POSITIONS_ON_DEVICE = 8192;

    /** For a model, and at most so many positions in a run. */
    public static LossWorkspace of(HookedTransformer model, long positions) {
        DType dtype = model.weight("unembed.W_U").dtype();
        boolean cpu = model.device().isCpu();
        boolean asTheyAre = dtype == DType.BFLOAT16 && cpu && !model.isExact();
        int most = asTheyAre ? POSITIONS_IN_BFLOAT16 : cpu ? POSITIONS : POSITIONS_ON_DEVICE;
        Shape shape =
                Shape.of(Math.max(1, Math.min(most, positions)), model.config().dVocab());
        Tensor products = Tensor.empty(dtype, shape, model.device());
        boolean shared = asTheyAre || dtype == DType.FLOAT32;
        return new LossWorkspace(products, shared ? products : Tensor.empty(DType.FLOAT32, shape, model.device()));
    }
}
