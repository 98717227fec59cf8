package io.github.panascope.lens;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The names of hook points, as TransformerLens writes them. */
public final class HookNames {
    private static final List<String> BLOCK = List.of("hook_resid_pre", "ln1.hook_scale", "ln1.hook_normalized", "attn.hook_q", "attn.hook_k",
            "attn.hook_v", "attn.hook_attn_scores", "attn.hook_pattern", "attn.hook_z", "hook_attn_out", "hook_resid_mid", "ln2.hook_scale",
            "ln2.hook_normalized", "mlp.hook_pre", "mlp.hook_post", "hook_mlp_out", "hook_resid_post");
    private static final Pattern LAYER = Pattern.compile("blocks\\.(\\d{1,6})\\..+");

    private HookNames() {}

    /** All hook points of a model, in the order in which a run reaches them: 17 a layer and 4 more. */
    public static List<String> all(TransformerConfig config) {
        List<String> names = new ArrayList<>(List.of("hook_embed", "hook_pos_embed"));
        for (int layer = 0; layer < config.nLayers(); layer++) for (String point : BLOCK) names.add("blocks." + layer + "." + point);
        names.addAll(List.of("ln_final.hook_scale", "ln_final.hook_normalized"));
        return List.copyOf(names);
    }

    /** The block that a hook point belongs to; empty for those before the first block and after the last. */
    public static OptionalInt layer(String name) {
        Matcher matcher = LAYER.matcher(name);
        return matcher.matches() ? OptionalInt.of(Integer.parseInt(matcher.group(1))) : OptionalInt.empty();
    }

    /**
     * The hook point at which an activation can be read that TransformerLens or SAELens have under another name too: the input of the MLP,
     * {@code mlp.hook_in}, is {@code ln2.hook_normalized}, and {@code hook_mlp_in}, before its LayerNorm, is {@code hook_resid_mid}.
     */
    public static String reading(String name) {
        if (name.endsWith(".mlp.hook_in")) return name.substring(0, name.length() - "mlp.hook_in".length()) + "ln2.hook_normalized";
        if (name.endsWith(".hook_mlp_in")) return name.substring(0, name.length() - "hook_mlp_in".length()) + "hook_resid_mid";
        return name;
    }

    /** The hook point at which an activation can be replaced that has another name too: {@code mlp.hook_in} again, but not the MLP's copy of {@code hook_resid_mid}. */
    public static String writing(String name) {
        return name.endsWith(".mlp.hook_in") ? reading(name) : name;
    }

    /** Whether all that follows comes from what passes this hook point: from the residual stream, and from what is unembedded. */
    public static boolean isBottleneck(String name) {
        return name.matches("blocks\\.\\d+\\.hook_resid_(pre|mid|post)|ln_final\\.hook_normalized");
    }

    /** The size of the last dimension at a hook point, with the heads of q, k, v and z counted as one; -1 where it is positions or 1. */
    public static int width(String name, TransformerConfig config) {
        if (name.endsWith("hook_scale") || name.endsWith("hook_attn_scores") || name.endsWith("hook_pattern")) return -1;
        return name.contains(".mlp.hook_p") ? config.dMlp() : config.dModel();
    }
}
