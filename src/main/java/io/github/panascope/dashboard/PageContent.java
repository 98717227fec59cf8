package io.github.panascope.dashboard;

import io.github.panascope.dashboard.FeatureDashboard.Ablation;
import io.github.panascope.dashboard.FeatureDashboard.Entry;
import io.github.panascope.dashboard.FeatureDashboard.Sequence;
import io.github.panascope.dashboard.FeatureDashboard.SequenceGroup;
import io.github.panascope.tokens.Tokenizer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;

/**
 * The content that {@code dashboard.js} reads, as JSON objects under the names that it uses: features, the list of
 * features, the prompt, and the texts of all tokens that occur. Numbers are rounded to the shown decimals. Several
 * threads may request features at once.
 */
final class PageContent {
    /** The number of a feature's strongest and promoted tokens that the list shows and searches. */
    private static final int SEARCHED_TOKENS = 3;

    private final Tokenizer tokenizer;
    private final Map<Integer, Object> vocabulary = new ConcurrentHashMap<>();

    PageContent(Tokenizer tokenizer) {
        this.tokenizer = tokenizer;
    }

    /** {@return the texts of the tokens that occur in all content made so far, by id} */
    Map<Integer, Object> vocabulary() {
        return new TreeMap<>(vocabulary);
    }

    /** {@return the entry of a feature in the list of features} */
    Map<String, Object> entry(FeatureDashboard dashboard) {
        int[] strongest = first(dashboard.strongestTokenIds());
        int[] promoted = first(
                dashboard.logitsTable() == null
                        ? new int[0]
                        : dashboard.logitsTable().topTokenIds());
        know(strongest);
        know(promoted);
        return object(
                "feature", dashboard.feature(),
                "density", dashboard.statistics().density(),
                "max", dashboard.statistics().max(),
                "strongest", strongest,
                "promoted", promoted);
    }

    private static int[] first(int[] tokens) {
        return Arrays.copyOf(tokens, Math.min(SEARCHED_TOKENS, tokens.length));
    }

    /** {@return all content that is shown of a feature} */
    Map<String, Object> feature(FeatureDashboard dashboard) {
        FeatureDashboard.Statistics s = dashboard.statistics();
        Map<String, Object> content = object(
                "feature", dashboard.feature(),
                "statistics",
                        object(
                                "positions", s.positions(),
                                "excluded", s.excluded(),
                                "active", s.active(),
                                "max", (double) s.max(),
                                "mean", s.mean(),
                                "meanActive", s.meanActive(),
                                "std", s.std(),
                                "skew", s.skew(),
                                "kurtosis", s.kurtosis()),
                "tables",
                        object(
                                "neuronAlignment",
                                entries(dashboard.tables().neuronAlignment(), "value", "share"),
                                "correlatedNeurons",
                                entries(dashboard.tables().correlatedNeurons(), "pearson", "cosine"),
                                "correlatedFeatures",
                                entries(dashboard.tables().correlatedFeatures(), "pearson", "cosine")),
                "activations", histogram(dashboard.activations()));
        if (dashboard.logitsTable() != null) {
            FeatureDashboard.LogitsTable table = dashboard.logitsTable();
            content.put("logits", histogram(dashboard.logits()));
            content.put(
                    "logitsTable",
                    object(
                            "top", logits(table.topTokenIds(), table.topLogits()),
                            "bottom", logits(table.bottomTokenIds(), table.bottomLogits())));
        }
        content.put("groups", dashboard.groups().stream().map(this::group).toList());
        return content;
    }

    private static List<Map<String, Object>> entries(List<Entry> entries, String value, String second) {
        return entries.stream()
                .map(entry -> object(
                        "index",
                        entry.index(),
                        value,
                        Histogram.rounded(entry.value(), 4),
                        second,
                        Histogram.rounded(entry.second(), 4)))
                .toList();
    }

    private static Map<String, Object> histogram(Histogram histogram) {
        return object("heights", histogram.heights(), "values", histogram.values(), "ticks", histogram.ticks());
    }

    private Map<String, Object> logits(int[] tokens, float[] logits) {
        know(tokens);
        return object("tokens", tokens, "logits", rounded(logits, 4));
    }

    private Map<String, Object> group(SequenceGroup group) {
        return object(
                "title", String.join("\n", group.title()),
                "sequences", group.sequences().stream().map(this::sequence).toList());
    }

    private Map<String, Object> sequence(Sequence sequence) {
        know(sequence.tokenIds());
        Map<String, Object> content = object(
                "row", sequence.row(),
                "position", sequence.position(),
                "first", sequence.first(),
                "tokens", sequence.tokenIds(),
                "activations", rounded(sequence.activations(), 4));
        if (sequence.tokenLogits().length > 0) content.put("logits", rounded(sequence.tokenLogits(), 3));
        Ablation ablation = sequence.ablation();
        if (ablation == null) return content;
        if (ablation.lensLossEffect().length > 0) content.put("lens", rounded(ablation.lensLossEffect(), 4));
        if (ablation.lossEffect().length > 0) {
            content.put("loss", rounded(ablation.lossEffect(), 4));
            content.put("raised", changes(ablation.topIds(), ablation.topValues()));
            content.put("lowered", changes(ablation.bottomIds(), ablation.bottomValues()));
        }
        return content;
    }

    private List<Map<String, Object>> changes(int[][] ids, float[][] values) {
        List<Map<String, Object>> changes = new ArrayList<>();
        for (int i = 0; i < ids.length; i++) {
            know(ids[i]);
            changes.add(object("tokens", ids[i], "values", rounded(values[i], 4)));
        }
        return changes;
    }

    /**
     * {@return a prompt with the strongest features at each of its tokens, for each measure}
     *
     * @param shown the number of features for each token and measure
     */
    Map<String, Object> prompt(PromptDashboard prompt, int shown) {
        Map<String, Object> metrics = new LinkedHashMap<>();
        Map<String, Object> sequences = new LinkedHashMap<>();
        for (PromptDashboard.Metric metric : PromptDashboard.Metric.values()) {
            List<Object> positions = new ArrayList<>();
            for (int position = 0; position < prompt.tokens().length; position++) {
                List<Entry> top = prompt.top(metric, position, shown);
                for (Entry entry : top)
                    sequences.computeIfAbsent(
                            Integer.toString(entry.index()), _ -> sequence(prompt.sequence(entry.index())));
                positions.add(top.stream()
                        .map(entry -> object("feature", entry.index(), "value", Histogram.rounded(entry.value(), 6)))
                        .toList());
            }
            metrics.put(metric.title(), positions);
        }
        know(prompt.tokens());
        return object(
                "tokens",
                prompt.tokens(),
                "active",
                prompt.features().length,
                "metrics",
                metrics,
                "sequences",
                sequences);
    }

    private static double[] rounded(float[] values, int decimals) {
        double[] rounded = new double[values.length];
        for (int i = 0; i < rounded.length; i++) rounded[i] = Histogram.rounded(values[i], decimals);
        return rounded;
    }

    /** Makes a JSON object of alternating names and values, in their order. */
    private static Map<String, Object> object(Object... namesAndValues) {
        Map<String, Object> object = LinkedHashMap.newLinkedHashMap(namesAndValues.length / 2 + 4);
        for (int i = 0; i < namesAndValues.length; i += 2)
            object.put((String) namesAndValues[i], namesAndValues[i + 1]);
        return object;
    }

    /**
     * Adds tokens to the vocabulary, with their text. A token that is not whole UTF-8 characters gets its bytes in
     * hexadecimal, because the script joins the bytes of neighbouring tokens.
     */
    private void know(int[] tokens) {
        for (int token : tokens) {
            if (vocabulary.containsKey(token)) continue;
            vocabulary.computeIfAbsent(token, id -> {
                byte[] bytes = TokenTexts.bytes(tokenizer, id);
                String text = new String(bytes, StandardCharsets.UTF_8);
                return Arrays.equals(bytes, text.getBytes(StandardCharsets.UTF_8))
                        ? text
                        : List.of(HexFormat.of().formatHex(bytes));
            });
        }
    }
}
