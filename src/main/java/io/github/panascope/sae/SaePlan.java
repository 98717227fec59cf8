package io.github.panascope.sae;

import io.github.panascope.InputException;
import io.github.panascope.hub.SaeRegistry;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * What the registry alone tells about an SAE, before anything is fetched: the files that loading it takes, and, as far
 * as names say it, its hook point and its width.
 *
 * @param files    paths in the repository of the files without which the SAE does not load; empty if it cannot be
 *     loaded
 * @param optional paths of files that are read if the repository has them
 * @param hookName the hook point that the SAE reads; null if only its configuration says it
 * @param dSae     the number of features; 0 if only the configuration or the weights say it
 * @param refusal  the reason for which SAEs of this layout cannot be loaded, one sentence; null if they can
 */
public record SaePlan(
        List<String> files,
        List<String> optional,
        @Nullable String hookName,
        int dSae,
        @Nullable String refusal) {
    private static final Pattern LABEL = Pattern.compile("(?i)(\\d{1,9})([km]?)");
    /** The labels that stand for a power of two and are not that number over 1024. */
    private static final Map<String, Integer> POWERS =
            Map.of("65k", 1 << 16, "131k", 1 << 17, "262k", 1 << 18, "524k", 1 << 19);

    /** The places of a label or a number in paths and in ids of Neuronpedia. */
    private static final List<Pattern> WIDTHS = List.of(
            Pattern.compile("width_(\\d+[km])"),
            Pattern.compile("[-_](\\d+k)(?=[-_ ]|$)"),
            Pattern.compile("_ds(\\d+)_"),
            Pattern.compile("_(\\d{3,7})(?=[_: ]|$)(?!.*step)"));

    private static final Pattern POWER = Pattern.compile("2pow(\\d{1,2})");
    private static final Pattern HOOK = Pattern.compile(
            "blocks\\.(\\d+)\\.(?:attn\\.)?hook_(resid_pre|resid_mid|resid_post|mlp_out|attn_out|z)(?![a-z])");

    /** Copies the lists. */
    public SaePlan {
        files = List.copyOf(files);
        optional = List.copyOf(optional);
    }

    /**
     * Returns the plan of an SAE of the registry.
     *
     * @param sae the entry of the registry
     * @return the plan; where the layout is not supported, or names are not as it has them, one without files and with
     *     a refusal
     */
    public static SaePlan of(SaeRegistry.Entry sae) {
        String refusal;
        try {
            SaeLayout layout = SaeLayout.of(sae.loader()).orElse(null);
            if (layout != null) return layout.plan(sae);
            refusal = SaeLayout.refusal(sae);
        } catch (InputException e) { // names of a registry of one's own need not be those that the layout has
            refusal = e.getMessage();
        }
        return new SaePlan(List.of(), List.of(), hookIn(sae), widthIn(sae), refusal);
    }

    /**
     * Returns the plan of an SAE in a folder of a repository, in SAELens's own layout.
     *
     * @param folder path of the folder in the repository
     * @return a plan that knows the files only
     */
    public static SaePlan ofFolder(String folder) {
        return new SaePlan(
                List.of(folder + "/cfg.json", folder + "/sae_weights.safetensors"),
                List.of(folder + "/sparsity.safetensors"),
                null,
                0,
                null);
    }

    /** Returns a plan with the hook point and the width that names tell. */
    static SaePlan ofNames(SaeRegistry.Entry sae, List<String> files, List<String> optional) {
        return new SaePlan(files, optional, hookIn(sae), widthIn(sae), null);
    }

    /** Returns this plan with a hook point. */
    SaePlan withHook(String other) {
        return new SaePlan(files, optional, other, dSae, refusal);
    }

    /** Returns this plan with a number of features. */
    SaePlan withWidth(int other) {
        return new SaePlan(files, optional, hookName, other, refusal);
    }

    /** {@return the paths of all files, first those that the SAE does not load without} */
    public List<String> allFiles() {
        return Stream.concat(files.stream(), optional.stream()).toList();
    }

    /**
     * Returns the number of features that the label of a width stands for.
     *
     * @param label a number, or one with k or m: {@code 16k} is 16,384, {@code 65k} 65,536 and {@code 1m} 1,048,576
     * @return the number; empty if the text is no such label
     */
    public static Optional<Integer> width(String label) {
        Integer power = POWERS.get(label.toLowerCase(Locale.ROOT));
        if (power != null) return Optional.of(power);
        Matcher found = LABEL.matcher(label);
        if (!found.matches()) return Optional.empty();
        long number = Long.parseLong(found.group(1));
        long width = switch (found.group(2)) {
            case "k", "K" -> number << 10;
            case "m", "M" -> number << 20;
            default -> number;
        };
        return width > 0 && width <= Integer.MAX_VALUE ? Optional.of((int) width) : Optional.empty();
    }

    /** Returns the width that the path, the repository or the id on Neuronpedia tells, or 0. */
    private static int widthIn(SaeRegistry.Entry sae) {
        Matcher power = POWER.matcher(sae.path());
        if (power.find()) return 1 << Math.min(30, Integer.parseInt(power.group(1)));
        String names = sae.path() + " " + sae.neuronpediaId() + " " + sae.repo();
        for (Pattern place : WIDTHS) {
            Matcher found = place.matcher(names);
            if (found.find()) return width(found.group(1)).orElse(0);
        }
        return 0;
    }

    /** Returns the hook point that the id tells, or null. */
    private static @Nullable String hookIn(SaeRegistry.Entry sae) {
        Matcher found = HOOK.matcher(sae.id());
        if (!found.find()) return null;
        String part = found.group(2).equals("z") ? "attn.hook_z" : "hook_" + found.group(2);
        return "blocks." + found.group(1) + "." + part;
    }
}
