package io.github.panascope.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.hardwood.InputFile;
import dev.hardwood.metadata.RowGroup;
import dev.hardwood.metadata.Statistics;
import dev.hardwood.reader.ParquetFileReader;
import dev.hardwood.reader.RowReader;
import dev.hardwood.row.PqList;
import io.github.panascope.InputException;
import io.github.panascope.data.ParquetWriter.Column;
import io.github.panascope.data.ParquetWriter.Type;
import io.github.panascope.hub.Hub;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Consumer;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Tables written, and read again by the library that reads datasets. By another one: tests/peers/check_table.py. */
class ParquetWriterTest {
    private static final List<String> TEXTS = List.of(
            "",
            " ",
            "the",
            "\u0000",
            "\n\r\t\"',;\\",
            "<script>",
            "PAR1",
            "\u00e9\u4e2d\ud83d\ude00\ufffd\uffff",
            "NaN",
            "null",
            "x".repeat(70_000));

    @TempDir
    private Path folder;

    private record Row(
            int i,
            long l,
            float f,
            double d,
            String s,
            Integer ni,
            Long nl,
            Float nf,
            Double nd,
            String ns,
            List<Integer> li,
            List<Long> ll,
            List<Float> lf,
            List<Double> ld,
            List<String> ls) {
        static Row random(Random random) {
            return new Row(
                    random.nextInt(),
                    random.nextLong(),
                    anyFloat(random),
                    anyDouble(random),
                    text(random),
                    orNull(random, random::nextInt),
                    orNull(random, random::nextLong),
                    orNull(random, () -> anyFloat(random)),
                    orNull(random, () -> anyDouble(random)),
                    orNull(random, () -> text(random)),
                    list(random, random::nextInt),
                    list(random, random::nextLong),
                    list(random, () -> anyFloat(random)),
                    list(random, () -> anyDouble(random)),
                    list(random, () -> text(random)));
        }

        private static float anyFloat(Random random) {
            float[] special = {0f, -0f, Float.NaN, Float.NEGATIVE_INFINITY, Float.MAX_VALUE, Float.MIN_VALUE};
            return random.nextInt(4) == 0 ? special[random.nextInt(special.length)] : (float) random.nextGaussian();
        }

        private static double anyDouble(Random random) {
            double[] special = {0, -0.0, Double.NaN, Double.POSITIVE_INFINITY, -Double.MAX_VALUE, Double.MIN_VALUE};
            return random.nextInt(4) == 0 ? special[random.nextInt(special.length)] : random.nextGaussian();
        }

        private static String text(Random random) {
            return TEXTS.get(random.nextInt(random.nextInt(50) == 0 ? TEXTS.size() : TEXTS.size() - 1));
        }

        private static <V> V orNull(Random random, Supplier<V> value) {
            return random.nextInt(3) == 0 ? null : value.get();
        }

        private static <V> List<V> list(Random random, Supplier<V> value) {
            return orNull(
                    random,
                    () -> Stream.generate(value)
                            .limit(random.nextInt(20) == 0 ? 300 : random.nextInt(4))
                            .toList());
        }
    }

    private static final List<Column<Row>> COLUMNS = List.of(
            Column.required("i", Type.INT32, Row::i),
            Column.required("l", Type.INT64, Row::l),
            Column.required("f", Type.FLOAT, Row::f),
            Column.required("d", Type.DOUBLE, Row::d),
            Column.required("s", Type.STRING, Row::s),
            Column.optional("ni", Type.INT32, Row::ni),
            Column.optional("nl", Type.INT64, Row::nl),
            Column.optional("nf", Type.FLOAT, Row::nf),
            Column.optional("nd", Type.DOUBLE, Row::nd),
            Column.optional("a \"name\", with . in \u00e9", Type.STRING, Row::ns),
            Column.list("li", Type.INT32, Row::li),
            Column.list("ll", Type.INT64, Row::ll),
            Column.list("lf", Type.FLOAT, Row::lf),
            Column.list("ld", Type.DOUBLE, Row::ld),
            Column.list("ls", Type.STRING, Row::ls));

    private interface Action {
        void accept(ParquetFileReader reader) throws IOException;
    }

    private static void read(Path file, Action action) throws IOException {
        try (InputFile input = InputFile.of(file);
                ParquetFileReader reader = ParquetFileReader.open(input)) {
            action.accept(reader);
        }
    }

    private static Object value(RowReader rows, int column) {
        return rows.isNull(column)
                ? null
                : rows.getValue(column) instanceof PqList list ? list.values() : rows.getValue(column);
    }

    private static List<List<Object>> rows(Path file, int columns) throws IOException {
        List<List<Object>> found = new ArrayList<>();
        read(file, reader -> {
            try (RowReader rows = reader.rowReader()) {
                while (rows.hasNext()) {
                    rows.next();
                    found.add(IntStream.range(0, columns)
                            .mapToObj(column -> value(rows, column))
                            .collect(ArrayList::new, ArrayList::add, ArrayList::addAll));
                }
            }
        });
        return found;
    }

    private static List<Row> random(int count) {
        Random random = new Random(count);
        return Stream.generate(() -> Row.random(random)).limit(count).toList();
    }

    private static <T> void write(
            Path file, List<Column<T>> columns, Map<String, String> facts, Consumer<Consumer<T>> rows) {
        try (ParquetWriter<T> writer = ParquetWriter.open(file, columns, facts)) {
            rows.accept(writer::add);
            writer.commit();
        }
    }

    private static <T> void write(
            Path file, List<Column<T>> columns, Map<String, String> facts, int groupBytes, Consumer<Consumer<T>> rows) {
        try (ParquetWriter<T> writer = ParquetWriter.open(file, columns, facts, groupBytes)) {
            rows.accept(writer::add);
            writer.commit();
        }
    }

    // ------------------------------------------------------------------------------------------------- what comes back

    @ParameterizedTest
    @CsvSource({"0, 1000, 0", "1, 1000, 1", "7, 1, 7", "700, 20000, 0", "3000, 16777216, 1"})
    void allTypesNullsAndListsComeBack(int count, int groupBytes, int expectedGroups) throws IOException {
        List<Row> rows = random(count);
        Path file = folder.resolve("a/table.parquet");
        write(file, COLUMNS, Map.of(), groupBytes, rows::forEach);
        List<List<Object>> expected = rows.stream()
                .map(row -> Arrays.<Object>asList(
                        row.i, row.l, row.f, row.d, row.s, row.ni, row.nl, row.nf, row.nd, row.ns, row.li, row.ll,
                        row.lf, row.ld, row.ls))
                .toList();
        assertEquals(expected, rows(file, COLUMNS.size()));
        read(file, reader -> {
            assertEquals(count, reader.getFileMetaData().numRows());
            List<RowGroup> groups = reader.getFileMetaData().rowGroups();
            assertEquals(count, groups.stream().mapToLong(RowGroup::numRows).sum());
            if (expectedGroups > 0 || count == 0) assertEquals(expectedGroups, groups.size());
            else assertTrue(groups.size() > 15, groups.size() + " groups");
        });
        Path again = folder.resolve("again.parquet");
        write(again, COLUMNS, Map.of(), groupBytes, rows::forEach);
        assertArrayEquals(Files.readAllBytes(file), Files.readAllBytes(again));
    }

    @Test
    void datasetsReadIt() throws IOException {
        Path file = folder.resolve("dataset.parquet");
        List<List<Integer>> rows = List.of(List.of(1, 2), List.of(), List.of(50256), List.of(3, 4, 5));
        List<Column<List<Integer>>> columns = List.of(
                Column.required("text", Type.STRING, row -> "text of " + row),
                Column.list("tokens", Type.INT32, row -> row));
        write(file, columns, Map.of(), 20, rows::forEach);
        assertEquals(
                rows.stream().map(row -> "text of " + row).toList(),
                TextDataset.of(file.toString(), Hub.fromEnvironment()).documents());
        List<List<Integer>> tokens = new ArrayList<>();
        ParquetFile.tokens(
                file,
                List.of("tokens"),
                ids -> tokens.add(Arrays.stream(ids).boxed().toList()));
        assertEquals(rows, tokens);
    }

    @Test
    void aGroupHasAsManyRowsAsALevelCanCount() throws IOException {
        Path file = folder.resolve("nulls.parquet");
        write(
                file,
                List.of(Column.<Integer, Integer>optional("none", Type.INT32, row -> null)),
                Map.of(),
                rows -> IntStream.range(0, 300_000).forEach(rows::accept));
        read(
                file,
                reader -> assertEquals(
                        List.of(131072L, 131072L, 37856L),
                        reader.getFileMetaData().rowGroups().stream()
                                .map(RowGroup::numRows)
                                .toList()));
        assertTrue(Files.size(file) < 2000);
    }

    @Test
    void halfASurrogatePairBecomesAQuestionMark() throws IOException {
        Path file = folder.resolve("half.parquet");
        write(
                file,
                List.of(Column.<String, String>required("text", Type.STRING, row -> row)),
                Map.of(),
                rows -> rows.accept("a\ud83d"));
        assertEquals(List.of(List.of("a?")), rows(file, 1));
    }

    @Test
    void factsAndStatisticsAreInTheFooter() throws IOException {
        Path file = folder.resolve("facts.parquet");
        List<Column<Double>> columns = List.of(
                Column.required("d", Type.DOUBLE, row -> row),
                Column.optional("n", Type.INT32, row -> row < 0 ? null : row.intValue()),
                Column.list("f", Type.FLOAT, row -> List.of(row.floatValue(), Float.NaN)),
                Column.optional("none", Type.INT64, _ -> null),
                Column.required("s", Type.STRING, Object::toString));
        Map<String, String> facts = Map.of("Model", "gpt2-small", "", "\u00e9\u0000", "long", "y".repeat(1 << 17));
        write(file, columns, facts, List.of(2.5, -3.0, 7.0)::forEach);
        read(file, reader -> {
            assertEquals(facts, reader.getFileMetaData().keyValueMetadata());
            List<Statistics> found = reader.getFileMetaData().rowGroups().getFirst().columns().stream()
                    .map(column -> column.metaData().statistics())
                    .toList();
            assertEquals(
                    List.of(0L, 1L, 0L, 3L, 0L),
                    found.stream().map(Statistics::nullCount).toList());
            assertEquals(
                    -3,
                    ByteBuffer.wrap(found.getFirst().minValue())
                            .order(ByteOrder.LITTLE_ENDIAN)
                            .getDouble());
            assertEquals(
                    7,
                    ByteBuffer.wrap(found.getFirst().maxValue())
                            .order(ByteOrder.LITTLE_ENDIAN)
                            .getDouble());
            assertArrayEquals(new byte[] {2, 0, 0, 0}, found.get(1).minValue());
            assertArrayEquals(new byte[] {7, 0, 0, 0}, found.get(1).maxValue());
            for (Statistics none : found.subList(2, 5)) assertNull(none.minValue());
        });
    }

    // ------------------------------------------------------------------------------------------------- what is refused

    @Test
    void aFileIsThereWholeOrNotAtAll() throws IOException {
        Path file = folder.resolve("table.parquet");
        List<Row> rows = random(5);
        write(file, COLUMNS, Map.of(), rows::forEach);
        byte[] before = Files.readAllBytes(file);
        assertThrows(
                ArithmeticException.class,
                () -> write(file, COLUMNS, Map.of(), 1, consumer -> {
                    rows.forEach(consumer);
                    throw new ArithmeticException();
                }));
        List<Column<Row>> required = List.of(
                Column.required("ns", Type.STRING, Row::ns),
                Column.list("i", Type.INT32, row -> Arrays.asList(row.i, row.ni)));
        assertEquals(
                "column 'ns' should have a value, not null",
                assertThrows(
                                IllegalArgumentException.class,
                                () -> write(file, required.subList(0, 1), Map.of(), random(50)::forEach))
                        .getMessage());
        assertEquals(
                "column 'i' should have a value, not null",
                assertThrows(
                                IllegalArgumentException.class,
                                () -> write(file, required.subList(1, 2), Map.of(), random(50)::forEach))
                        .getMessage());
        assertThrows(
                IllegalArgumentException.class,
                () -> write(file, List.of(COLUMNS.getFirst(), COLUMNS.getFirst()), Map.of(), rows::forEach));
        assertThrows(
                IllegalArgumentException.class, () -> write(file, List.<Column<Row>>of(), Map.of(), rows::forEach));
        assertArrayEquals(before, Files.readAllBytes(file));
        try (var files = Files.list(folder)) {
            assertEquals(List.of(file), files.toList());
        }
    }

    @Test
    void whereItCannotBeWrittenASentenceSaysSo() {
        assertEquals(
                folder + " cannot be written: it is a folder.",
                assertThrows(InputException.class, () -> write(folder, COLUMNS, Map.of(), random(5)::forEach))
                        .getMessage());
        Path full = Path.of("/dev/full");
        assumeTrue(Files.exists(full));
        assertEquals(
                "/dev/full cannot be written: No space left on device.",
                assertThrows(InputException.class, () -> write(full, COLUMNS, Map.of(), 1, random(5)::forEach))
                        .getMessage());
    }
}
