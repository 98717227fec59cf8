package io.github.panascope.dashboard;

import io.github.panascope.dashboard.FeatureDashboard.Ablation;
import io.github.panascope.dashboard.FeatureDashboard.Entry;
import io.github.panascope.dashboard.FeatureDashboard.Sequence;
import io.github.panascope.dashboard.FeatureDashboard.SequenceGroup;
import io.github.panascope.internal.AtomicFile;
import io.github.panascope.internal.PythonText;
import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.json.JsonWriteFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * A JSON file with dashboards, with the fields that SAEDashboard's {@code SaeVisData.save_json} writes and its
 * {@code load_json} reads. Skew and kurtosis, which SAEDashboard leaves empty, are filled in.
 *
 * <p>The statistics stand after all features. They are collected in temporary files until the file is
 * {@linkplain #complete complete}.
 */
public final class SaeDashboardJson implements DashboardSink {
    /** Writes NaN as Python writes and reads it. */
    private static final JsonMapper JSON =
            JsonMapper.builder().disable(JsonWriteFeature.WRITE_NAN_AS_STRINGS).build();

    private static final List<String> SCALARS = List.of("max", "frac_nonzero", "skew", "kurtosis");

    private final AtomicFile file;
    private final JsonGenerator json;
    /** For each feature the numbers that {@link #SCALARS} names. */
    private final TemporaryFile scalars;
    /** The quantiles of each feature: their number, and the numbers. */
    private final TemporaryFile quantiles;

    private int count;

    private SaeDashboardJson(AtomicFile file, TemporaryFile scalars, TemporaryFile quantiles) {
        this.file = file;
        this.scalars = scalars;
        this.quantiles = quantiles;
        this.json = JSON.createGenerator(file.out());
        file.write(() -> {
            json.writeStartObject();
            json.writeName("feature_data_dict");
            json.writeStartObject();
        });
    }

    /**
     * Opens a file without features.
     *
     * @param file the file that {@link #complete} writes; an existing file is replaced as a whole
     * @return the sink; the caller closes it
     * @throws io.github.panascope.InputException if the file or a temporary file cannot be written
     */
    public static SaeDashboardJson open(Path file) {
        AtomicFile opened = AtomicFile.open(file);
        TemporaryFile scalars = null;
        TemporaryFile quantiles = null;
        try {
            scalars = new TemporaryFile(".scalars");
            quantiles = new TemporaryFile(".quantiles");
            return new SaeDashboardJson(opened, scalars, quantiles);
        } catch (RuntimeException | Error e) {
            opened.close();
            if (scalars != null) scalars.close();
            if (quantiles != null) quantiles.close();
            throw e;
        }
    }

    @Override
    public void accept(FeatureDashboard dashboard) {
        FeatureDashboard.Statistics found = dashboard.statistics();
        count++;
        scalars.write(
                () -> scalars.out().write(bytes(found.max(), found.fracNonzero(), found.skew(), found.kurtosis())));
        quantiles.write(() -> quantiles.out().write(bytes(found.quantileData())));
        file.write(() -> {
            json.writeName(Integer.toString(dashboard.feature()));
            write(json, dashboard);
        });
    }

    @Override
    public void complete() {
        file.write(() -> {
            json.writeEndObject();
            writeStatistics();
            json.writeEndObject();
            json.close();
        });
        file.commit();
    }

    @Override
    public void close() {
        try (scalars;
                quantiles) {
            file.close();
        }
    }

    private static byte[] bytes(double... values) {
        ByteBuffer bytes = ByteBuffer.allocate(Integer.BYTES + values.length * Double.BYTES)
                .putInt(values.length);
        for (double value : values) bytes.putDouble(value);
        return bytes.array();
    }

    /** Reads the arrays of all features, one after another. */
    private void forEach(TemporaryFile arrays, Consumer<double[]> receiver) throws IOException {
        DataInputStream in = new DataInputStream(new BufferedInputStream(arrays.in(), 1 << 16));
        for (int i = 0; i < count; i++) {
            double[] values = new double[in.readInt()];
            for (int v = 0; v < values.length; v++) values[v] = in.readDouble();
            receiver.accept(values);
        }
    }

    private void writeStatistics() throws IOException {
        json.writeName("feature_stats");
        json.writeStartObject();
        for (int i = 0; i < SCALARS.size(); i++) {
            int scalar = i;
            json.writeName(SCALARS.get(i));
            json.writeStartArray();
            forEach(scalars, values -> json.writeNumber(values[scalar]));
            json.writeEndArray();
        }
        json.writeName("quantile_data");
        json.writeStartArray();
        forEach(quantiles, values -> numbers(json, values));
        json.writeEndArray();
        double[] levels = Dashboards.quantiles();
        double[] all = Arrays.copyOf(levels, levels.length + 1);
        for (int i = 0; i < levels.length; i++) all[i] = Histogram.rounded(levels[i], 6);
        all[levels.length] = 1;
        array(json, "quantiles", all);
        json.writeName("ranges_and_precisions");
        json.writeStartArray();
        for (double[] range : new double[][] {{0, 0.95, 3}, {0.95, 0.99, 4}, {0.99, 1, 5}}) {
            json.writeStartArray();
            numbers(json, new double[] {range[0], range[1]});
            json.writeNumber((int) range[2]);
            json.writeEndArray();
        }
        json.writeEndArray();
        json.writeEndObject();
    }

    /** {@return the title that SAEDashboard gives the histogram of activations} */
    static String histogramTitle(double density) {
        return "ACTIVATIONS<br>DENSITY = " + PythonText.percent(density, 3);
    }

    private static void write(JsonGenerator json, FeatureDashboard dashboard) {
        json.writeStartObject();
        json.writeName("feature_tables_data");
        json.writeStartObject();
        table(json, "neuron_alignment", "values", "l1", dashboard.tables().neuronAlignment());
        table(
                json,
                "correlated_neurons",
                "pearson",
                "cossim",
                dashboard.tables().correlatedNeurons());
        table(
                json,
                "correlated_features",
                "pearson",
                "cossim",
                dashboard.tables().correlatedFeatures());
        table(json, "correlated_b_features", "pearson", "cossim", List.of());
        json.writeEndObject();
        histogram(
                json,
                "acts_histogram_data",
                dashboard.activations(),
                dashboard.dead() ? null : histogramTitle(dashboard.statistics().density()));
        json.writeName("logits_table_data");
        json.writeStartObject();
        FeatureDashboard.LogitsTable logits = dashboard.logitsTable() != null
                ? dashboard.logitsTable()
                : new FeatureDashboard.LogitsTable(new int[0], new float[0], new int[0], new float[0]);
        array(json, "bottom_token_ids", logits.bottomTokenIds());
        array(json, "bottom_logits", doubles(logits.bottomLogits()));
        array(json, "top_token_ids", logits.topTokenIds());
        array(json, "top_logits", doubles(logits.topLogits()));
        json.writeEndObject();
        histogram(json, "logits_histogram_data", dashboard.logits(), null);
        json.writeName("sequence_data");
        json.writeStartObject();
        json.writeName("seq_group_data");
        json.writeStartArray();
        for (SequenceGroup group : dashboard.groups()) {
            json.writeStartObject();
            json.writeName("title");
            json.writeString(String.join("<br>", group.title()));
            json.writeName("seq_data");
            json.writeStartArray();
            for (Sequence sequence : group.sequences()) sequence(json, sequence);
            json.writeEndArray();
            json.writeEndObject();
        }
        json.writeEndArray();
        json.writeEndObject();
        json.writeName("prompt_data");
        sequence(json, new Sequence(0, 0, 0, new int[0], new float[0], new float[0], null));
        json.writeName("dfa_data");
        json.writeStartObject();
        json.writeEndObject();
        json.writeName("decoder_weights_data");
        json.writeNull();
        json.writeEndObject();
    }

    private static void sequence(JsonGenerator json, Sequence sequence) {
        Ablation ablation = sequence.ablation();
        json.writeStartObject();
        json.writeName("original_index");
        json.writeNumber(sequence.row());
        json.writeName("qualifying_token_index");
        json.writeNumber(sequence.position());
        array(json, "token_ids", sequence.tokenIds());
        array(json, "feat_acts", rounded(sequence.activations()));
        array(json, "loss_contribution", ablation == null ? new double[0] : rounded(ablation.lossEffect()));
        array(json, "token_logits", doubles(sequence.tokenLogits()));
        changes(
                json,
                "top",
                ablation == null ? new int[0][] : ablation.topIds(),
                ablation == null ? new float[0][] : ablation.topValues());
        changes(
                json,
                "bottom",
                ablation == null ? new int[0][] : ablation.bottomIds(),
                ablation == null ? new float[0][] : ablation.bottomValues());
        json.writeEndObject();
    }

    private static void table(JsonGenerator json, String name, String first, String second, List<Entry> entries) {
        array(json, name + "_indices", entries.stream().mapToInt(Entry::index).toArray());
        array(
                json,
                name + "_" + first,
                entries.stream().mapToDouble(Entry::value).toArray());
        array(
                json,
                name + "_" + second,
                entries.stream().mapToDouble(Entry::second).toArray());
    }

    private static void histogram(JsonGenerator json, String name, Histogram histogram, String title) {
        Histogram shown = histogram != null ? histogram : Histogram.of(new float[0], 0, 1);
        json.writeName(name);
        json.writeStartObject();
        array(json, "bar_heights", shown.heights());
        array(json, "bar_values", shown.values());
        array(json, "tick_vals", shown.ticks());
        json.writeName("title");
        if (title == null) json.writeNull();
        else json.writeString(title);
        json.writeEndObject();
    }

    private static double[] doubles(float[] values) {
        double[] wide = new double[values.length];
        for (int i = 0; i < wide.length; i++) wide[i] = values[i];
        return wide;
    }

    /** Rounds to 4 decimals, as SAEDashboard rounds the values of a sequence. */
    private static double[] rounded(float[] values) {
        double[] rounded = doubles(values);
        for (int i = 0; i < rounded.length; i++) rounded[i] = Histogram.rounded(rounded[i], 4);
        return rounded;
    }

    private static void array(JsonGenerator json, String name, double[] values) {
        json.writeName(name);
        numbers(json, values);
    }

    private static void numbers(JsonGenerator json, double[] values) {
        json.writeArray(values, 0, values.length);
    }

    private static void array(JsonGenerator json, String name, int[] values) {
        json.writeName(name);
        json.writeArray(values, 0, values.length);
    }

    /** Writes the changed logits of each token. SAEDashboard drops changes that are rounded to zero. */
    private static void changes(JsonGenerator json, String name, int[][] ids, float[][] values) {
        json.writeName(name + "_token_ids");
        json.writeStartArray();
        for (int i = 0; i < ids.length; i++) {
            double[] rounded = rounded(values[i]);
            int[] token = ids[i];
            int[] kept = IntStream.range(0, token.length)
                    .filter(k -> rounded[k] != 0)
                    .map(k -> token[k])
                    .toArray();
            json.writeArray(kept, 0, kept.length);
        }
        json.writeEndArray();
        json.writeName(name + "_logits");
        json.writeStartArray();
        for (float[] each : values)
            numbers(
                    json,
                    Arrays.stream(rounded(each)).filter(value -> value != 0).toArray());
        json.writeEndArray();
    }
}
