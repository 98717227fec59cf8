package io.github.panascope.model;

import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Conversion of short names of hook points to full names, as TransformerLens's {@code get_act_name} does it. */
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
     * Returns the full name of a short one: {@code k6a} and {@code k6} are {@code blocks.6.attn.hook_k}, {@code pre5}
     * is {@code blocks.5.mlp.hook_pre}, {@code scale4ln1} is {@code blocks.4.ln1.hook_scale}, {@code embed} is
     * {@code hook_embed}.
     *
     * @param name a short name, or a full name, which is returned unchanged
     * @return the full name; it need not be that of an existing hook point
     */
    public static String of(String name) {
        if (name.contains(".") || name.startsWith("hook_")) return name;
        Matcher matcher = SHORT.matcher(name);
        return matcher.matches()
                ? of(matcher.group(1), Integer.parseInt(matcher.group(2)), matcher.group(3))
                : point(name, "", "");
    }

    /**
     * Returns the full name of a hook point of a block, such as {@code ActName.of("resid_pre", 3)}.
     *
     * @param name  short name without its layer
     * @param layer index of the block, from 0
     * @return the full name, such as {@code blocks.3.hook_resid_pre}
     */
    public static String of(String name, int layer) {
        return of(name, layer, "");
    }

    /**
     * Returns the full name of a hook point of a part of a block, such as {@code ActName.of("normalized", 27, "ln2")}.
     *
     * @param name      short name without its layer
     * @param layer     index of the block, from 0
     * @param layerType the part of the block: a norm such as {@code ln1}, {@code ln2_post} or {@code q_norm}, {@code a}
     *     or {@code attention} for attention, {@code m} for the MLP, {@code b} or an empty string for the block itself;
     *     ignored where the name determines it
     * @return the full name, such as {@code blocks.27.ln2.hook_normalized}
     */
    public static String of(String name, int layer, String layerType) {
        return point(name, "blocks." + layer + ".", layerType);
    }

    private static String point(String given, String block, String layerType) {
        String name = ALIASES.getOrDefault(given, given);
        String part = List.of("k", "v", "q", "z", "rot_k", "rot_q", "result", "pattern", "attn_scores")
                        .contains(name)
                ? "attn"
                : List.of("pre", "post", "mid", "pre_linear").contains(name)
                        ? "mlp"
                        : switch (layerType) {
                            case "a", "attention" -> "attn";
                            case "m" -> "mlp";
                            case "q_norm", "k_norm" -> "attn." + layerType;
                            case "b", "block", "blocks" -> "";
                            default -> layerType;
                        };
        String point = (part.isEmpty() ? "" : part + ".") + "hook_" + name;
        return block.isEmpty() && (name.equals("scale") || name.equals("normalized"))
                ? "ln_final." + point
                : block + point;
    }
}
