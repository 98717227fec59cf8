package io.github.panascope.model;

import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Short names of hook points, as TransformerLens's {@code get_act_name} takes them. */
public final class ActName {
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

    private ActName() {}

    /**
     * The whole name of a short one, as TransformerLens's {@code get_act_name} makes it: {@code k6a} and {@code k6} are
     * {@code blocks.6.attn.hook_k}, {@code pre5} is {@code blocks.5.mlp.hook_pre}, {@code scale4ln1} is
     * {@code blocks.4.ln1.hook_scale}, {@code embed} is {@code hook_embed}. A whole name stays as it is.
     */
    public static String of(String name) {
        if (name.contains(".") || name.startsWith("hook_")) return name;
        Matcher matcher = SHORT.matcher(name);
        return matcher.matches()
                ? of(matcher.group(1), Integer.parseInt(matcher.group(2)), matcher.group(3))
                : point(name, "", "");
    }

    /** The same for a name without its layer: {@code ActName.of("resid_pre", 3)}. */
    public static String of(String name, int layer) {
        return of(name, layer, "");
    }

    /** The same with the part of the block that it belongs to: {@code ActName.of("normalized", 27, "ln2")}. */
    public static String of(String name, int layer, String layerType) {
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
}
