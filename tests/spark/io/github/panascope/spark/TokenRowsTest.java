package io.github.panascope.spark;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.panascope.InputException;
import io.github.panascope.data.TextDataset;
import io.github.panascope.demo.DemoBundle;
import io.github.panascope.tokens.ChunkingStrategy;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.tokens.Tokenizer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Rows on Spark are those of one machine, for any partitions of the documents. */
@Tag("spark")
@ExtendWith(Cluster.class)
class TokenRowsTest {
    private static final StructType SCHEMA =
            new StructType().add("id", DataTypes.IntegerType).add("text", DataTypes.StringType);

    private static List<String> texts(int count) {
        List<String> demo = new ArrayList<>();
        TextDataset.of(DemoBundle.find().dataset()).forEach(demo::add);
        return IntStream.range(0, count)
                .mapToObj(i -> demo.get(i % demo.size()))
                .toList();
    }

    private static Dataset<Row> table(List<String> texts) {
        return Cluster.session()
                .createDataFrame(
                        IntStream.range(0, texts.size())
                                .mapToObj(i -> RowFactory.create(i, texts.get(i)))
                                .toList(),
                        SCHEMA);
    }

    @ParameterizedTest
    @EnumSource(ChunkingStrategy.class)
    void rowsAreThoseOfOneMachineForAnyPartitions(ChunkingStrategy chunking) {
        List<String> texts = texts(3_300);
        TokenDataset one = TokenDataset.tokenizeAndConcatenate(texts::forEach, Tokenizer.gpt2(), chunking, 64);
        Random random = new Random(5);
        for (int partitions : new int[] {1, 3, 1 + random.nextInt(20)}) {
            Documents documents =
                    Documents.of(table(texts).repartition(partitions), "text").orderedBy("id");
            try (TokenRows rows = TokenRows.of(documents, ModelAndSae.DEMO, chunking, 64, true)) {
                assertEquals(one.rows(), rows.rows());
                assertEquals(texts.size(), rows.documents());
                Map<Long, int[]> found = rows.rdd().collectAsMap();
                assertEquals(one.rows(), found.size());
                for (int row = 0; row < one.rows(); row++) assertArrayEquals(one.row(row), found.get((long) row));
            }
        }
    }

    @Test
    void documentsWithoutTextAreLeftOutAndOthersKeepTheirOrder() {
        List<String> texts = new ArrayList<>(texts(1_500));
        for (int i = 0; i < texts.size(); i += 7) texts.set(i, null);
        List<String> there = texts.stream().filter(text -> text != null).toList();
        TokenDataset one = TokenDataset.tokenizeAndConcatenate(
                there::forEach, Tokenizer.gpt2(), ChunkingStrategy.CHARACTER_CHUNKS, 32);
        Documents documents = Documents.of(table(texts), "text");
        try (TokenRows rows = TokenRows.of(documents, ModelAndSae.DEMO, ChunkingStrategy.CHARACTER_CHUNKS, 32, true)) {
            assertEquals(one.rows(), rows.rows());
            assertArrayEquals(
                    one.row(one.rows() - 1), rows.rdd().lookup(one.rows() - 1L).getFirst());
        }
    }

    @Test
    void aTableWithoutTextIsRefusedInASentence() {
        Dataset<Row> table = table(List.of("a"));
        assertEquals(
                "the table has no column 'content'; it has id, text.",
                assertThrows(InputException.class, () -> Documents.of(table, "content"))
                        .getMessage());
        assertEquals(
                "the column 'id' should hold text, not int.",
                assertThrows(InputException.class, () -> Documents.of(table, "id"))
                        .getMessage());
        Documents blank = Documents.of(table(List.of(" \n")), "text");
        assertEquals(
                "the dataset is empty: its 1 documents hold nothing but white space.",
                assertThrows(
                                InputException.class,
                                () -> TokenRows.of(
                                        blank, ModelAndSae.DEMO, ChunkingStrategy.CHARACTER_CHUNKS, 32, true))
                        .getMessage());
    }
}
