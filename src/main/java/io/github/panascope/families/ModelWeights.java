package io.github.panascope.families;

import io.github.panascope.InputException;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.Map;

/**
 * The processed weights of a model, part by part, under TransformerLens's names; q, k and v of a block form one matrix.
 */
public interface ModelWeights {
    /** {@return whether the weights of LayerNorm are folded into the weights that follow, and therefore absent} */
    boolean lnFolded();

    /**
     * Reads the weights of the embedding.
     *
     * @param keep the scope that owns the result
     * @return {@code W_E} [d_vocab, d_model] and {@code W_pos} [n_ctx, d_model], by name
     */
    Map<String, Tensor> embed(TensorScope keep);

    /**
     * Reads the weights of a block.
     *
     * @param layer index of the block, from 0
     * @param keep  the scope that owns the result
     * @return {@code W_QKV} [d_model, 3 d_model], {@code b_QKV} [3 d_model], {@code W_O} [d_model, d_model],
     *     {@code b_O} [d_model], {@code W_in} [d_model, d_mlp], {@code b_in} [d_mlp], {@code W_out} [d_mlp, d_model]
     *     and {@code b_out} [d_model], and unless they are folded {@code ln1_w}, {@code ln1_b}, {@code ln2_w} and
     *     {@code ln2_b} [d_model], by name
     */
    Map<String, Tensor> block(int layer, TensorScope keep);

    /**
     * Reads the weights of the unembedding.
     *
     * @param keep the scope that owns the result
     * @return {@code W_U} [d_model, d_vocab] and {@code b_U} [d_vocab], and unless they are folded {@code ln_final_w}
     *     and {@code ln_final_b} [d_model], by name
     */
    Map<String, Tensor> unembed(TensorScope keep);

    /**
     * Checks, after all parts were read, that no tensor of the file was left unread, which would mean that the file
     * belongs to another model.
     *
     * @throws InputException if a tensor was left unread; the message names it
     */
    void requireAllUsed();
}
