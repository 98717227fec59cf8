package io.github.panascope.families.gpt2;

import io.github.panascope.families.ModelWeights;
import io.github.panascope.model.TransformerConfig;
import io.github.panascope.torch.ScriptModule;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/**
 * Construction of GPT-2 as TorchScript from the three sources among the resources. Only this class and
 * {@link ScriptModule} depend on TorchScript, so that another executor could replace them.
 */
final class Gpt2Script {
    /**
     * The number of the dtype in libtorch: TorchScript represents a dtype as a number, and the compiler knows no names
     * here.
     */
    private static final String BFLOAT16 = "15";

    private Gpt2Script() {}

    static ScriptModule build(TransformerConfig config, ModelWeights weights, TensorScope scope) {
        boolean lnFolded = weights.lnFolded();
        ScriptModule root = ScriptModule.create("HookedGpt2", scope);
        StringBuilder forward = new StringBuilder(
                "def forward(self, tokens: Tensor) -> Tensor:\n    resid = self.embed.forward(tokens)\n");
        root.child("embed", module("Embed", weights.embed(scope), source("embed"), scope));
        // One compiled block serves all blocks, unless the scale of attention differs.
        Map<String, ScriptModule> compiled = new HashMap<>();
        for (int layer = 0; layer < config.nLayers(); layer++) {
            Map<String, Tensor> parameters = weights.block(layer, scope);
            String source = block(config, lnFolded, layer);
            String name = "blocks." + layer + ".";
            ScriptModule same = compiled.get(source);
            ScriptModule block =
                    (same == null ? ScriptModule.create("Block", scope) : same.like(scope)).text("name", name);
            parameters.forEach(block::parameter);
            if (same == null) compiled.put(source, block.define(source));
            root.child("blocks_" + layer, block);
            forward.append("    resid = self.blocks_").append(layer).append(".forward(resid)\n");
        }
        String unembed = source("unembed")
                .replace("$EPS", Double.toString(config.eps()))
                .replace("$BFLOAT16", BFLOAT16)
                .replace("$LN_FOLDED", lnFolded ? "True" : "False")
                .replace("$LN_FINAL_AFFINE", lnFolded ? "" : " * self.ln_final_w + self.ln_final_b");
        root.child("unembed", module("Unembed", weights.unembed(scope), unembed, scope));
        return root.define(forward + "    return self.unembed.forward(resid)\n");
    }

    private static String block(TransformerConfig config, boolean lnFolded, int layer) {
        double scale = Math.sqrt(config.dHead()) * (config.inverseLayerAttnScale() ? layer + 1 : 1);
        return source("block")
                .replace("$EPS", Double.toString(config.eps()))
                .replace("$N_HEADS", Integer.toString(config.nHeads()))
                .replace("$D_HEAD", Integer.toString(config.dHead()))
                .replace("$ATTN_SCALE", Double.toString(scale))
                .replace("$BFLOAT16", BFLOAT16)
                .replace("$LN_FOLDED", lnFolded ? "True" : "False")
                .replace("$LN1_AFFINE", lnFolded ? "" : " * self.ln1_w + self.ln1_b")
                .replace("$LN2_AFFINE", lnFolded ? "" : " * self.ln2_w + self.ln2_b");
    }

    private static ScriptModule module(String name, Map<String, Tensor> parameters, String source, TensorScope scope) {
        ScriptModule module = ScriptModule.create(name, scope);
        parameters.forEach(module::parameter);
        return module.define(source);
    }

    private static String source(String name) {
        try (InputStream in = Gpt2Script.class.getResourceAsStream(name + ".py")) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
