package io.github.panascope.families;

import io.github.panascope.model.TransformerConfig;
import io.github.panascope.torch.Shape;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The names and shapes of a model's weights in the form of {@link ModelWeights}.
 *
 * @param config description of the model
 */
record WeightShapes(TransformerConfig config) {
    /** Returns whether a weight is float32 whatever the dtype of the model: those of norms, and means. */
    static boolean isFloat32(String name) {
        return name.startsWith("ln") || name.contains("_norm") || name.equals("W_U_mean");
    }

    /** Returns whether q, k and v are one product. This holds for models with LayerNorm. */
    boolean qkvTogether() {
        return !config.isRms();
    }

    Map<String, Shape> embed() {
        Map<String, Shape> shapes = new LinkedHashMap<>();
        shapes.put("W_E", Shape.of(config.dVocab(), config.dModel()));
        if (config.rotary() == null) shapes.put("W_pos", Shape.of(config.nCtx(), config.dModel()));
        return shapes;
    }

    Map<String, Shape> block(boolean lnFolded) {
        long width = config.dModel();
        long mlp = config.dMlp();
        long queries = (long) config.nHeads() * config.dHead();
        long keys = (long) config.nKeyValueHeads() * config.dHead();
        Map<String, Shape> shapes = new LinkedHashMap<>();
        if (qkvTogether()) {
            shapes.put("W_QKV", Shape.of(width, 3 * queries));
            shapes.put("b_QKV", Shape.of(3 * queries));
        } else {
            shapes.put("W_Q", Shape.of(width, queries));
            shapes.put("W_K", Shape.of(width, keys));
            shapes.put("W_V", Shape.of(width, keys));
            shapes.put("b_Q", Shape.of(queries));
            shapes.put("b_K", Shape.of(keys));
            shapes.put("b_V", Shape.of(keys));
        }
        shapes.put("W_O", Shape.of(queries, width));
        shapes.put("b_O", Shape.of(width));
        if (config.mlp().gated()) shapes.put("W_gate", Shape.of(width, mlp));
        else shapes.put("b_in", Shape.of(mlp));
        shapes.put("W_in", Shape.of(width, mlp));
        shapes.put("W_out", Shape.of(mlp, width));
        shapes.put("b_out", Shape.of(width));
        norm(shapes, "ln1", lnFolded);
        norm(shapes, "ln2", lnFolded);
        if (config.norm().afterOutputs()) {
            shapes.put("ln1_post_w", Shape.of(width));
            shapes.put("ln2_post_w", Shape.of(width));
        }
        if (config.attention().queryKeyNorm()) {
            shapes.put("q_norm_w", Shape.of(config.dHead()));
            shapes.put("k_norm_w", Shape.of(config.dHead()));
        }
        return shapes;
    }

    Map<String, Shape> unembed(boolean lnFolded, boolean centred) {
        Map<String, Shape> shapes = new LinkedHashMap<>();
        shapes.put("W_U", Shape.of(config.dModel(), config.dVocab()));
        shapes.put("b_U", Shape.of(config.dVocab()));
        if (config.isRms() && centred) shapes.put("W_U_mean", Shape.of(config.dModel()));
        norm(shapes, "ln_final", lnFolded);
        return shapes;
    }

    private void norm(Map<String, Shape> shapes, String norm, boolean folded) {
        Shape width = Shape.of(config.dModel());
        if (config.isRms()) {
            shapes.put(norm + (folded ? "_fold" : "_w"), width);
        } else if (!folded) {
            shapes.put(norm + "_w", width);
            shapes.put(norm + "_b", width);
        }
    }
}
