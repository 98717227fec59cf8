package io.github.panascope.dashboard;

import io.github.panascope.InputException;
import io.github.panascope.dashboard.FeatureDashboard.Entry;
import io.github.panascope.dashboard.FeatureDashboard.Sequence;
import io.github.panascope.dashboard.FeatureDashboard.SequenceGroup;
import io.github.panascope.internal.AtomicFile;
import io.github.panascope.model.HookPoint;
import io.github.panascope.sae.SaeConfig;
import io.github.panascope.tokens.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import tools.jackson.databind.MapperFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * Dashboards in the batches that Neuronpedia reads: files {@code batch-0.json}, {@code batch-1.json} and so on, in the
 * format of SAEDashboard's NeuronpediaRunner, with numbers rounded to 3 decimals. Tokens are decoded from their bytes;
 * an incomplete character becomes U+FFFD. NeuronpediaRunner shows whole rows ({@link DashboardConfig#buffer} of -1) and
 * five intervals, and ignores {@code <|endoftext|>}.
 *
 * <p>Each batch is written when it is full. {@link #complete} deletes batches with higher numbers, which an earlier run
 * with more features left in the folder.
 */
public final class NeuronpediaBatches implements DashboardSink {
    private static final int FEATURES_IN_BATCH = 128;
    private static final int DECIMALS = 3;
    private static final JsonMapper JSON = JsonMapper.builder()
            .disable(MapperFeature.SORT_PROPERTIES_ALPHABETICALLY)
            .build();

    private final Path folder;
    private final SaeConfig sae;
    private final Tokenizer tokenizer;
    private final int rows, context;
    private final String dataset;
    private final List<FeatureDashboard> batch = new ArrayList<>();
    private int written;

    private NeuronpediaBatches(Path folder, SaeConfig sae, Tokenizer tokenizer, int rows, int context, String dataset) {
        this.folder = folder;
        this.sae = sae;
        this.tokenizer = tokenizer;
        this.rows = rows;
        this.context = context;
        this.dataset = dataset;
    }

    /**
     * Opens a folder for batches.
     *
     * @param folder    the folder; it is made when the first batch is written
     * @param sae       the configuration of the SAE whose features are written
     * @param tokenizer the tokenizer that decodes token ids
     * @param source    the maker of the dashboards, whose numbers of rows and of tokens in a row are written
     * @param dataset   the name of the dataset that the rows come from
     * @return the batches; the caller closes them
     */
    public static NeuronpediaBatches open(
            Path folder, SaeConfig sae, Tokenizer tokenizer, Dashboards source, String dataset) {
        return open(folder, sae, tokenizer, source.rows(), source.context(), dataset);
    }

    /**
     * Opens a folder for batches of dashboards that were made elsewhere.
     *
     * @param folder    the folder; it is made when the first batch is written
     * @param sae       the configuration of the SAE whose features are written
     * @param tokenizer the tokenizer that decodes token ids
     * @param rows      {@link Dashboards#rows} of the maker of the dashboards
     * @param context   {@link Dashboards#context} of the maker of the dashboards
     * @param dataset   the name of the dataset that the rows come from
     * @return the batches; the caller closes them
     */
    public static NeuronpediaBatches open(
            Path folder, SaeConfig sae, Tokenizer tokenizer, int rows, int context, String dataset) {
        return new NeuronpediaBatches(folder, sae, tokenizer, rows, context, dataset);
    }

    @Override
    public void accept(FeatureDashboard dashboard) {
        batch.add(dashboard);
        if (batch.size() == FEATURES_IN_BATCH) flush();
    }

    /**
     * Writes the last batch, and deletes later batches of an earlier run.
     *
     * @throws InputException if the folder cannot be written
     */
    @Override
    public void complete() {
        if (!batch.isEmpty()) flush();
        try {
            for (int later = written; Files.deleteIfExists(file(later)); later++) {}
        } catch (IOException e) {
            throw new InputException(
                    folder + " holds batches of an earlier run that cannot be deleted: " + InputException.reason(e)
                            + ".",
                    e);
        }
    }

    private Path file(int number) {
        return folder.resolve("batch-" + number + ".json");
    }

    private void flush() {
        String[] id = sae.neuronpediaId() == null
                ? new String[0]
                : sae.neuronpediaId().split("/");
        String[] layerAndSet = id.length < 2 ? new String[] {"", ""} : (id[1] + "-").split("-", 2);
        Map<String, Object> content = new LinkedHashMap<>();
        content.put("model_id", id.length > 0 ? id[0] : sae.modelName() == null ? "" : sae.modelName());
        content.put(
                "layer",
                layerAndSet[0].matches("\\d{1,6}")
                        ? Integer.parseInt(layerAndSet[0])
                        : HookPoint.of(sae.hookName())
                                .filter(HookPoint::isInBlock)
                                .map(HookPoint::block)
                                .orElse(0));
        content.put(
                "sae_set", layerAndSet[1].isEmpty() ? "" : layerAndSet[1].substring(0, layerAndSet[1].length() - 1));
        content.put("sae_id_suffix", null);
        content.put("features", batch.stream().map(this::feature).toList());
        AtomicFile.write(file(written++), JSON.writeValueAsString(content));
        batch.clear();
    }

    private Map<String, Object> feature(FeatureDashboard dashboard) {
        Map<String, Object> feature = new LinkedHashMap<>();
        FeatureDashboard.LogitsTable logits = dashboard.logitsTable() != null
                ? dashboard.logitsTable()
                : new FeatureDashboard.LogitsTable(new int[0], new float[0], new int[0], new float[0]);
        Histogram logitsHistogram = dashboard.logits() != null ? dashboard.logits() : Histogram.of(new float[0], 0, 1);
        feature.put("feature_index", dashboard.feature());
        // Alignments are written value first and correlations cosine first, as NeuronpediaRunner writes them.
        List<Entry> alignment = dashboard.tables().neuronAlignment();
        feature.put(
                "neuron_alignment_indices",
                alignment.stream().mapToInt(Entry::index).toArray());
        feature.put(
                "neuron_alignment_values",
                rounded(alignment.stream().mapToDouble(Entry::value).toArray()));
        feature.put(
                "neuron_alignment_l1",
                rounded(alignment.stream().mapToDouble(Entry::second).toArray()));
        correlated(feature, "correlated_neurons", dashboard.tables().correlatedNeurons());
        correlated(feature, "correlated_features", dashboard.tables().correlatedFeatures());
        feature.put("neg_str", TokenTexts.of(tokenizer, logits.bottomTokenIds()));
        feature.put("neg_values", rounded(logits.bottomLogits()));
        feature.put("pos_str", TokenTexts.of(tokenizer, logits.topTokenIds()));
        feature.put("pos_values", rounded(logits.topLogits()));
        feature.put(
                "frac_nonzero",
                Histogram.rounded(
                        dashboard.statistics().density(), 5)); // NeuronpediaRunner parses a percentage of 3 decimals
        feature.put("freq_hist_data_bar_values", rounded(dashboard.activations().values()));
        feature.put("freq_hist_data_bar_heights", dashboard.activations().heights());
        feature.put("logits_hist_data_bar_heights", logitsHistogram.heights());
        feature.put("logits_hist_data_bar_values", rounded(logitsHistogram.values()));
        feature.put("n_prompts_total", rows);
        feature.put("n_tokens_in_prompt", context);
        feature.put("dataset", dataset);
        feature.put("decoder_weights_dist", List.of());
        List<Map<String, Object>> activations = new ArrayList<>();
        for (SequenceGroup group : dashboard.groups())
            for (Sequence sequence : group.sequences()) activations.add(activation(group, sequence));
        feature.put("activations", activations);
        feature.put("vector", List.of());
        return feature;
    }

    private Map<String, Object> activation(SequenceGroup group, Sequence sequence) {
        Map<String, Object> activation = new LinkedHashMap<>();
        boolean top = group.kind() == SequenceGroup.Kind.TOP;
        activation.put("bin_min", top ? -1 : Histogram.rounded(group.low(), DECIMALS));
        activation.put("bin_max", Histogram.rounded(group.high(), DECIMALS));
        activation.put("bin_contains", top ? -1 : Histogram.rounded(group.contains(), 5));
        // NeuronpediaRunner leaves out the first token of a row, <|endoftext|>, and counts positions without it.
        int skipped = sequence.first() == 0 ? 1 : 0;
        int length = sequence.tokenIds().length;
        activation.put("tokens", tokenizer.tokens(Arrays.copyOfRange(sequence.tokenIds(), skipped, length)));
        activation.put("values", rounded(Arrays.copyOfRange(sequence.activations(), skipped, length)));
        activation.put("qualifying_token_index", sequence.position() - sequence.first() - skipped);
        activation.put("dfa_values", List.of());
        activation.put("dfa_maxValue", 0);
        activation.put("dfa_targetIndex", -1);
        return activation;
    }

    private static void correlated(Map<String, Object> feature, String name, List<Entry> entries) {
        feature.put(name + "_indices", entries.stream().mapToInt(Entry::index).toArray());
        feature.put(
                name + "_l1",
                rounded(entries.stream().mapToDouble(Entry::second).toArray()));
        feature.put(
                name + "_pearson",
                rounded(entries.stream().mapToDouble(Entry::value).toArray()));
    }

    private static double[] rounded(double[] values) {
        return DoubleStream.of(values)
                .map(value -> Histogram.rounded(value, DECIMALS))
                .toArray();
    }

    private static double[] rounded(float[] values) {
        return rounded(
                IntStream.range(0, values.length).mapToDouble(i -> values[i]).toArray());
    }
}
