package io.github.panascope.families;

import io.github.panascope.InputException;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.Map;

/**
 * The weights of a model, part by part, in the form in which it computes with them. Products are [in, out]. The weights
 * of LayerNorm have the names {@code ln1_w}, {@code ln1_b} and so on, and are absent once they are folded into others.
 * Those of RMSNorm are applied where the norm is computed, folded or not, since hooks see the same numbers in both
 * cases; they have the names {@code ln1_w} and so on, or {@code ln1_fold} if {@code weight(name)} has to give the
 * weights that follow times this factor.
 */
public interface ModelWeights {
    /** {@return whether the weights of the norms before attention, MLP and unembedding are folded into these} */
    boolean lnFolded();

    /**
     * Reads the weights of the embedding.
     *
     * @param keep the scope that owns the result
     * @return {@code W_E} [d_vocab, d_model], and for learned positions {@code W_pos} [n_ctx, d_model], by name
     */
    Map<String, Tensor> embed(TensorScope keep);

    /**
     * Reads the weights of a block.
     *
     * @param layer index of the block, from 0
     * @param keep  the scope that owns the result
     * @return by name: {@code W_QKV} [d_model, 3 heads·d_head] and {@code b_QKV} [3 heads·d_head], or {@code W_Q},
     *     {@code W_K} and {@code W_V} [d_model, heads·d_head] with {@code b_Q}, {@code b_K} and {@code b_V}
     *     [heads·d_head]; {@code W_O} [heads·d_head, d_model], {@code b_O} [d_model], {@code W_in} [d_model, d_mlp],
     *     {@code W_out} [d_mlp, d_model] and {@code b_out} [d_model]; {@code b_in} [d_mlp], or {@code W_gate} [d_model,
     *     d_mlp] if the MLP is gated; the weights of norms that the model has: {@code ln1}, {@code ln2},
     *     {@code ln1_post}, {@code ln2_post} [d_model], {@code q_norm}, {@code k_norm} [d_head]
     */
    Map<String, Tensor> block(int layer, TensorScope keep);

    /**
     * Reads the weights of the unembedding.
     *
     * @param keep the scope that owns the result
     * @return {@code W_U} [d_model, d_vocab], {@code b_U} [d_vocab] and the weights of {@code ln_final} [d_model], by
     *     name; and {@code W_U_mean} [d_model] where the mean over the vocabulary has to be taken off W_U
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
