package io.github.panascope.dashboard;

import io.github.panascope.Panascope;
import io.github.panascope.dashboard.DashboardConfig.CorrelationScope;
import io.github.panascope.sae.SaeConfig;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/**
 * What dashboards rest on, in words: the facts above the features of a {@link DashboardPage} and in the metadata of a
 * {@link FeatureTable}, as the command {@code dashboard} writes them.
 *
 * @param model     the name of the model
 * @param saeName   the name of the SAE
 * @param sae       the configuration of the SAE
 * @param text      a description of the text, that of the {@link StoreIdentity}
 * @param folded    whether features are shown after {@link io.github.panascope.sae.Sae#foldWDecNorm}
 * @param dashboards the contents of the dashboards
 */
public record DashboardFacts(
        String model, String saeName, SaeConfig sae, String text, boolean folded, DashboardConfig dashboards) {
    /** {@return the title of the page} */
    public String title() {
        return "Features of " + saeName;
    }

    /**
     * Returns the facts.
     *
     * @param rows     the number of rows of text
     * @param context  the number of tokens in a row
     * @param excluded the number of positions at which features count as zero, {@link Dashboards#excluded}
     * @return the facts by name, in the order in which they are shown; a new map
     */
    public Map<String, String> of(long rows, int context, long excluded) {
        Map<String, String> facts = new LinkedHashMap<>();
        facts.put("Model", model);
        facts.put("SAE", saeName + ", " + sae.architecture() + ", " + sae.dSae() + " features at " + sae.hookName());
        facts.put("Text", text);
        facts.put("Rows", rows + " of " + context + " tokens");
        facts.put("Excluded", excluded(excluded));
        facts.put(
                "Activations",
                folded ? "after folding decoder norms into the encoder (fold_W_dec_norm)" : "as the SAE gives them");
        facts.put(
                "Correlated features",
                dashboards.correlatedFeatures() == CorrelationScope.ALL
                        ? "among all features of the SAE"
                        : "among the features shown");
        facts.put(
                "Ablation",
                dashboards.performAblationExperiments()
                        ? "loss effects are exact, by running the model again without the feature; blue helps, red"
                                + " hurts"
                        : "not asked for (--ablation)");
        facts.put("Made by", "panascope " + Panascope.version());
        return facts;
    }

    private String excluded(long positions) {
        List<String> rules = new ArrayList<>();
        if (!dashboards.ignoreTokens().isEmpty()) rules.add("tokens " + new TreeSet<>(dashboards.ignoreTokens()));
        if (!dashboards.ignorePositions().isEmpty())
            rules.add("positions " + new TreeSet<>(dashboards.ignorePositions()));
        if (dashboards.ignoreHighActivationNormMultiple() != Double.POSITIVE_INFINITY)
            rules.add("norms above " + dashboards.ignoreHighActivationNormMultiple() + " times the row's median");
        return rules.isEmpty()
                ? "no position; the first token of each row counts too (--ignore-bos)"
                : positions + " positions: " + String.join(", ", rules) + "; correlations are over all positions";
    }
}
