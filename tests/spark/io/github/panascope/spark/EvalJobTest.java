package io.github.panascope.spark;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import io.github.panascope.data.TextDataset;
import io.github.panascope.demo.DemoBundle;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.metrics.SaeEvals;
import io.github.panascope.metrics.TutorialMetrics;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.ChunkingStrategy;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Torch;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Evaluations on Spark have the bits of the library's own on one machine, for any partitions. */
@Tag("spark")
@ExtendWith(Cluster.class)
class EvalJobTest {
    private static final StructType SCHEMA = new StructType()
            .add("id", DataTypes.IntegerType)
            .add("source", DataTypes.StringType)
            .add("text", DataTypes.StringType);

    private static final int CONTEXT = 16;
    /** Of the rows of a corpus: logits take most of the time, and short rows make several units of few tokens. */
    private static final int SHORT = 4;

    private static List<String> texts(int count) {
        List<String> demo = new ArrayList<>();
        TextDataset.of(DemoBundle.find().dataset()).forEach(demo::add);
        return demo.subList(0, count);
    }

    private static String source(int document) {
        return document % 3 == 0 ? null : "s" + document % 3;
    }

    private static Documents documents(List<String> texts, int partitions) {
        return Documents.of(
                        Cluster.session()
                                .createDataFrame(
                                        IntStream.range(0, texts.size())
                                                .mapToObj(i -> RowFactory.create(i, source(i), texts.get(i)))
                                                .toList(),
                                        SCHEMA)
                                .repartition(partitions),
                        "text")
                .orderedBy("id");
    }

    /** What a test computes with the library, on one thread. */
    private interface Library<T> {
        T run(HookedTransformer model, Sae sae);
    }

    private static <T> T onOneMachine(Library<T> library) {
        try (var _ = TensorScope.open();
                var _ = Torch.singleThreaded();
                var model = HookedTransformer.fromPretrained(DemoBundle.find().model());
                var sae = Sae.fromPretrained(DemoBundle.find().sae())) {
            return library.run(model, sae);
        }
    }

    @Test
    void metricsOfACorpusHaveTheBitsOfOneMachine() throws IOException {
        List<String> texts = texts(90);
        int[] rows = {0};
        byte[][] expected = onOneMachine((model, sae) -> {
            TokenDataset tokens = TokenDataset.tokenizeAndConcatenate(
                    texts::forEach, model.tokenizer(), ChunkingStrategy.CHARACTER_CHUNKS, SHORT);
            rows[0] = tokens.rows();
            Tensor all = tokens.batch(0, tokens.rows());
            return new byte[][] {
                bytes(TutorialMetrics.run(model, sae, all, 10, _ -> {})),
                bytes(SaeEvals.run(model, sae, all, 24, tokens.rows(), true, _ -> {}))
            };
        });
        assertTrue(rows[0] > 2 * 264 && rows[0] % 24 != 0, rows[0] + " rows are three units, and no whole batches");
        for (int partitions : new int[] {1, 5}) {
            try (TokenRows tokens = TokenRows.of(
                    documents(texts, partitions), ModelAndSae.DEMO, ChunkingStrategy.CHARACTER_CHUNKS, SHORT, true)) {
                EvalJob job = EvalJob.of(ModelAndSae.DEMO).rowsAtOnce(10).batchSizePrompts(24);
                assertArrayEquals(expected[0], bytes(job.tutorial(tokens)), partitions + " partitions");
                assertArrayEquals(expected[1], bytes(job.evals(tokens)), partitions + " partitions");
            }
        }
    }

    private static byte[] bytes(TutorialMetrics metrics) {
        return written(metrics::writeTo);
    }

    private static byte[] bytes(SaeEvals evals) {
        return written(evals::writeTo);
    }

    private interface Written {
        void writeTo(DataOutputStream out) throws IOException;
    }

    private static byte[] written(Written content) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (DataOutputStream out = new DataOutputStream(bytes)) {
            content.writeTo(out);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
        return bytes.toByteArray();
    }

    /** Short documents, one of many rows, one of a single token, an empty one, and one of special tokens alone. */
    private static List<String> someTexts() {
        List<String> texts = new ArrayList<>(texts(12));
        texts.add(String.join(" ", texts(20)));
        texts.addAll(List.of("Hello", "", "<|endoftext|>"));
        return texts;
    }

    /** The library's evaluation of each document, row by row. */
    private static List<SaeEvals> evaluated(List<String> texts) {
        return onOneMachine((model, sae) -> {
            List<SaeEvals> all = new ArrayList<>();
            int endOfText = model.tokenizer().eos();
            for (String text : texts) {
                SaeEvals evals = new SaeEvals();
                int[] ids = model.tokenizer().encode(text);
                for (int first = 0; first < ids.length; first += CONTEXT - 1) {
                    long[] row = IntStream.concat(
                                    IntStream.of(endOfText),
                                    IntStream.of(ids).skip(first).limit(CONTEXT - 1))
                            .asLongStream()
                            .toArray();
                    if (text.equals("<|endoftext|>")) continue;
                    Tensor tokens = Tensor.of(row, Shape.of(1, row.length));
                    evals.merge(SaeEvals.run(model, sae, tokens, 1, 1, true, _ -> {}));
                }
                all.add(evals);
            }
            return all;
        });
    }

    /** A line of a table against an evaluation. */
    private static void assertLine(SaeEvals expected, Row line, String name) {
        assertEquals(expected.positions(), line.<Long>getAs("positions"), name);
        Map<String, Double> metrics = new TreeMap<>();
        expected.metrics().values().forEach(metrics::putAll);
        metrics.keySet().removeAll(List.of("explained_variance_legacy", "relative_reconstruction_bias"));
        assertEquals(15, metrics.size());
        metrics.forEach((metric, value) ->
                assertEquals(value.isNaN() ? null : value, line.getAs(metric), name + ": " + metric));
    }

    @Test
    void documentsAreEvaluatedByThemselves() {
        List<String> texts = someTexts();
        List<SaeEvals> expected = evaluated(texts);
        for (int partitions : new int[] {1, 4}) {
            Dataset<Row> table = DocumentEvals.of(ModelAndSae.DEMO)
                    .id("id")
                    .columns("source")
                    .context(CONTEXT)
                    .rows(documents(texts, partitions));
            List<Row> lines = table.orderBy("document").collectAsList();
            assertEquals(texts.size(), lines.size());
            for (Row line : lines) {
                int document = line.getAs("document");
                assertEquals(source(document), line.getAs("source"));
                assertLine(expected.get(document), line, "document " + document);
            }
            assertTrue(lines.get(13).isNullAt(lines.get(13).fieldIndex("ce_loss_with_sae")));
            assertTrue(lines.get(14).isNullAt(lines.get(14).fieldIndex("l0")));
        }
    }

    @Test
    void groupsOfDocumentsAreMergedExactly() {
        List<String> texts = someTexts();
        List<SaeEvals> evals = evaluated(texts);
        Map<String, List<Integer>> groups = IntStream.range(0, texts.size())
                .boxed()
                .collect(Collectors.groupingBy(document -> String.valueOf(source(document))));
        for (int partitions : new int[] {1, 4}) {
            List<Row> lines = DocumentEvals.of(ModelAndSae.DEMO)
                    .context(CONTEXT)
                    .by(documents(texts, partitions), "source")
                    .collectAsList();
            assertEquals(groups.size(), lines.size());
            for (Row line : lines) {
                String source = String.valueOf(line.<String>getAs("source"));
                SaeEvals expected = new SaeEvals();
                groups.get(source).reversed().forEach(document -> expected.merge(evals.get(document)));
                assertEquals(
                        groups.get(source).size(), line.<Long>getAs("documents").intValue());
                assertLine(expected, line, source);
            }
        }
    }

    @Test
    void whatCannotBeDoneIsSaidInASentence() {
        Documents documents = documents(List.of("a"), 1);
        assertEquals(
                "the table has no column 'language'; it has id, source, text.",
                assertThrows(
                                InputException.class,
                                () -> DocumentEvals.of(ModelAndSae.DEMO).by(documents, "language"))
                        .getMessage());
        ModelAndSae missing = ModelAndSae.of("/nowhere/sae");
        try (TokenRows rows =
                TokenRows.of(documents(texts(40), 2), ModelAndSae.DEMO, ChunkingStrategy.CHARACTER_CHUNKS, 16, true)) {
            String message = assertThrows(
                            InputException.class, () -> EvalJob.of(missing).tutorial(rows))
                    .getMessage();
            assertTrue(message.contains("/nowhere/sae") && message.endsWith("."), message);
        }
    }
}
