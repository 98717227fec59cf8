package io.github.panascope.families.gpt2;

import io.github.panascope.InputException;
import io.github.panascope.families.ModelWeights;
import io.github.panascope.model.TransformerConfig;
import io.github.panascope.model.WeightProcessing;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.StateDict;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * The weights of a GPT-2 in the form that the model with hooks needs, under TransformerLens's names. They are processed
 * tensor by tensor from a mapped file, so that at most one layer is held twice. Projections keep GPT-2's own layout
 * [in, out]; q, k and v stay side by side in W_QKV [d_model, 3 d_model].
 *
 * <p>The steps follow the formulas of TransformerLens 2.18's {@code weight_processing}; their order matters.
 */
final class Gpt2Weights implements ModelWeights {
    private final StateDict file;
    private final TransformerConfig config;
    private final WeightProcessing processing;
    private final Device device;
    private final DType dtype;
    private final String prefix;
    private final Set<String> used = new HashSet<>();
    /**
     * Tensors that are not views of the file. They are changed in place, which saves a second copy.
     */
    private final Set<Tensor> own = new HashSet<>();

    Gpt2Weights(StateDict file, TransformerConfig config, WeightProcessing processing, Device device, DType dtype) {
        this.file = file;
        this.config = config;
        this.processing = processing;
        this.device = device;
        this.dtype = dtype;
        // GPT2LMHeadModel saves names with the prefix; the file of the `gpt2` repository has names without it.
        this.prefix = file.has("transformer.wte.weight") ? "transformer." : "";
    }

    @Override
    public boolean lnFolded() {
        return processing.foldLn();
    }

    @Override
    public Map<String, Tensor> embed(TensorScope keep) {
        try (var _ = TensorScope.open()) {
            Tensor embed = load("wte.weight", config.dVocab(), config.dModel());
            Tensor positions = load("wpe.weight", config.nCtx(), config.dModel());
            if (processing.centerWritingWeights()) {
                embed = centred(embed, -1);
                positions = centred(positions, -1);
            }
            return kept(keep, Map.of("W_E", embed, "W_pos", positions));
        }
    }

    @Override
    public Map<String, Tensor> block(int layer, TensorScope keep) {
        int width = config.dModel();
        int mlp = config.dMlp();
        String block = "h." + layer + ".";
        Map<String, Tensor> weights = new HashMap<>();
        try (var _ = TensorScope.open()) {
            Tensor ln1Weight = load(block + "ln_1.weight", width);
            Tensor ln1Bias = load(block + "ln_1.bias", width);
            Tensor ln2Weight = load(block + "ln_2.weight", width);
            Tensor ln2Bias = load(block + "ln_2.bias", width);
            Tensor wQkv = load(block + "attn.c_attn.weight", width, 3 * width);
            Tensor bQkv = load(block + "attn.c_attn.bias", 3 * width);
            Tensor wO = load(block + "attn.c_proj.weight", width, width);
            Tensor bO = load(block + "attn.c_proj.bias", width);
            Tensor wIn = load(block + "mlp.c_fc.weight", width, mlp);
            Tensor bIn = load(block + "mlp.c_fc.bias", mlp);
            Tensor wOut = load(block + "mlp.c_proj.weight", mlp, width);
            Tensor bOut = load(block + "mlp.c_proj.bias", width);
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

    @Override
    public Map<String, Tensor> unembed(TensorScope keep) {
        Map<String, Tensor> weights = new HashMap<>();
        try (var _ = TensorScope.open()) {
            Tensor weight = load("ln_f.weight", config.dModel());
            Tensor bias = load("ln_f.bias", config.dModel());
            // Kept in the layout of the file, [d_vocab, d_model], and transposed as a view: without processing it then
            // shares the memory of the file.
            used.add("lm_head.weight");
            Tensor unembed = file.has("lm_head.weight") && !config.tieWordEmbeddings()
                    ? take("lm_head.weight", config.dVocab(), config.dModel())
                    : load("wte.weight", config.dVocab(), config.dModel());
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
        Set<String> left = new TreeSet<>(file.names());
        left.removeAll(used);
        left.removeIf(name -> name.matches(".*h\\.\\d+\\.attn\\.(masked_)?bias")); // the causal mask, as a buffer
        if (!left.isEmpty()) {
            throw new InputException(
                    file.file() + " holds tensors that a GPT-2 of " + config.nLayers() + " layers does not have: "
                            + String.join(", ", left.stream().limit(5).toList())
                            + (left.size() > 5 ? ", ... (" + left.size() + " in all)." : "."));
        }
    }

    private Tensor load(String name, long... sizes) {
        return take(prefix + name, sizes);
    }

    /** Reads a tensor as float32 and records that it was used. */
    private Tensor take(String name, long... sizes) {
        used.add(name);
        Tensor stored = file.weight(name, Shape.of(sizes));
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
                result.put(name, keep.adopt((name.startsWith("ln") ? tensor : tensor.to(dtype)).to(device))));
        return result;
    }
}
