package io.github.panascope.cli;

import io.github.panascope.Panascope;
import io.github.panascope.metrics.SaeEvals;
import io.github.panascope.sae.Sae;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import tools.jackson.core.json.JsonReadFeature;
import tools.jackson.core.json.JsonWriteFeature;
import tools.jackson.databind.MapperFeature;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/** An evaluation of an SAE as lines, as SAELens's JSON and as CSV, shared by the commands that evaluate. */
public final class EvalReport {
    /** Writes the values of an SAE's configuration unchanged, NaN included. */
    private static final JsonMapper JSON = JsonMapper.builder()
            .enable(SerializationFeature.INDENT_OUTPUT)
            .disable(MapperFeature.SORT_PROPERTIES_ALPHABETICALLY)
            .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
            .disable(JsonWriteFeature.WRITE_NAN_AS_STRINGS)
            .build();

    private final SaeEvals evals;
    private final Map<String, String> names = new LinkedHashMap<>();
    private final Map<String, Object> config = new LinkedHashMap<>();
    private final Map<String, Map<String, Double>> metrics;

    /**
     * The batches of rows that were evaluated, under SAELens's names.
     *
     * @param rows             the number of rows in a batch, {@code batch_size_prompts}
     * @param reconstruction   the number of batches for KL and losses
     * @param sparsityVariance the number of these for the other metrics
     */
    public record Batches(int rows, long reconstruction, long sparsityVariance) {}

    /**
     * Makes a report.
     *
     * @param sae            the name of the SAE
     * @param dataset        the name of the dataset
     * @param context        the number of tokens in a row
     * @param rows           the number of rows
     * @param batches        the batches of rows
     * @param excludeSpecial true if positions of special tokens do not count
     * @param evals          the evaluation
     */
    public EvalReport(
            String sae,
            String dataset,
            int context,
            long rows,
            Batches batches,
            boolean excludeSpecial,
            SaeEvals evals) {
        this.evals = evals;
        String[] parts = sae.split("/", 2);
        names.put("unique_id", parts.length == 2 ? parts[0] + "-" + parts[1] : parts[0]);
        names.put("sae_set", parts[0]);
        names.put("sae_id", parts[parts.length - 1]);
        config.put("context_size", context);
        config.put("dataset", dataset);
        config.put("library_version", "panascope " + Panascope.version());
        config.put("formulas", SaeEvals.FORMULAS);
        config.put("batch_size_prompts", batches.rows);
        config.put("n_eval_reconstruction_batches", batches.reconstruction);
        config.put("n_eval_sparsity_variance_batches", batches.sparsityVariance);
        config.put("exclude_special_tokens", excludeSpecial);
        metrics = new LinkedHashMap<>(evals.metrics());
        Map<String, Double> tokens = new LinkedHashMap<>();
        tokens.put("total_tokens_eval_reconstruction", (double) rows * context);
        tokens.put(
                "total_tokens_eval_sparsity_variance",
                (double) Math.min(rows, batches.rows * batches.sparsityVariance) * context);
        metrics.put("token_stats", tokens);
    }

    /** {@return the metrics, a line for each, and a line before each group} */
    public List<String> lines() {
        List<String> lines = new ArrayList<>();
        metrics.forEach((group, values) -> {
            lines.add(group);
            values.forEach((metric, value) -> lines.add(String.format(Locale.ROOT, "  %-36s %.6g", metric, value)));
        });
        return lines;
    }

    /**
     * Returns all metrics, those of features too, as SAELens writes them.
     *
     * @param sae the SAE that was evaluated
     * @return the JSON
     */
    public String json(Sae sae) {
        Map<String, Object> result = new LinkedHashMap<>(names);
        result.put("eval_cfg", config);
        result.put("metrics", cleaned(metrics));
        result.put("feature_metrics", cleaned(evals.featureMetrics(sae)));
        result.put("sae_cfg", JSON.readTree(sae.config().toJson(sae.dtype().toString())));
        return JSON.writeValueAsString(result) + "\n";
    }

    /** {@return the metrics as a table of one row} */
    public String csv() {
        Map<String, String> row = new LinkedHashMap<>(names);
        config.forEach((key, value) -> row.put("eval_cfg." + key, String.valueOf(value)));
        metrics.forEach((group, values) -> values.forEach(
                (metric, value) -> row.put("metrics." + group + "." + metric, String.valueOf(number(value)))));
        return line(row.keySet()) + line(row.values());
    }

    private static String line(Collection<String> cells) {
        return cells.stream()
                .map(cell -> cell.matches("[^\",\r\n]*") ? cell : '"' + cell.replace("\"", "\"\"") + '"')
                .collect(Collectors.joining(",", "", "\n"));
    }

    /** Replaces NaN by -1, as SAELens does. */
    private static double number(double value) {
        return Double.isNaN(value) ? -1 : value;
    }

    private static Map<String, Object> cleaned(Map<String, ?> values) {
        Map<String, Object> clean = new LinkedHashMap<>();
        values.forEach((key, value) -> clean.put(
                key,
                switch (value) {
                    case Map<?, ?> inner ->
                        cleaned(inner.entrySet().stream()
                                .collect(Collectors.toMap(
                                        entry -> (String) entry.getKey(),
                                        Map.Entry::getValue,
                                        (a, b) -> a,
                                        LinkedHashMap::new)));
                    case double[] many ->
                        Arrays.stream(many).map(EvalReport::number).toArray();
                    case Double one -> number(one);
                    default -> value;
                }));
        return clean;
    }
}
