package io.github.panascope.lens;

import io.github.panascope.model.TransformerConfig;
import io.github.panascope.torch.Shape;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The names of hook points, as TransformerLens writes them. */
public final class HookNames {
    private static final List<String> BLOCK = List.of(
            "hook_resid_pre",
            "ln1.hook_scale",
            "ln1.hook_normalized",
            "attn.hook_q",
            "attn.hook_k",
            "attn.hook_v",
            "attn.hook_attn_scores",
            "attn.hook_pattern",
            "attn.hook_z",
            "hook_attn_out",
            "hook_resid_mid",
            "ln2.hook_scale",
            "ln2.hook_normalized",
            "mlp.hook_pre",
            "mlp.hook_post",
            "hook_mlp_out",
            "hook_resid_post");
    private static final List<String> ON_REQUEST = List.of(
            "hook_attn_in",
            "hook_q_input",
            "hook_k_input",
            "hook_v_input",
            "attn.hook_result",
            "hook_mlp_in",
            "mlp.hook_in");
    private static final Pattern SHORT = Pattern.compile("([a-z_]+)(\\d{1,6})([a-z]?.*)");
    private static final Map<String, String> ALIASES = Map.of(
            "attn",
            "pattern",
            "attn_logits",
            "attn_scores",
            "key",
            "k",
            "query",
            "q",
            "value",
            "v",
            "mlp_pre",
            "pre",
            "mlp_mid",
            "mid",
            "mlp_post",
            "post");
    private static final Pattern LAYER = Pattern.compile("blocks\\.(\\d{1,6})\\..+");

    private HookNames() {}

    /** All hook points of a model, in the order in which a run reaches them: 17 a layer and 4 more. */
    public static List<String> all(TransformerConfig config) {
        List<String> names = new ArrayList<>(List.of("hook_embed", "hook_pos_embed"));
        for (int layer = 0; layer < config.nLayers(); layer++)
            for (String point : BLOCK) names.add("blocks." + layer + "." + point);
        names.addAll(List.of("ln_final.hook_scale", "ln_final.hook_normalized"));
        return List.copyOf(names);
    }

    /**
     * The hook points that a run reaches only if they are asked for by name, since they cost time and memory: inputs of
     * the heads ({@code hook_q_input}, {@code hook_k_input}, {@code hook_v_input}, and before these
     * {@code hook_attn_in}) and each head's own result, all [batch, pos, head, d_model]; the MLP's copy of
     * {@code hook_resid_mid}, {@code hook_mlp_in}; {@code mlp.hook_in}, what it reads after LayerNorm; and
     * {@code hook_tokens}, the ids. TransformerLens has switches for them ({@code use_attn_result} and others).
     */
    public static List<String> onRequest(TransformerConfig config) {
        List<String> names = new ArrayList<>(List.of("hook_tokens"));
        for (int layer = 0; layer < config.nLayers(); layer++)
            for (String point : ON_REQUEST) names.add("blocks." + layer + "." + point);
        return List.copyOf(names);
    }

    /**
     * The whole name of a short one, as TransformerLens's {@code get_act_name} makes it: {@code k6a} and {@code k6} are
     * {@code blocks.6.attn.hook_k}, {@code pre5} is {@code blocks.5.mlp.hook_pre}, {@code scale4ln1} is
     * {@code blocks.4.ln1.hook_scale}, {@code embed} is {@code hook_embed}. A whole name stays as it is.
     */
    public static String actName(String name) {
        if (name.contains(".") || name.startsWith("hook_")) return name;
        Matcher matcher = SHORT.matcher(name);
        return matcher.matches()
                ? actName(matcher.group(1), Integer.parseInt(matcher.group(2)), matcher.group(3))
                : point(name, "", "");
    }

    /** The same for a name without its layer: {@code actName("resid_pre", 3)}. */
    public static String actName(String name, int layer) {
        return actName(name, layer, "");
    }

    /** The same with the part of the block that it belongs to: {@code actName("normalized", 27, "ln2")}. */
    public static String actName(String name, int layer, String layerType) {
        return point(name, "blocks." + layer + ".", layerType);
    }

    private static String point(String given, String block, String layerType) {
        String name = ALIASES.getOrDefault(given, given);
        String part =
                List.of("k", "v", "q", "z", "result", "pattern", "attn_scores").contains(name)
                        ? "attn"
                        : List.of("pre", "post", "mid").contains(name)
                                ? "mlp"
                                : switch (layerType) {
                                    case "a", "attention" -> "attn";
                                    case "m" -> "mlp";
                                    case "b", "block", "blocks" -> "";
                                    default -> layerType;
                                };
        String point = (part.isEmpty() ? "" : part + ".") + "hook_" + name;
        return block.isEmpty() && (name.equals("scale") || name.equals("normalized"))
                ? "ln_final." + point
                : block + point;
    }

    /** The block that a hook point belongs to; empty for those before the first block and after the last. */
    public static OptionalInt layer(String name) {
        Matcher matcher = LAYER.matcher(name);
        return matcher.matches() ? OptionalInt.of(Integer.parseInt(matcher.group(1))) : OptionalInt.empty();
    }

    /**
     * Whether all that follows comes from what passes this hook point: from the residual stream, and from what is
     * unembedded.
     */
    public static boolean isBottleneck(String name) {
        return name.matches("blocks\\.\\d+\\.hook_resid_(pre|mid|post)|ln_final\\.hook_normalized");
    }

    /**
     * The shape of the activation at a hook point, for tokens [batch, pos]; the points of LayerNorms' scales end in 1.
     */
    public static Shape shape(String name, TransformerConfig config, long batch, long positions) {
        String point = name.substring(name.lastIndexOf('.') + 1);
        return switch (point) {
            case "hook_tokens" -> Shape.of(batch, positions);
            case "hook_scale" -> Shape.of(batch, positions, 1);
            case "hook_attn_scores", "hook_pattern" -> Shape.of(batch, config.nHeads(), positions, positions);
            case "hook_q", "hook_k", "hook_v", "hook_z" -> Shape.of(batch, positions, config.nHeads(), config.dHead());
            case "hook_result", "hook_q_input", "hook_k_input", "hook_v_input", "hook_attn_in" ->
                Shape.of(batch, positions, config.nHeads(), config.dModel());
            case "hook_pre", "hook_post" -> Shape.of(batch, positions, config.dMlp());
            default -> Shape.of(batch, positions, config.dModel());
        };
    }

    /**
     * The size of the last dimension at a hook point, with the heads of q, k, v and z counted as one; -1 where it is
     * positions or 1.
     */
    public static int width(String name, TransformerConfig config) {
        if (name.equals("hook_tokens")
                || name.endsWith("hook_scale")
                || name.endsWith("hook_attn_scores")
                || name.endsWith("hook_pattern")) return -1;
        return name.contains(".mlp.hook_p") ? config.dMlp() : config.dModel();
    }
}
