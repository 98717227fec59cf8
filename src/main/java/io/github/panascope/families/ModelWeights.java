package io.github.panascope.families;

import io.github.panascope.InputException;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.Map;

/**
 * The processed weights of a model, part by part, under TransformerLens's names; q, k and v of a block side by side.
 * What is returned belongs to {@code keep}.
 */
public interface ModelWeights {
    /** Whether LayerNorm's weights are folded into those that follow, and so are not there. */
    boolean lnFolded();

    /** {@code W_E} [d_vocab, d_model] and {@code W_pos} [n_ctx, d_model]. */
    Map<String, Tensor> embed(TensorScope keep);

    /**
     * {@code W_QKV} [d_model, 3 d_model], {@code b_QKV}, {@code W_O}, {@code b_O}, {@code W_in}, {@code b_in},
     * {@code W_out} and {@code b_out} of a block, and {@code ln1_w}, {@code ln1_b}, {@code ln2_w} and {@code ln2_b}
     * unless they are folded.
     */
    Map<String, Tensor> block(int layer, TensorScope keep);

    /**
     * {@code W_U} [d_model, d_vocab] and {@code b_U} [d_vocab], and {@code ln_final_w} and {@code ln_final_b} unless
     * they are folded.
     */
    Map<String, Tensor> unembed(TensorScope keep);

    /**
     * Checks, after all parts were read, that nothing in the file was left: it would be part of another model.
     *
     * @throws InputException if something was, naming it
     */
    void requireAllUsed();
}
