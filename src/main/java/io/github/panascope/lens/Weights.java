package io.github.panascope.lens;

import io.github.panascope.RunInterruptedException;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.ArrayList;
import java.util.List;

/**
 * The processed weights of a model under TransformerLens's names. Weights of all blocks are copied into one tensor,
 * [layer, ...]. Results belong to the innermost scope.
 */
public final class Weights {
    /** The input of a later head that the output of an earlier head reaches. */
    public enum Composition {
        /** The queries. */
        Q,
        /** The keys. */
        K,
        /** The values. */
        V
    }

    private final HookedTransformer model;

    Weights(HookedTransformer model) {
        this.model = model;
    }

    /** {@return the embedding W_E, [d_vocab, d_model]; the model's own memory} */
    public Tensor wE() {
        return model.weight("embed.W_E");
    }

    /**
     * Returns the position embedding.
     *
     * @return W_pos, [n_ctx, d_model]; the model's own memory
     * @throws IllegalStateException if the model has none, because it rotates queries and keys by their position
     */
    public Tensor wPos() {
        if (model.config().rotary() != null)
            throw new IllegalStateException(
                    model.name() + " has no W_pos: it rotates queries and keys by their position");
        return model.weight("pos_embed.W_pos");
    }

    /**
     * Returns W_E and below it W_pos: everything that a residual stream can begin with.
     *
     * @return [d_vocab + n_ctx, d_model]
     * @throws IllegalStateException if the model has no W_pos, because it rotates queries and keys by their position
     */
    public Tensor wEPos() {
        try (var _ = TensorScope.open()) {
            return Tensor.cat(0, wE(), wPos()).promote();
        }
    }

    /** {@return the unembedding W_U, [d_model, d_vocab]; the model's own memory} */
    public Tensor wU() {
        return model.weight("unembed.W_U");
    }

    /** {@return the bias of the unembedding b_U, [d_vocab]; the model's own memory} */
    public Tensor bU() {
        return model.weight("unembed.b_U");
    }

    /** {@return the query weights W_Q, [layer, head, d_model, d_head]} */
    public Tensor wQ() {
        return stacked("attn.W_Q");
    }

    /** {@return the key weights W_K, [layer, head, d_model, d_head]; those of heads that share keys are equal} */
    public Tensor wK() {
        return stacked("attn.W_K");
    }

    /** {@return the value weights W_V, [layer, head, d_model, d_head]; those of heads that share values are equal} */
    public Tensor wV() {
        return stacked("attn.W_V");
    }

    /** {@return the output weights of the heads W_O, [layer, head, d_head, d_model]} */
    public Tensor wO() {
        return stacked("attn.W_O");
    }

    /** {@return the query biases b_Q, [layer, head, d_head]} */
    public Tensor bQ() {
        return stacked("attn.b_Q");
    }

    /** {@return the key biases b_K, [layer, head, d_head]} */
    public Tensor bK() {
        return stacked("attn.b_K");
    }

    /** {@return the value biases b_V, [layer, head, d_head]; zero if they are folded into b_O} */
    public Tensor bV() {
        return stacked("attn.b_V");
    }

    /** {@return the output biases of attention b_O, [layer, d_model]} */
    public Tensor bO() {
        return stacked("attn.b_O");
    }

    /** {@return the input weights of the MLPs W_in, [layer, d_model, d_mlp]} */
    public Tensor wIn() {
        return stacked("mlp.W_in");
    }

    /**
     * Returns the weights of the MLPs' gates.
     *
     * @return W_gate, [layer, d_model, d_mlp]
     * @throws IllegalStateException if the MLPs have no gates
     */
    public Tensor wGate() {
        if (!model.config().mlp().gated())
            throw new IllegalStateException(model.name() + " has no W_gate: its MLPs have no gates");
        return stacked("mlp.W_gate");
    }

    /** {@return the input biases of the MLPs b_in, [layer, d_mlp]; zero if the MLPs have none} */
    public Tensor bIn() {
        return stacked("mlp.b_in");
    }

    /** {@return the output weights of the MLPs W_out, [layer, d_mlp, d_model]} */
    public Tensor wOut() {
        return stacked("mlp.W_out");
    }

    /** {@return the output biases of the MLPs b_out, [layer, d_model]} */
    public Tensor bOut() {
        return stacked("mlp.b_out");
    }

    /**
     * {@return W_Q·W_Kᵀ of every head, [layer, head, d_model, d_model] as factors: what a head looks for, and where,
     * without a norm and a rotation of queries and keys}
     */
    public FactoredMatrix qk() {
        return new FactoredMatrix(wQ(), wK().transpose(-2, -1));
    }

    /** {@return W_V·W_O of every head, [layer, head, d_model, d_model] as factors: what a head moves} */
    public FactoredMatrix ov() {
        return new FactoredMatrix(wV(), wO());
    }

    /** {@return the labels of all heads, {@code L0H0}, {@code L0H1} and so on, in the order of layers and heads} */
    public List<String> allHeadLabels() {
        List<String> labels = new ArrayList<>();
        for (int layer = 0; layer < model.config().nLayers(); layer++)
            for (int head = 0; head < model.config().nHeads(); head++) labels.add("L" + layer + "H" + head);
        return labels;
    }

    /**
     * Computes how much each head reads of what each head of an earlier layer writes: ‖OV·R‖ / (‖OV‖·‖R‖), with R
     * the QK, QKᵀ or OV of the later head (Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits").
     * Norms of queries, keys and outputs, and rotations, are left out.
     *
     * @param through the input of the later head: QK for its queries, QKᵀ for its keys, OV for its values
     * @return [earlier layer, earlier head, later layer, later head]; 0 where the second layer is not later than the
     *     first
     * @throws RunInterruptedException if the thread is interrupted
     */
    public Tensor allCompositionScores(Composition through) {
        int layers = model.config().nLayers();
        int heads = model.config().nHeads();
        try (var _ = TensorScope.open()) {
            FactoredMatrix reader = switch (through) {
                case Q -> qk();
                case K -> qk().t();
                case V -> ov();
            };
            Tensor left = ov().collapsedLeft();
            Tensor right = reader.collapsedRight();
            Tensor scores = left.zerosLike()
                    .select(3, 0)
                    .select(2, 0)
                    .unsqueeze(-1)
                    .unsqueeze(-1)
                    .mul(right.zerosLike().select(3, 0).select(2, 0));
            for (int layer = 0; layer < layers; layer++) {
                for (int head = 0; head < heads && layer + 1 < layers; head++) {
                    RunInterruptedException.check("comparing heads");
                    try (var _ =
                            TensorScope.open()) { // one head's pairs at a time: all at once would be heads² matrices
                        Tensor own = left.select(0, layer).select(0, head);
                        Tensor later = right.slice(0, layer + 1, layers);
                        Tensor found = frobenius(own.matmul(later))
                                .div(frobenius(later))
                                .div(frobenius(own));
                        scores.select(0, layer)
                                .select(0, head)
                                .slice(0, layer + 1, layers)
                                .copy_(found);
                    }
                }
            }
            return scores.promote();
        }
    }

    private static Tensor frobenius(Tensor matrices) {
        return matrices.mul(matrices).sum(-1, false).sum(-1, false).sqrt();
    }

    private Tensor stacked(String name) {
        try (var _ = TensorScope.open()) {
            Tensor[] all = new Tensor[model.config().nLayers()];
            for (int layer = 0; layer < all.length; layer++) all[layer] = model.weight("blocks." + layer + "." + name);
            return Tensor.stack(0, all).promote();
        }
    }

    /** {@return the name of the model that the weights belong to} */
    @Override
    public String toString() {
        return "Weights(" + model.name() + ")";
    }
}
