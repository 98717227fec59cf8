package io.github.panascope.dashboard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.hardwood.InputFile;
import dev.hardwood.reader.ParquetFileReader;
import dev.hardwood.reader.RowReader;
import io.github.panascope.dashboard.FeatureDashboard.Entry;
import io.github.panascope.dashboard.FeatureDashboard.LogitsTable;
import io.github.panascope.dashboard.FeatureDashboard.Sequence;
import io.github.panascope.dashboard.FeatureDashboard.SequenceGroup;
import io.github.panascope.dashboard.FeatureDashboard.Statistics;
import io.github.panascope.dashboard.FeatureDashboard.Tables;
import io.github.panascope.tokens.Tokenizer;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The table of features, read again. */
class FeatureTableTest {
    private static final Tokenizer TOKENIZER = Tokenizer.gpt2();
    private static final Map<String, String> METADATA = Map.of("Model", "gpt2-small");
    private static final List<Entry> NEURONS = List.of(new Entry(11, .5, .25), new Entry(3, .125, .0625));
    private static final Histogram NO_VALUES = Histogram.of(new float[0], 0, 50);

    @TempDir
    private Path folder;

    private static Sequence sequence(String token, float activation) {
        int id = TOKENIZER.encode(token)[0];
        return new Sequence(0, 8, 7, new int[] {1, id, 2}, new float[] {9, activation, 9}, new float[0], null);
    }

    private static FeatureDashboard alive() {
        Tables tables = new Tables(NEURONS, List.of(new Entry(7, .75, .5)), List.of());
        List<SequenceGroup> groups = List.of(
                new SequenceGroup(
                        SequenceGroup.Kind.TOP,
                        Double.NaN,
                        4,
                        Double.NaN,
                        List.of(
                                sequence(" cat", 4),
                                sequence("\ud83d\ude00", 3.5f),
                                sequence(" cat", 3),
                                sequence(" dog", 2))),
                new SequenceGroup(SequenceGroup.Kind.INTERVAL, 1, 2, .1, List.of(sequence(" cow", 1.5f))));
        int[] tokens = {TOKENIZER.encode(" up")[0], TOKENIZER.eos()};
        return new FeatureDashboard(
                5,
                new Statistics(1000, 10, 40, .039, 4, .1, 2.5, .2, 3, 4, new double[] {1}),
                tables,
                NO_VALUES,
                NO_VALUES,
                new LogitsTable(tokens, new float[] {2, 1}, new int[] {0}, new float[] {-3}),
                groups);
    }

    private static FeatureDashboard dead() {
        return new FeatureDashboard(
                24575,
                new Statistics(1000, 10, 0, 0, 0, 0, 0, 0, Double.NaN, Double.NaN, new double[0]),
                new Tables(NEURONS, List.of(), List.of()),
                NO_VALUES,
                null,
                null,
                List.of());
    }

    private static void write(Path file, FeatureDashboard... dashboards) {
        try (FeatureTable table = FeatureTable.open(file, TOKENIZER, METADATA)) {
            for (FeatureDashboard dashboard : dashboards) table.accept(dashboard);
            table.complete();
        }
    }

    /** Writes one dashboard, and reads the first row of the table. */
    private void assertRow(FeatureDashboard dashboard, Consumer<RowReader> check) throws IOException {
        Path file = folder.resolve("features.parquet");
        write(file, dashboard);
        try (InputFile input = InputFile.of(file);
                ParquetFileReader reader = ParquetFileReader.open(input);
                RowReader rows = reader.rowReader()) {
            rows.next();
            check.accept(rows);
            assertFalse(rows.hasNext());
        }
    }

    @Test
    void metadataAndOneRowForEachFeatureAreWritten() throws IOException {
        Path file = folder.resolve("features.parquet");
        write(file, alive(), dead());
        try (InputFile input = InputFile.of(file);
                ParquetFileReader reader = ParquetFileReader.open(input);
                RowReader rows = reader.rowReader()) {
            assertEquals(METADATA, reader.getFileMetaData().keyValueMetadata());
            rows.next();
            assertEquals(5, rows.getInt("feature"));
            rows.next();
            assertEquals(24575, rows.getInt("feature"));
            assertFalse(rows.hasNext());
        }
    }

    @Test
    void aRowHasTheStatistics() throws IOException {
        assertRow(alive(), rows -> {
            assertEquals(5, rows.getInt("feature"));
            assertEquals(.04, rows.getDouble("density"));
            assertEquals(
                    List.of(40L, 1000L, 10L),
                    List.of(rows.getLong("active"), rows.getLong("positions"), rows.getLong("excluded")));
            assertEquals(4f, rows.getFloat("max"));
            assertEquals(
                    List.of(.039, .1, 2.5, .2, 3.0, 4.0),
                    List.of("frac_nonzero", "mean", "mean_active", "std", "skew", "kurtosis").stream()
                            .map(rows::getDouble)
                            .toList());
        });
    }

    @Test
    void aRowHasTheTokensThatActivateAndThoseThatArePromoted() throws IOException {
        assertRow(alive(), rows -> {
            assertEquals(
                    List.of(" cat", "\ufffd", " dog"),
                    rows.getList("top_tokens").strings());
            assertEquals(List.of(4f, 3.5f, 2f), rows.getList("top_activations").floats());
            assertEquals(
                    List.of(" up", "<|endoftext|>"),
                    rows.getList("promoted_tokens").strings());
            assertEquals(List.of(2f, 1f), rows.getList("promoted_logits").floats());
            assertEquals(List.of("!"), rows.getList("suppressed_tokens").strings());
            assertEquals(List.of(-3f), rows.getList("suppressed_logits").floats());
        });
    }

    @Test
    void aRowHasTheNeuronsAndFeaturesThatGoWithIt() throws IOException {
        assertRow(alive(), rows -> {
            assertEquals(List.of(11, 3), rows.getList("neuron_alignment").values());
            assertEquals(
                    List.of(.5f, .125f), rows.getList("neuron_alignment_values").floats());
            assertEquals(List.of(7), rows.getList("correlated_neurons").values());
            assertEquals(
                    List.of(.75f), rows.getList("correlated_neurons_pearson").floats());
            assertTrue(rows.getList("correlated_features").isEmpty()
                    && rows.getList("correlated_features_pearson").isEmpty());
        });
    }

    @Test
    void aDeadFeatureHasNoMomentsAndNoLogits() throws IOException {
        assertRow(dead(), rows -> {
            assertEquals(24575, rows.getInt("feature"));
            assertEquals(0, rows.getDouble("density"));
            for (String name : List.of(
                    "mean_active",
                    "skew",
                    "kurtosis",
                    "promoted_tokens",
                    "promoted_logits",
                    "suppressed_tokens",
                    "suppressed_logits")) assertTrue(rows.isNull(name), name);
            for (String name : List.of("top_tokens", "top_activations", "correlated_neurons"))
                assertTrue(rows.getList(name).isEmpty(), name);
            assertEquals(2, rows.getList("neuron_alignment").size());
        });
    }
}
