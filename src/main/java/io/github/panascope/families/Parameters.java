package io.github.panascope.families;

import io.github.panascope.model.TransformerConfig;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Op;
import io.github.panascope.torch.ScriptModule;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * TransformerLens's names and shapes of the processed weights, and their places in the module. What is a weight of its
 * own there and only applied in a run here, such as W_U with the weights of a folded RMSNorm, is computed.
 *
 * @param config   description of the model
 * @param lnFolded true if the weights of the norms before attention, MLP and unembedding are folded into these
 */
public record Parameters(TransformerConfig config, boolean lnFolded) {
    private static final Op MM = Op.of("aten::mm", "out");

    /**
     * Returns TransformerLens's names of the weights, such as {@code blocks.0.attn.W_Q}, in the order in which a run
     * uses them.
     *
     * @return the names
     */
    public List<String> names() {
        List<String> names = new ArrayList<>(List.of("embed.W_E"));
        if (config.rotary() == null) names.add("pos_embed.W_pos");
        String group = config.attention().grouped() ? "_" : "";
        for (int layer = 0; layer < config.nLayers(); layer++) {
            String block = "blocks." + layer + ".";
            if (!lnFolded) for (String norm : List.of("ln1", "ln2")) norm(names, block + norm);
            if (config.norm().afterOutputs())
                for (String norm : List.of("ln1_post", "ln2_post")) norm(names, block + norm);
            for (String weight : List.of("W_Q", group + "W_K", group + "W_V", "W_O"))
                names.add(block + "attn." + weight);
            for (String bias : List.of("b_Q", group + "b_K", group + "b_V", "b_O")) names.add(block + "attn." + bias);
            if (config.attention().queryKeyNorm())
                for (String norm : List.of("q_norm", "k_norm")) norm(names, block + "attn." + norm);
            if (config.mlp().gated()) names.add(block + "mlp.W_gate");
            for (String weight : List.of("W_in", "b_in", "W_out", "b_out")) names.add(block + "mlp." + weight);
        }
        if (!lnFolded) norm(names, "ln_final");
        names.addAll(List.of("unembed.W_U", "unembed.b_U"));
        return List.copyOf(names);
    }

    private void norm(List<String> names, String norm) {
        names.add(norm + ".w");
        if (!config.isRms()) names.add(norm + ".b");
    }

    /**
     * Returns a weight in TransformerLens's shape. It is a view of the module's memory where that holds it, and must
     * not be written to.
     *
     * @param name one of {@link #names}, or one of keys and values without the leading underscore, for which each query
     *     head has the weight of the head that it shares
     * @param part returns a part of the module by its name, such as {@code blocks_0}
     * @return the weight; belongs to the innermost open scope
     */
    public Tensor get(String name, Function<String, ScriptModule> part) {
        try (var _ = TensorScope.open()) {
            String[] words = name.split("\\.");
            String last = words[words.length - 1];
            Tensor found = switch (words[0]) {
                case "embed" -> embedding(part.apply("embed").parameter("W_E"));
                case "pos_embed" -> part.apply("embed").parameter(last);
                case "ln_final" -> part.apply("unembed").parameter("ln_final_" + last);
                case "unembed" -> ofUnembed(part.apply("unembed"), last);
                default -> ofBlock(part.apply("blocks_" + words[1]), words[2], words.length > 4 ? words[3] : "", last);
            };
            return found.promote();
        }
    }

    private Tensor embedding(Tensor stored) {
        double scale = config.embedding().scale();
        return scale == 1 ? stored : stored.mul(Script.rounded(scale, stored.dtype()));
    }

    private Tensor ofUnembed(ScriptModule unembed, String name) {
        Tensor stored = unembed.parameter(name);
        return name.equals("W_U") ? processed(stored, unembed) : stored;
    }

    /** Returns columns of W_U as processing leaves them. */
    private Tensor processed(Tensor columns, ScriptModule unembed) {
        if (!config.isRms()) return columns;
        Tensor result = columns;
        if (isCentred(unembed))
            result =
                    result.sub(unembed.parameter("W_U_mean").to(columns.dtype()).unsqueeze(1));
        return folded(result, unembed, "ln_final");
    }

    private static boolean isCentred(ScriptModule unembed) {
        return unembed.parameterNames().contains("W_U_mean");
    }

    /**
     * Returns the columns of W_U of some tokens, without making all of W_U.
     *
     * @param tokens int64 [n], on the device of the weights
     * @param part   returns a part of the module by its name
     * @return [d_model, n]; belongs to the innermost open scope
     */
    public Tensor unembedColumns(Tensor tokens, Function<String, ScriptModule> part) {
        try (var _ = TensorScope.open()) {
            ScriptModule unembed = part.apply("unembed");
            Tensor columns = unembed.parameter("W_U").indexSelect(1, tokens);
            return processed(columns, unembed).promote();
        }
    }

    /**
     * Computes directions · W_U, without making W_U where processing applies to it in a run only.
     *
     * @param directions [n, d_model], on the device of the weights
     * @param memory     [n, d_vocab] in the dtype of the directions, which receives the result; null for new memory
     * @param part       returns a part of the module by its name
     * @return the result; new memory belongs to the innermost open scope
     */
    public Tensor toLogits(Tensor directions, @Nullable Tensor memory, Function<String, ScriptModule> part) {
        try (var _ = TensorScope.open()) {
            ScriptModule unembed = part.apply("unembed");
            DType dtype = directions.dtype();
            Tensor read = config.isRms() && lnFolded
                    ? directions.mul(unembed.parameter("ln_final_fold").to(dtype))
                    : directions;
            Tensor weight = unembed.parameter("W_U").to(dtype);
            Tensor logits = memory == null ? read.matmul(weight) : MM.tensor(read, weight, memory);
            if (config.isRms() && isCentred(unembed))
                logits.sub_(read.matmul(unembed.parameter("W_U_mean").to(dtype).unsqueeze(1)));
            return memory == null ? logits.promote() : memory;
        }
    }

    /** Returns a product [in, out] times the factor of the norm before it, if that is folded. */
    private Tensor folded(Tensor product, ScriptModule module, String norm) {
        if (!lnFolded || !config.isRms()) return product;
        Tensor factor = module.parameter(norm + "_fold").unsqueeze(1);
        return product.mul(factor.to(product.dtype()));
    }

    private Tensor ofBlock(ScriptModule block, String part, String norm, String name) {
        if (part.startsWith("ln")) return block.parameter(part + "_" + name);
        if (!norm.isEmpty()) return block.parameter(norm + "_" + name);
        if (part.equals("mlp")) return ofMlp(block, name);
        if (name.equals("b_O")) return block.parameter(name);
        if (name.equals("W_O")) return block.parameter(name).reshape(config.nHeads(), config.dHead(), config.dModel());
        return config.isRms() ? ofHeads(block, name) : ofHeadsTogether(block, name);
    }

    private Tensor ofMlp(ScriptModule block, String name) {
        if (name.equals("b_in") && config.mlp().gated()) {
            Device device = block.parameter("b_out").device();
            return Tensor.zeros(block.parameter("b_out").dtype(), Shape.of(config.dMlp()))
                    .to(device);
        }
        Tensor stored = block.parameter(name);
        return name.equals("W_in") || name.equals("W_gate") ? folded(stored, block, "ln2") : stored;
    }

    private Tensor ofHeadsTogether(ScriptModule block, String name) {
        int heads = config.nHeads();
        int dHead = config.dHead();
        int which = "QKV".indexOf(name.charAt(name.length() - 1));
        return name.startsWith("W")
                ? block.parameter("W_QKV")
                        .reshape(config.dModel(), 3, heads, dHead)
                        .select(1, which)
                        .transpose(0, 1)
                : block.parameter("b_QKV").reshape(3, heads, dHead).select(0, which);
    }

    private Tensor ofHeads(ScriptModule block, String name) {
        boolean shared = name.startsWith("_");
        String own = shared ? name.substring(1) : name;
        boolean query = own.endsWith("Q");
        int heads = query ? config.nHeads() : config.nKeyValueHeads();
        Tensor stored = block.parameter(own);
        Tensor byHead = own.startsWith("b")
                ? stored.reshape(heads, config.dHead())
                : folded(stored, block, "ln1")
                        .reshape(config.dModel(), heads, config.dHead())
                        .transpose(0, 1);
        if (query || shared || heads == config.nHeads()) return byHead;
        long[] sizes = byHead.shape().sizes();
        long[] repeated = new long[sizes.length + 1];
        repeated[0] = heads;
        repeated[1] = config.nHeads() / heads;
        System.arraycopy(sizes, 1, repeated, 2, sizes.length - 1);
        sizes[0] = config.nHeads();
        return byHead.unsqueeze(1).expand(repeated).reshape(sizes);
    }
}
