package io.github.panascope.lens;

import io.github.panascope.RunInterruptedException;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.ArrayList;
import java.util.List;

/**
 * A model's processed weights under TransformerLens's names: those of all blocks in one tensor, [layer, ...], which is
 * a copy. Results belong to the innermost scope.
 */
public final class Weights {
    /** Through what one head's output reaches a later head: its queries, keys or values. */
    public enum Composition {
        Q,
        K,
        V
    }

    private final HookedTransformer model;

    Weights(HookedTransformer model) {
        this.model = model;
    }

    /** W_E [d_vocab, d_model]; the model's own memory. */
    public Tensor wE() {
        return model.weight("embed.W_E");
    }

    /** W_pos [n_ctx, d_model]; the model's own memory. */
    public Tensor wPos() {
        return model.weight("pos_embed.W_pos");
    }

    /** W_E and W_pos, one below the other: all that can begin a residual stream. */
    public Tensor wEPos() {
        try (var _ = TensorScope.open()) {
            return Tensor.cat(0, wE(), wPos()).promote();
        }
    }

    /** W_U [d_model, d_vocab]; the model's own memory. */
    public Tensor wU() {
        return model.weight("unembed.W_U");
    }

    /** b_U [d_vocab]; the model's own memory. */
    public Tensor bU() {
        return model.weight("unembed.b_U");
    }

    /** W_Q [layer, head, d_model, d_head]. */
    public Tensor wQ() {
        return stacked("attn.W_Q");
    }

    /** W_K [layer, head, d_model, d_head]. */
    public Tensor wK() {
        return stacked("attn.W_K");
    }

    /** W_V [layer, head, d_model, d_head]. */
    public Tensor wV() {
        return stacked("attn.W_V");
    }

    /** W_O [layer, head, d_head, d_model]. */
    public Tensor wO() {
        return stacked("attn.W_O");
    }

    /** b_Q [layer, head, d_head]. */
    public Tensor bQ() {
        return stacked("attn.b_Q");
    }

    /** b_K [layer, head, d_head]. */
    public Tensor bK() {
        return stacked("attn.b_K");
    }

    /** b_V [layer, head, d_head]; zero once folded into b_O. */
    public Tensor bV() {
        return stacked("attn.b_V");
    }

    /** b_O [layer, d_model]. */
    public Tensor bO() {
        return stacked("attn.b_O");
    }

    /** W_in [layer, d_model, d_mlp]. */
    public Tensor wIn() {
        return stacked("mlp.W_in");
    }

    /** b_in [layer, d_mlp]. */
    public Tensor bIn() {
        return stacked("mlp.b_in");
    }

    /** W_out [layer, d_mlp, d_model]. */
    public Tensor wOut() {
        return stacked("mlp.W_out");
    }

    /** b_out [layer, d_model]. */
    public Tensor bOut() {
        return stacked("mlp.b_out");
    }

    /** W_Q·W_Kᵀ of every head, [layer, head, d_model, d_model] as factors: what a head looks for, and where. */
    public FactoredMatrix qk() {
        return new FactoredMatrix(wQ(), wK().transpose(-2, -1));
    }

    /** W_V·W_O of every head, [layer, head, d_model, d_model] as factors: what a head moves. */
    public FactoredMatrix ov() {
        return new FactoredMatrix(wV(), wO());
    }

    /** L0H0, L0H1 and so on, in the order of layers and heads. */
    public List<String> allHeadLabels() {
        List<String> labels = new ArrayList<>();
        for (int layer = 0; layer < model.config().nLayers(); layer++)
            for (int head = 0; head < model.config().nHeads(); head++) labels.add("L" + layer + "H" + head);
        return labels;
    }

    /**
     * How much each head reads of what each head of an earlier layer writes: ‖OV·R‖ / (‖OV‖·‖R‖), with R the later
     * head's QK, QKᵀ or OV (Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"); zero for pairs
     * that are not in that order.
     *
     * @return [earlier layer, earlier head, later layer, later head]
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

    /** Whose they are. */
    @Override
    public String toString() {
        return "Weights(" + model.name() + ")";
    }
}
