package io.github.panascope.families.gpt2;

import io.github.panascope.model.TransformerConfig;
import io.github.panascope.torch.ScriptModule;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/**
 * TransformerLens's names and shapes of the weights, and their places in the module. The module holds q, k and v in one
 * matrix, and within each of them the heads side by side.
 */
final class Gpt2Parameters {
    private static final List<String> ATTENTION = List.of("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O");
    private static final List<String> MLP = List.of("W_in", "b_in", "W_out", "b_out");
    private static final List<String> NORM = List.of("w", "b");

    private Gpt2Parameters() {}

    static List<String> names(TransformerConfig config, boolean lnFolded) {
        List<String> names = new ArrayList<>(List.of("embed.W_E", "pos_embed.W_pos"));
        for (int layer = 0; layer < config.nLayers(); layer++) {
            String block = "blocks." + layer + ".";
            if (!lnFolded) for (String norm : List.of("ln1.", "ln2.")) add(names, block + norm, NORM);
            add(names, block + "attn.", ATTENTION);
            add(names, block + "mlp.", MLP);
        }
        if (!lnFolded) add(names, "ln_final.", NORM);
        names.addAll(List.of("unembed.W_U", "unembed.b_U"));
        return List.copyOf(names);
    }

    private static void add(List<String> names, String part, List<String> weights) {
        for (String weight : weights) names.add(part + weight);
    }

    /**
     * Returns a weight as a view of the module's memory in TransformerLens's shape; belongs to the innermost open
     * scope.
     *
     * @param name one of {@link #names}
     * @param part returns a part of the module by its name, such as {@code blocks_0}
     */
    static Tensor get(String name, TransformerConfig config, Function<String, ScriptModule> part) {
        try (var _ = TensorScope.open()) {
            String[] words = name.split("\\.");
            String last = words[words.length - 1];
            Tensor found = switch (words[0]) {
                case "embed", "pos_embed" -> part.apply("embed").parameter(last);
                case "ln_final" -> part.apply("unembed").parameter("ln_final_" + last);
                case "unembed" -> part.apply("unembed").parameter(last);
                default -> ofBlock(part.apply("blocks_" + words[1]), words[2], last, config);
            };
            return found.promote();
        }
    }

    private static Tensor ofBlock(ScriptModule block, String part, String name, TransformerConfig config) {
        int heads = config.nHeads();
        int dHead = config.dHead();
        int which = "QKV".indexOf(name.charAt(name.length() - 1));
        if (part.startsWith("ln")) return block.parameter(part + "_" + name);
        if (part.equals("mlp") || name.equals("b_O")) return block.parameter(name);
        if (name.equals("W_O")) return block.parameter(name).reshape(heads, dHead, config.dModel());
        return name.startsWith("W")
                ? block.parameter("W_QKV")
                        .reshape(config.dModel(), 3, heads, dHead)
                        .select(1, which)
                        .transpose(0, 1)
                : block.parameter("b_QKV").reshape(3, heads, dHead).select(0, which);
    }
}
