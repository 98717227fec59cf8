package io.github.panascope.families;

import io.github.panascope.model.TransformerConfig;
import io.github.panascope.model.WeightProcessing;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/**
 * The weights of a model with LayerNorm, such as GPT-2. They are processed tensor by tensor from a mapped file, so that
 * at most one layer is held twice. q, k and v stay side by side in W_QKV [d_model, 3 d_model].
 *
 * <p>The steps follow the formulas of TransformerLens 2.18's {@code weight_processing}; their order matters.
 */
final class LayerNormWeights implements ModelWeights {
    private final WeightFile file;
    private final TensorNames.Heads heads;
    private final TransformerConfig config;
    private final WeightProcessing processing;
    private final Device device;
    private final DType dtype;
    /**
     * Tensors that are not views of the file. They are changed in place, which saves a second copy.
     */
    private final Set<Tensor> own = new HashSet<>();

    LayerNormWeights(
            WeightFile file,
            TensorNames.Heads heads,
            TransformerConfig config,
            WeightProcessing processing,
            Device device,
            DType dtype) {
        this.file = file;
        this.heads = heads;
        this.config = config;
        this.processing = processing;
        this.device = device;
        this.dtype = dtype;
    }

    @Override
    public boolean lnFolded() {
        return processing.foldLn();
    }

    @Override
    public Map<String, Tensor> embed(TensorScope keep) {
        try (var _ = TensorScope.open()) {
            Map<String, Tensor> weights = new HashMap<>();
            weights.put("W_E", floats(file.ofModel("embed.W_E", config.dVocab(), config.dModel())));
            if (config.rotary() == null)
                weights.put("W_pos", floats(file.ofModel("pos_embed.W_pos", config.nCtx(), config.dModel())));
            if (processing.centerWritingWeights()) weights.replaceAll((_, weight) -> centred(weight, -1));
            return kept(keep, weights);
        }
    }

    @Override
    public Map<String, Tensor> block(int layer, TensorScope keep) {
        int width = config.dModel();
        int mlp = config.dMlp();
        Map<String, Tensor> weights = new HashMap<>();
        try (var _ = TensorScope.open()) {
            Tensor ln1Weight = floats(file.vector(layer, "ln1.w", width));
            Tensor ln1Bias = floats(file.vector(layer, "ln1.b", width));
            Tensor ln2Weight = floats(file.vector(layer, "ln2.w", width));
            Tensor ln2Bias = floats(file.vector(layer, "ln2.b", width));
            Tensor wQkv = sideBySide(floats(file.product(layer, "attn.W_QKV", width, 3L * width)));
            Tensor bQkv = sideBySide(floats(file.vector(layer, "attn.b_QKV", 3L * width)));
            Tensor wO = floats(file.product(layer, "attn.W_O", width, width));
            Tensor bO = floats(file.vector(layer, "attn.b_O", width));
            Tensor wIn = floats(file.product(layer, "mlp.W_in", width, mlp));
            Tensor bIn = floats(file.vector(layer, "mlp.b_in", mlp));
            Tensor wOut = floats(file.product(layer, "mlp.W_out", mlp, width));
            Tensor bOut = floats(file.vector(layer, "mlp.b_out", width));
            if (processing.foldLn()) {
                bQkv = bQkv.add(ln1Bias.matmul(wQkv)); // needs the weights before they are folded
                wQkv = folded(wQkv, ln1Weight);
                bIn = bIn.add(ln2Bias.matmul(wIn));
                wIn = folded(wIn, ln2Weight);
            } else {
                // LayerNorm itself runs in float32, whatever the model's dtype.
                weights.putAll(Map.of("ln1_w", ln1Weight, "ln1_b", ln1Bias, "ln2_w", ln2Weight, "ln2_b", ln2Bias));
            }
            if (processing.centerWritingWeights()) {
                wO = centred(wO, -1);
                bO = centred(bO, -1);
                wOut = centred(wOut, -1);
                bOut = centred(bOut, -1);
            }
            if (processing.foldValueBiases()) {
                Tensor bV = bQkv.slice(0, 2L * width, 3L * width);
                bO = bO.add(bV.matmul(wO));
                bQkv = Tensor.cat(0, bQkv.slice(0, 0, 2L * width), bV.zerosLike());
            }
            weights.putAll(Map.of(
                    "W_QKV", wQkv, "b_QKV", bQkv, "W_O", wO, "b_O", bO, "W_in", wIn, "b_in", bIn, "W_out", wOut,
                    "b_out", bOut));
            return kept(keep, weights);
        }
    }

    /** Returns queries, keys and values of all heads side by side, [..., 3 d_model]. */
    private Tensor sideBySide(Tensor stored) {
        if (heads == TensorNames.Heads.QKV_SIDE_BY_SIDE) return stored;
        boolean matrix = stored.shape().rank() == 2;
        Tensor byHead = stored.reshape(-1, config.nHeads(), 3, config.dHead()).transpose(1, 2);
        return owned((matrix ? byHead.reshape(config.dModel(), -1) : byHead.reshape(-1)).copy());
    }

    @Override
    public Map<String, Tensor> unembed(TensorScope keep) {
        Map<String, Tensor> weights = new HashMap<>();
        try (var _ = TensorScope.open()) {
            Tensor weight = floats(file.ofModel("ln_final.w", config.dModel()));
            Tensor bias = floats(file.ofModel("ln_final.b", config.dModel()));
            // Kept in the layout of the file, [d_vocab, d_model], and transposed as a view: without processing it then
            // shares the memory of the file.
            Tensor separate = file.unembed();
            Tensor unembed =
                    floats(separate == null ? file.ofModel("embed.W_E", config.dVocab(), config.dModel()) : separate);
            Tensor bU = Tensor.zeros(DType.FLOAT32, Shape.of(config.dVocab()));
            if (processing.foldLn()) {
                bU = bU.add(unembed.matmul(bias));
                Tensor means = unembed.matmul(weight).mul(1.0 / config.dModel()).unsqueeze(1);
                unembed = scaled(unembed, weight).sub_(means);
            } else {
                weights.putAll(Map.of("ln_final_w", weight, "ln_final_b", bias));
            }
            if (processing.centerUnembed()) {
                unembed = centred(unembed, 0);
                bU = centred(bU, -1);
            }
            weights.putAll(Map.of("W_U", unembed, "b_U", bU));
            Map<String, Tensor> result = kept(keep, weights);
            result.put("W_U", keep.adopt(result.get("W_U").t()));
            return result;
        }
    }

    @Override
    public void requireAllUsed() {
        file.requireAllUsed();
    }

    /** Returns a tensor of the file as float32. */
    private Tensor floats(Tensor stored) {
        Tensor tensor = stored.to(DType.FLOAT32);
        if (stored.dtype() != DType.FLOAT32) own.add(tensor); // a copy, which may be written to
        return tensor;
    }

    /** Subtracts the mean over a dimension, in place where the tensor is not a view of the file. */
    private Tensor centred(Tensor tensor, int dimension) {
        Tensor mean = tensor.mean(dimension, true);
        return own.contains(tensor) ? tensor.sub_(mean) : owned(tensor.sub(mean));
    }

    /**
     * Returns weights [in, out] times the scale [in] of a LayerNorm, minus the mean over the input. The centring of
     * LayerNorm removes that mean from the product anyway.
     */
    private Tensor folded(Tensor tensor, Tensor scale) {
        Tensor means = scale.mul(-1.0 / scale.size(0)).matmul(tensor);
        Tensor column = scale.unsqueeze(1);
        return own.contains(tensor)
                ? tensor.mul_(column).add_(means)
                : owned(means.addcmul(tensor, column)); // one pass instead of three
    }

    private Tensor scaled(Tensor tensor, Tensor factor) {
        return own.contains(tensor) ? tensor.mul_(factor) : owned(tensor.mul(factor));
    }

    private Tensor owned(Tensor tensor) {
        own.add(tensor);
        return tensor;
    }

    /** Converts the weights to their dtype and device and moves them to a scope; LayerNorm's weights stay float32. */
    private Map<String, Tensor> kept(TensorScope keep, Map<String, Tensor> weights) {
        Map<String, Tensor> result = new HashMap<>();
        own.clear();
        weights.forEach((name, tensor) ->
                result.put(name, keep.adopt((WeightShapes.isFloat32(name) ? tensor : tensor.to(dtype)).to(device))));
        return result;
    }
}
