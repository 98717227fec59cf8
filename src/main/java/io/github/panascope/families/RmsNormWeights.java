package io.github.panascope.families;

import io.github.panascope.model.TransformerConfig;
import io.github.panascope.model.WeightProcessing;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.HashMap;
import java.util.Map;

/**
 * The weights of a model with RMSNorm. On the CPU, and in the dtype of the file, products stay views of the mapped
 * file: nothing is copied but vectors. Folding the norms and centring the unembedding therefore change no product;
 * their vectors are applied in a run, and the weights that they would give are made when they are asked for.
 */
final class RmsNormWeights implements ModelWeights {
    private final WeightFile file;
    private final TensorNames names;
    private final TransformerConfig config;
    private final WeightProcessing processing;
    private final Device device;
    private final DType dtype;
    private Tensor embedding;

    RmsNormWeights(
            WeightFile file,
            TensorNames names,
            TransformerConfig config,
            WeightProcessing processing,
            Device device,
            DType dtype) {
        this.file = file;
        this.names = names;
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
            embedding = kept(keep, file.ofModel("embed.W_E", config.dVocab(), config.dModel()));
            return Map.of("W_E", embedding);
        }
    }

    @Override
    public Map<String, Tensor> block(int layer, TensorScope keep) {
        int width = config.dModel();
        long queries = (long) config.nHeads() * config.dHead();
        long keys = (long) config.nKeyValueHeads() * config.dHead();
        Map<String, Tensor> weights = new HashMap<>();
        try (var _ = TensorScope.open()) {
            for (String norm : new String[] {"ln1", "ln2"}) weights.put(folded(norm), norm(layer, norm, width));
            if (config.norm().afterOutputs()) {
                for (String norm : new String[] {"ln1_post", "ln2_post"})
                    weights.put(norm + "_w", norm(layer, norm, width));
            }
            if (config.attention().queryKeyNorm()) {
                for (String norm : new String[] {"q_norm", "k_norm"})
                    weights.put(norm + "_w", norm(layer, "attn." + norm, config.dHead()));
            }
            weights.put("W_Q", file.product(layer, "attn.W_Q", width, queries));
            weights.put("W_K", file.product(layer, "attn.W_K", width, keys));
            weights.put("W_V", file.product(layer, "attn.W_V", width, keys));
            weights.put("W_O", file.product(layer, "attn.W_O", queries, width));
            boolean biases = config.attention().biases();
            weights.put("b_Q", bias(layer, "attn.b_Q", queries, biases));
            weights.put("b_K", bias(layer, "attn.b_K", keys, biases));
            weights.put("b_V", bias(layer, "attn.b_V", keys, biases));
            weights.put("b_O", bias(layer, "attn.b_O", width, config.attention().outputBias()));
            if (processing.foldValueBiases() && biases) foldValueBias(weights);
            weights.put("W_gate", file.product(layer, "mlp.W_gate", width, config.dMlp()));
            weights.put("W_in", file.product(layer, "mlp.W_in", width, config.dMlp()));
            weights.put("W_out", file.product(layer, "mlp.W_out", config.dMlp(), width));
            weights.put("b_out", Tensor.zeros(DType.FLOAT32, Shape.of(width)));
            weights.replaceAll((name, weight) ->
                    WeightShapes.isFloat32(name) ? keep.adopt(weight.to(device)) : kept(keep, weight));
            return weights;
        }
    }

    /** Moves b_V through W_O into b_O. All query heads that share a value head receive its bias. */
    private void foldValueBias(Map<String, Tensor> weights) {
        Tensor bV = weights.get("b_V");
        long groups = config.nHeads() / config.nKeyValueHeads();
        Tensor ofQueries = bV.to(DType.FLOAT32)
                .reshape(config.nKeyValueHeads(), 1, config.dHead())
                .expand(config.nKeyValueHeads(), groups, config.dHead())
                .reshape(-1);
        Tensor moved = ofQueries.matmul(weights.get("W_O").to(DType.FLOAT32));
        weights.put("b_O", weights.get("b_O").to(DType.FLOAT32).add(moved));
        weights.put("b_V", bV.zerosLike());
    }

    @Override
    public Map<String, Tensor> unembed(TensorScope keep) {
        Map<String, Tensor> weights = new HashMap<>();
        try (var _ = TensorScope.open()) {
            Tensor separate = file.unembed();
            Tensor unembed = (separate == null ? embedding : kept(keep, separate)).t();
            weights.put("W_U", keep.adopt(unembed));
            weights.put("b_U", kept(keep, Tensor.zeros(DType.FLOAT32, Shape.of(config.dVocab()))));
            weights.put(
                    folded("ln_final"),
                    keep.adopt(one(file.ofModel("ln_final.w", config.dModel())).to(device)));
            if (processing.centerUnembed()) weights.put("W_U_mean", keep.adopt(mean(unembed)));
            return weights;
        }
    }

    /** Returns the mean of W_U over the vocabulary, [d_model] in float32, without converting all of it at once. */
    private static Tensor mean(Tensor unembed) {
        long vocabulary = unembed.size(1);
        Tensor sum = Tensor.zeros(DType.FLOAT32, Shape.of(unembed.size(0))).to(unembed.device());
        long chunk = 8192;
        for (long first = 0; first < vocabulary; first += chunk) {
            try (var _ = TensorScope.open()) {
                Tensor part = unembed.slice(1, first, Math.min(vocabulary, first + chunk));
                sum.add_(part.to(DType.FLOAT32).sum(1, false));
            }
        }
        return sum.mul(1.0 / vocabulary);
    }

    private String folded(String norm) {
        return norm + (processing.foldLn() ? "_fold" : "_w");
    }

    /** Returns the weights of a norm, which are float32 whatever the model's dtype. */
    private Tensor norm(int layer, String norm, long size) {
        return one(file.vector(layer, norm + ".w", size));
    }

    private Tensor one(Tensor stored) {
        Tensor weight = stored.to(DType.FLOAT32);
        return names.oneAdded() ? weight.add(1) : weight;
    }

    private Tensor bias(int layer, String part, long size, boolean stored) {
        return stored ? file.vector(layer, part, size) : Tensor.zeros(DType.FLOAT32, Shape.of(size));
    }

    private Tensor kept(TensorScope keep, Tensor weight) {
        return keep.adopt(weight.to(dtype).to(device));
    }

    @Override
    public void requireAllUsed() {
        file.requireAllUsed();
    }
}
