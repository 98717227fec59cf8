package io.github.panascope.dashboard;

import static io.github.panascope.data.ParquetWriter.Column.list;
import static io.github.panascope.data.ParquetWriter.Column.optional;
import static io.github.panascope.data.ParquetWriter.Column.required;
import static io.github.panascope.data.ParquetWriter.Type.DOUBLE;
import static io.github.panascope.data.ParquetWriter.Type.FLOAT;
import static io.github.panascope.data.ParquetWriter.Type.INT32;
import static io.github.panascope.data.ParquetWriter.Type.INT64;
import static io.github.panascope.data.ParquetWriter.Type.STRING;

import io.github.panascope.dashboard.FeatureDashboard.Entry;
import io.github.panascope.dashboard.FeatureDashboard.LogitsTable;
import io.github.panascope.dashboard.FeatureDashboard.Tables;
import io.github.panascope.data.ParquetWriter;
import io.github.panascope.tokens.Tokenizer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * A Parquet file with a row for each feature: the numbers and short lists of its dashboard, for queries over all
 * features. Lists that belong together, such as {@code top_tokens} and {@code top_activations}, have the same length. A
 * value that does not exist is null: mean_active, skew and kurtosis of a feature that never fires, and the logits of a
 * feature that does not write to the residual stream. Numbers are not rounded. A token that is not whole UTF-8
 * characters contains U+FFFD, so that two such tokens may look alike.
 *
 * <pre>{@code
 * static void write(HookedTransformer model, Dashboards dashboards, int[] features) {
 *     Map<String, String> facts = Map.of("model", model.name());
 *     try (FeatureTable table =
 *             FeatureTable.open(Path.of("features.parquet"), model.tokenizer(), facts)) {
 *         dashboards.forEach(features, 4, table);
 *     }
 * }
 * }</pre>
 */
public final class FeatureTable implements DashboardSink {
    private final ParquetWriter<FeatureDashboard> table;

    private FeatureTable(ParquetWriter<FeatureDashboard> table) {
        this.table = table;
    }

    /**
     * Opens a table without rows.
     *
     * @param file      the file that {@link #complete} writes; an existing file is replaced as a whole
     * @param tokenizer the tokenizer that decodes token ids
     * @param facts     the facts that the table rests on, by name, which the file's metadata holds
     * @return the table; the caller closes it
     * @throws io.github.panascope.InputException if the file cannot be written
     */
    public static FeatureTable open(Path file, Tokenizer tokenizer, Map<String, String> facts) {
        return new FeatureTable(ParquetWriter.open(file, columns(tokenizer), facts));
    }

    @Override
    public void accept(FeatureDashboard dashboard) {
        table.add(dashboard);
    }

    @Override
    public void complete() {
        table.commit();
    }

    @Override
    public void close() {
        table.close();
    }

    private static List<ParquetWriter.Column<FeatureDashboard>> columns(Tokenizer tokenizer) {
        return List.of(
                required("feature", INT32, FeatureDashboard::feature),
                required("density", DOUBLE, dashboard -> dashboard.statistics().density()),
                required(
                        "frac_nonzero",
                        DOUBLE,
                        dashboard -> dashboard.statistics().fracNonzero()),
                required("active", INT64, dashboard -> dashboard.statistics().active()),
                required("positions", INT64, dashboard -> dashboard.statistics().positions()),
                required("excluded", INT64, dashboard -> dashboard.statistics().excluded()),
                required("max", FLOAT, dashboard -> dashboard.statistics().max()),
                required("mean", DOUBLE, dashboard -> dashboard.statistics().mean()),
                optional(
                        "mean_active",
                        DOUBLE,
                        dashboard ->
                                dashboard.dead() ? null : dashboard.statistics().meanActive()),
                required("std", DOUBLE, dashboard -> dashboard.statistics().std()),
                optional(
                        "skew",
                        DOUBLE,
                        dashboard -> orNull(dashboard.statistics().skew())),
                optional(
                        "kurtosis",
                        DOUBLE,
                        dashboard -> orNull(dashboard.statistics().kurtosis())),
                list("top_tokens", STRING, dashboard -> tokenizer.tokens(dashboard.strongestTokenIds())),
                list(
                        "top_activations",
                        FLOAT,
                        dashboard -> List.copyOf(dashboard.strongestTokens().values())),
                list("promoted_tokens", STRING, logits(table -> TokenTexts.of(tokenizer, table.topTokenIds()))),
                list("promoted_logits", FLOAT, logits(table -> floats(table.topLogits()))),
                list("suppressed_tokens", STRING, logits(table -> TokenTexts.of(tokenizer, table.bottomTokenIds()))),
                list("suppressed_logits", FLOAT, logits(table -> floats(table.bottomLogits()))),
                list("neuron_alignment", INT32, indices(Tables::neuronAlignment)),
                list("neuron_alignment_values", FLOAT, values(Tables::neuronAlignment)),
                list("correlated_neurons", INT32, indices(Tables::correlatedNeurons)),
                list("correlated_neurons_pearson", FLOAT, values(Tables::correlatedNeurons)),
                list("correlated_features", INT32, indices(Tables::correlatedFeatures)),
                list("correlated_features_pearson", FLOAT, values(Tables::correlatedFeatures)));
    }

    private static Double orNull(double value) {
        return Double.isNaN(value) ? null : value;
    }

    private static <V> Function<FeatureDashboard, List<V>> logits(Function<LogitsTable, List<V>> values) {
        return dashboard -> dashboard.logitsTable() == null ? null : values.apply(dashboard.logitsTable());
    }

    private static Function<FeatureDashboard, List<Integer>> indices(Function<Tables, List<Entry>> entries) {
        return dashboard ->
                entries.apply(dashboard.tables()).stream().map(Entry::index).toList();
    }

    private static Function<FeatureDashboard, List<Float>> values(Function<Tables, List<Entry>> entries) {
        return dashboard -> entries.apply(dashboard.tables()).stream()
                .map(entry -> (float) entry.value())
                .toList();
    }

    private static List<Float> floats(float[] values) {
        return IntStream.range(0, values.length).mapToObj(i -> values[i]).toList();
    }
}
