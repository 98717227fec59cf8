package io.github.panascope.families;

import io.github.panascope.model.TransformerConfig;
import io.github.panascope.model.TransformerConfig.Activation;
import io.github.panascope.model.TransformerConfig.Rotary;
import io.github.panascope.model.TransformerConfig.RotaryScaling;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.ScriptModule;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * Construction of a model as TorchScript from the sources among the resources, of which the model's description chooses
 * the lines between {@code #if}, {@code #else} and {@code #endif}. Only this class and {@link ScriptModule} depend on
 * TorchScript, so that another executor could replace them.
 */
public final class Script {
    /**
     * The number of the dtype in libtorch: TorchScript represents a dtype as a number, and the compiler knows no names
     * here.
     */
    private static final String BFLOAT16 = "15";

    private final TransformerConfig config;
    private final boolean lnFolded;
    private final ModelWeights weights;
    private final TensorScope scope;

    private Script(TransformerConfig config, ModelWeights weights, TensorScope scope) {
        this.config = config;
        this.lnFolded = weights.lnFolded();
        this.weights = weights;
        this.scope = scope;
    }

    /**
     * Builds a model as TorchScript with the children {@code embed}, {@code blocks_0} and so on, and {@code unembed}.
     *
     * @param config  description of the model
     * @param weights the weights, which are read once, block by block
     * @param scope   owns the module and its weights
     * @return the module
     */
    public static ScriptModule build(TransformerConfig config, ModelWeights weights, TensorScope scope) {
        return new Script(config, weights, scope).build();
    }

    private ScriptModule build() {
        ScriptModule root = ScriptModule.create("HookedTransformer", scope);
        StringBuilder forward = new StringBuilder(
                "def forward(self, tokens: Tensor) -> Tensor:\n    resid = self.embed.forward(tokens)\n");
        Map<String, Tensor> embed = weights.embed(scope);
        root.child("embed", module("Embed", embed, embed(embed.get("W_E").dtype())));
        // One compiled block serves all blocks of one kind.
        Map<String, ScriptModule> compiled = new HashMap<>();
        for (int layer = 0; layer < config.nLayers(); layer++) {
            Map<String, Tensor> parameters = weights.block(layer, scope);
            String source = block(layer);
            String name = "blocks." + layer + ".";
            ScriptModule same = compiled.get(source);
            ScriptModule block =
                    (same == null ? ScriptModule.create("Block", scope) : same.like(scope)).text("name", name);
            parameters.forEach(block::parameter);
            if (same == null) compiled.put(source, block.define(source));
            root.child("blocks_" + layer, block);
            forward.append("    resid = self.blocks_").append(layer).append(".forward(resid)\n");
        }
        Map<String, Tensor> unembed = weights.unembed(scope);
        root.child("unembed", module("Unembed", unembed, unembed(unembed.containsKey("W_U_mean"))));
        return root.define(forward + "    return self.unembed.forward(resid)\n");
    }

    private ScriptModule module(String name, Map<String, Tensor> parameters, String source) {
        ScriptModule module = ScriptModule.create(name, scope).text("name", "");
        parameters.forEach(module::parameter);
        return module.define(source);
    }

    // ------------------------------------------------------------------------------------------------- the sources

    private String embed(DType dtype) {
        double scale = config.embedding().scale();
        String factor = scale == 1 ? "" : " * " + rounded(scale, dtype);
        return filled(source("embed"), flags(), Map.of("$EMBED_SCALE", factor));
    }

    private String unembed(boolean centred) {
        Set<String> flags = flags();
        if (centred) flags.add("CENTRED");
        if (config.embedding().logitCap() > 0) flags.add("LOGIT_CAP");
        String source = source("unembed") + "\n" + norm("ln_final", "W_U");
        Map<String, String> values = common();
        values.put("$LOGIT_CAP", Double.toString(config.embedding().logitCap()));
        return filled(source, flags, values);
    }

    private String block(int layer) {
        Set<String> flags = flags();
        int window = config.attention().window(layer);
        if (window > 0) flags.add("WINDOW");
        StringBuilder source = new StringBuilder(source("block"));
        String reader = config.isRms() ? "W_Q" : "W_QKV";
        source.append('\n').append(norm("ln1", reader)).append('\n').append(norm("ln2", "W_in"));
        if (config.norm().afterOutputs()) {
            source.append('\n').append(norm("ln1_post", "W_O"));
            source.append('\n').append(norm("ln2_post", "W_O"));
        }
        if (config.attention().queryKeyNorm()) {
            for (String norm : new String[] {"q_norm", "k_norm"})
                source.append('\n').append(source("head_norm").replace("$NORM", norm));
        }
        Map<String, String> values = common();
        if (config.rotary() != null) {
            source.append('\n').append(source("rotary"));
            values.putAll(rotary(config.rotary(), window > 0, flags));
        }
        double scale = config.attention().scale() * (config.attention().inverseLayerScale() ? layer + 1 : 1);
        Activation activation = config.mlp().activation();
        values.put("$N_HEADS", Integer.toString(config.nHeads()));
        values.put("$N_KEY_VALUE_HEADS", Integer.toString(config.nKeyValueHeads()));
        values.put("$D_HEAD", Integer.toString(config.dHead()));
        values.put("$ATTN_SCALE", Double.toString(scale));
        values.put("$SCORE_CAP", Double.toString(config.attention().softCap()));
        values.put("$WINDOW", Integer.toString(window));
        values.put("$ACTIVATION", activation == Activation.SILU ? "torch.silu" : "torch.gelu");
        values.put("$APPROXIMATE", activation == Activation.GELU_TANH ? ", approximate=\"tanh\"" : "");
        values.put("$LN1_AFFINE", affine("ln1"));
        values.put("$LN1_WEIGHT", weight("ln1"));
        return filled(source.toString(), flags, values);
    }

    private Map<String, String> common() {
        Map<String, String> values = new LinkedHashMap<>();
        values.put("$EPS", Double.toString(config.eps()));
        values.put("$BFLOAT16", BFLOAT16);
        values.put("$LN_FOLDED", lnFolded ? "True" : "False");
        return values;
    }

    private Set<String> flags() {
        Set<String> flags = new TreeSet<>();
        if (!config.isRms()) flags.addAll(Set.of("LAYER_NORM", "FUSED"));
        if (config.norm().afterOutputs()) flags.add("NORM_AFTER");
        else flags.add("PLAIN_OUTPUTS");
        if (config.nKeyValueHeads() != config.nHeads()) flags.add("GROUPED");
        if (config.attention().queryKeyNorm()) flags.add("QUERY_KEY_NORM");
        if (config.attention().softCap() > 0) flags.add("SOFT_CAP");
        if (config.rotary() != null) flags.add("ROTARY");
        if (config.parallel()) flags.add("PARALLEL");
        if (config.mlp().gated()) flags.add("GATED");
        if (config.mlp().activation() == Activation.GELU_TANH) flags.add("GELU_TANH");
        return flags;
    }

    private Map<String, String> rotary(Rotary rotary, boolean windowed, Set<String> flags) {
        boolean local = windowed && rotary.localBase() > 0;
        if (rotary.dims() < config.dHead()) flags.add("PARTLY_ROTATED");
        if (!local && rotary.scaling() == RotaryScaling.LLAMA3) flags.add("LLAMA3");
        boolean linear = !local && rotary.scaling() == RotaryScaling.LINEAR;
        return Map.of(
                "$ROTATED", Integer.toString(rotary.dims()),
                "$BASE", Double.toString(local ? rotary.localBase() : rotary.base()),
                "$LINEAR", linear ? " * " + rotary.factor() : "",
                "$FACTOR", Double.toString(rotary.factor()),
                "$LOW_FREQ", Double.toString(rotary.lowFreqFactor()),
                "$HIGH_FREQ", Double.toString(rotary.highFreqFactor()),
                "$ORIGINAL_CONTEXT", Double.toString(rotary.originalContext()));
    }

    /** Returns the source of a norm whose result a weight reads. */
    private String norm(String norm, String reader) {
        return source("norm")
                .replace("$NORM", norm)
                .replace("$READER", reader)
                .replace("$AFFINE", affine(norm))
                .replace("$WEIGHT", norm.endsWith("_post") ? norm + "_w" : weight(norm));
    }

    private String affine(String norm) {
        return lnFolded ? "" : " * self." + norm + "_w + self." + norm + "_b";
    }

    private String weight(String norm) {
        return norm + (lnFolded ? "_fold" : "_w");
    }

    /**
     * Returns a number as a literal after it was rounded to a dtype.
     *
     * @param value the number
     * @param dtype float32 or bfloat16
     * @return the rounded number
     */
    static double rounded(double value, DType dtype) {
        float single = (float) value;
        if (dtype != DType.BFLOAT16) return single;
        int bits = Float.floatToRawIntBits(single);
        return Float.intBitsToFloat((bits + 0x7fff + (bits >>> 16 & 1)) & 0xffff0000);
    }

    /** Replaces the names that begin with $, the longest first, and leaves out the lines that do not apply. */
    private static String filled(String source, Set<String> flags, Map<String, String> values) {
        String[] text = {chosen(source, flags)};
        values.keySet().stream()
                .sorted((one, other) -> other.length() - one.length())
                .forEach(name -> text[0] = text[0].replace(name, values.get(name)));
        return text[0];
    }

    /** Leaves out the lines between {@code #if}, {@code #else} and {@code #endif} whose condition does not hold. */
    private static String chosen(String source, Set<String> flags) {
        StringBuilder result = new StringBuilder();
        Deque<Boolean> conditions = new ArrayDeque<>();
        for (String line : source.lines().toList()) {
            String word = line.strip();
            if (word.startsWith("#if not ")) conditions.push(!flags.contains(word.substring(8)));
            else if (word.startsWith("#if ")) conditions.push(flags.contains(word.substring(4)));
            else if (word.equals("#else")) conditions.push(!conditions.pop());
            else if (word.equals("#endif")) conditions.pop();
            else if (!conditions.contains(false)) result.append(line).append('\n');
        }
        return result.toString();
    }

    private static String source(String name) {
        try (InputStream in = Script.class.getResourceAsStream(name + ".py")) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
