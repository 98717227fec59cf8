package io.github.panascope.spark;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import io.github.panascope.data.TextDataset;
import io.github.panascope.demo.DemoBundle;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Torch;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** A table has the activations that the library computes for each row by itself, for any partitions. */
@Tag("spark")
@ExtendWith(Cluster.class)
class ActivationTableTest {
    private static final StructType SCHEMA = new StructType()
            .add("name", DataTypes.StringType)
            .add("source", DataTypes.StringType)
            .add("body", DataTypes.StringType);

    private static final int CONTEXT = 32;

    /** Short documents, one of many rows, an empty one, and one that holds the token that ends a text. */
    private static List<String> texts() {
        List<String> demo = new ArrayList<>();
        TextDataset.of(DemoBundle.find().dataset()).forEach(demo::add);
        List<String> texts = new ArrayList<>(demo.subList(0, 30));
        texts.add(String.join(" ", demo.subList(30, 50)));
        texts.add("");
        texts.add(demo.get(50) + "<|endoftext|>" + demo.get(51));
        return texts;
    }

    private static Documents documents(int partitions) {
        List<String> texts = texts();
        return Documents.of(
                Cluster.session()
                        .createDataFrame(
                                IntStream.range(0, texts.size())
                                        .mapToObj(i -> RowFactory.create("d" + i, "s" + i % 3, texts.get(i)))
                                        .toList(),
                                SCHEMA)
                        .repartition(partitions),
                "body");
    }

    /** The lines of all documents, from the features of a cached run of each row. */
    private static List<String> expected(boolean folded, boolean endOfText, int... features) {
        List<String> lines = new ArrayList<>();
        try (var _ = TensorScope.open();
                var _ = Torch.singleThreaded();
                var model = HookedTransformer.fromPretrained(DemoBundle.find().model());
                var published = Sae.fromPretrained(DemoBundle.find().sae())) {
            Sae sae = folded ? published.foldWDecNorm() : published;
            List<String> texts = texts();
            for (int document = 0; document < texts.size(); document++) {
                int[] ids = model.tokenizer().encode(texts.get(document));
                for (int row = 0; row * (CONTEXT - 1) < ids.length; row++) {
                    int first = row * (CONTEXT - 1);
                    long[] tokens = IntStream.concat(
                                    IntStream.of(model.tokenizer().eos()),
                                    Arrays.stream(ids, first, Math.min(ids.length, first + CONTEXT - 1)))
                            .asLongStream()
                            .toArray();
                    String hook = sae.config().hookName();
                    var run = model.forward(Tensor.of(tokens, Shape.of(1, tokens.length)))
                            .caching(hook::equals);
                    run.logits();
                    float[] values = sae.encode(run.cache().get(hook)).toFloats();
                    for (int at = 0; at < tokens.length; at++) {
                        if (tokens[at] == model.tokenizer().eos() && !endOfText) continue;
                        for (int feature : features) {
                            float value = values[at * sae.config().dSae() + feature];
                            if (value == 0) continue;
                            String token = model.tokenizer().decode((int) tokens[at]);
                            lines.add(line("d" + document, "s" + document % 3, row, at, token, feature, value));
                        }
                    }
                }
            }
        }
        return lines.stream().sorted().toList();
    }

    private static String line(
            Object document, Object source, int row, int position, String token, int feature, float activation) {
        return document + "|" + source + "|" + row + "|" + position + "|" + token + "|" + feature + "|"
                + Integer.toHexString(Float.floatToRawIntBits(activation));
    }

    private static List<String> lines(Dataset<Row> table) {
        return table
                .select("document", "source", "row", "position", "token", "feature", "activation")
                .collectAsList()
                .stream()
                .map(row -> line(
                        row.get(0),
                        row.get(1),
                        row.getInt(2),
                        row.getInt(3),
                        row.getString(4),
                        row.getInt(5),
                        row.getFloat(6)))
                .sorted()
                .toList();
    }

    private static ActivationTable table() {
        return ActivationTable.of(ModelAndSae.DEMO).id("name").columns("source").context(CONTEXT);
    }

    private static int[] all() {
        return IntStream.range(0, 1024).toArray();
    }

    @Test
    void theNumbersAreThoseOfTheLibraryForAnyPartitions() {
        List<String> expected = expected(false, false, all());
        assertTrue(expected.stream().anyMatch(line -> line.startsWith("d30|s0|12|")), "a document of many rows");
        for (int partitions : new int[] {1, 2, 7})
            assertEquals(expected, lines(table().rows(documents(partitions))), partitions + " partitions");
        assertEquals(
                "STRUCT<document: STRING, source: STRING, row: INT NOT NULL, position: INT NOT NULL,"
                        + " token: STRING NOT NULL, feature: INT NOT NULL, activation: FLOAT NOT NULL>",
                table().rows(documents(1)).schema().sql());
    }

    @Test
    void chosenFeaturesAsDashboardsShowThemWithTheFirstPosition() {
        assertEquals(
                expected(true, true, 8, 748),
                lines(table().features(748, 8, 8)
                        .asOnDashboards()
                        .withEndOfText()
                        .rows(documents(3))));
    }

    @Test
    void documentsWithoutAnIdAreNumberedInOrder() {
        Documents ordered = documents(5).orderedBy("name");
        List<String> names = ordered.table().select("name").collectAsList().stream()
                .map(row -> row.getString(0))
                .toList();
        Dataset<Row> numbered = ActivationTable.of(ModelAndSae.DEMO)
                .columns("name")
                .features(8)
                .rows(ordered)
                .select("document", "name")
                .distinct();
        List<Row> found = numbered.collectAsList();
        assertTrue(found.size() > 5);
        for (Row row : found) assertEquals(names.get((int) row.getLong(0)), row.getString(1));
    }

    @Test
    void aTableIsWrittenInBlocksOfFeatures(@TempDir Path folder) {
        Path written = folder.resolve("activations");
        table().write(documents(4), written.toString());
        Dataset<Row> read = Cluster.session().read().parquet(written.toString());
        assertEquals(expected(false, false, all()), lines(read));
        assertArrayEquals(
                new int[] {0},
                read.select("feature_block").distinct().collectAsList().stream()
                        .mapToInt(row -> row.getInt(0))
                        .toArray());
        assertEquals(
                written.toUri().toString().replace("///", "/").replaceAll("/$", "")
                        + " exists already: use another folder, or delete it.",
                assertThrows(InputException.class, () -> table().write(documents(1), written.toString()))
                        .getMessage());
    }

    @Test
    void whatCannotBeDoneIsSaidInASentence(@TempDir Path folder) {
        String place = folder.resolve("new").toString();
        assertEquals(
                "the table has no column 'id'; it has name, source, body.",
                refusal(() -> table().id("id").rows(documents(1))));
        assertEquals(
                "the column 'name' cannot be carried along, because the result has one of that name: rename it with"
                        + " withColumnRenamed.",
                refusal(() -> table().columns("name", "name").rows(documents(1))));
        assertEquals(
                "feature 1024 is outside the SAE's features 0 to 1023.",
                refusal(() -> table().features(1024).write(documents(1), place)));
        assertEquals(
                "rows of 4096 tokens are longer than the 256 that the model can run: choose a context of at most 256.",
                refusal(() -> table().context(4096).write(documents(1), place)));
        assertTrue(folder.toFile().list().length == 0, "nothing is half-written");
    }

    private static String refusal(Runnable action) {
        return assertThrows(InputException.class, action::run).getMessage();
    }

    @Test
    void functionsOfSqlEnrichAndFilter() {
        documents(2).table().createOrReplaceTempView("documents");
        ActiveFeatures.register(Cluster.session(), ModelAndSae.DEMO);
        List<String> exploded = lines(Cluster.session()
                .sql("""
                    SELECT name AS document, source, active.position div 127 AS row_long, active.*
                    FROM documents LATERAL VIEW explode(active_features(body)) AS active
                    """)
                .selectExpr(
                        "document",
                        "source",
                        "cast(row_long AS int) AS row",
                        "cast(position % 127 + 1 AS int) AS position",
                        "token",
                        "feature",
                        "activation"));
        assertEquals(
                lines(ActivationTable.of(ModelAndSae.DEMO)
                        .id("name")
                        .columns("source")
                        .rows(documents(3))),
                exploded);
        List<Row> places = Cluster.session().sql("""
            SELECT name, size(active_features(body)) AS active, strongest_features(body, 3) AS strongest
            FROM documents WHERE exists(active_features(body), f -> f.feature = 8) ORDER BY name
            """).collectAsList();
        assertEquals(
                table().features(8)
                        .context(128)
                        .rows(documents(1))
                        .select("document")
                        .distinct()
                        .count(),
                places.size());
        for (Row place : places) {
            List<Row> strongest = place.getList(2);
            assertEquals(
                    3, strongest.stream().map(row -> row.getInt(2)).distinct().count());
            assertTrue(strongest.get(0).getFloat(3) >= strongest.get(2).getFloat(3));
        }
        Row nothing = Cluster.session()
                .sql("SELECT active_features(CAST(NULL AS string)), size(active_features(''))")
                .first();
        assertTrue(nothing.isNullAt(0));
        assertEquals(0, nothing.getInt(1));
    }
}
