package io.github.panascope.data;

import io.github.panascope.InputException;
import io.github.panascope.internal.AtomicFile;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;
import java.util.function.Function;

/**
 * A writer of tables as Parquet, row by row, with columns of values and of lists of values. A row group is held in
 * memory until it is full, so the number of rows is not limited. Of the choices that the format allows, the writer
 * takes the simplest that every reader supports: one data page of version 1 for each column of a row group, plain
 * values, run-length encoded levels, gzip. Equal rows result in equal bytes.
 *
 * @param <T> the type of a row
 */
public final class ParquetWriter<T> implements AutoCloseable {
    private static final int GROUP_BYTES = 1 << 24;
    private static final int GROUP_ROWS = 1 << 17;
    /**
     * The numbers of the format for repetitions, for a converted type, and for logical types. LIST is the number of a
     * logical type and of a converted type.
     */
    private static final int REQUIRED = 0;

    private static final int OPTIONAL = 1;
    private static final int REPEATED = 2;
    private static final int UTF8 = 0;
    private static final int TEXT = 1;
    private static final int LIST = 3;

    private static final byte[] MAGIC = utf8("PAR1");

    /**
     * The type of the values of a column.
     *
     * @param <V> the Java type of the values
     */
    public static final class Type<V extends Comparable<V>> {
        /** Integers of 4 bytes. */
        public static final Type<Integer> INT32 =
                new Type<>(1, Integer.class, (out, value) -> little(out, value, Integer.BYTES));
        /** Integers of 8 bytes. */
        public static final Type<Long> INT64 =
                new Type<>(2, Long.class, (out, value) -> little(out, value, Long.BYTES));
        /** Floating-point numbers of 4 bytes. */
        public static final Type<Float> FLOAT =
                new Type<>(4, Float.class, (out, value) -> little(out, Float.floatToRawIntBits(value), Float.BYTES));
        /** Floating-point numbers of 8 bytes. */
        public static final Type<Double> DOUBLE = new Type<>(
                5, Double.class, (out, value) -> little(out, Double.doubleToRawLongBits(value), Double.BYTES));
        /** Text in UTF-8. An unpaired surrogate becomes a question mark. */
        public static final Type<String> STRING = new Type<>(6, String.class, (out, value) -> {
            byte[] text = utf8(value);
            little(out, text.length, Integer.BYTES);
            out.writeBytes(text);
        });

        final int number;
        final Class<V> values;
        final BiConsumer<ByteArrayOutputStream, V> plain;

        private Type(int number, Class<V> values, BiConsumer<ByteArrayOutputStream, V> plain) {
            this.number = number;
            this.values = values;
            this.plain = plain;
        }
    }

    /**
     * A column of a table, with a function that returns its value for a row.
     *
     * @param <T> the type of a row
     */
    public static final class Column<T> {
        final String name;
        final Type<?> type;
        /**
         * The highest definition level: 0 for a required value, 1 for a value that may be null, 2 for a list, which may
         * be null or empty.
         */
        final int deepest;

        private final Function<T, ?> value;

        private Column(String name, Type<?> type, int deepest, Function<T, ?> value) {
            this.name = name;
            this.type = type;
            this.deepest = deepest;
            this.value = value;
        }

        /**
         * Makes a column with a value in each row.
         *
         * @param <T>   the type of a row
         * @param <V>   the Java type of the values
         * @param name  the name of the column
         * @param type  the type of the values
         * @param value returns the value for a row, which must not be null
         * @return the column
         */
        public static <T, V extends Comparable<V>> Column<T> required(String name, Type<V> type, Function<T, V> value) {
            return new Column<>(name, type, 0, value);
        }

        /**
         * Makes a column with a value or null in each row.
         *
         * @param <T>   the type of a row
         * @param <V>   the Java type of the values
         * @param name  the name of the column
         * @param type  the type of the values
         * @param value returns the value for a row, or null
         * @return the column
         */
        public static <T, V extends Comparable<V>> Column<T> optional(String name, Type<V> type, Function<T, V> value) {
            return new Column<>(name, type, 1, value);
        }

        /**
         * Makes a column with a list or null in each row.
         *
         * @param <T>   the type of a row
         * @param <V>   the Java type of the elements
         * @param name  the name of the column
         * @param type  the type of the elements
         * @param value returns the list for a row, which may be empty but has no null elements, or null
         * @return the column
         */
        public static <T, V extends Comparable<V>> Column<T> list(
                String name, Type<V> type, Function<T, List<V>> value) {
            return new Column<>(name, type, 2, value);
        }

        List<String> path() {
            return deepest < 2 ? List.of(name) : List.of(name, "list", "element");
        }
    }

    private final AtomicFile file;
    private final List<Column<T>> columns;
    private final Map<String, String> facts;
    private final List<? extends ParquetChunk<?>> chunks;
    private final int groupBytes;
    private final ThriftOutput groups = new ThriftOutput();
    private int groupCount, rowsInGroup;
    private long rows, position;

    private ParquetWriter(AtomicFile file, List<Column<T>> columns, Map<String, String> facts, int groupBytes) {
        this.file = file;
        this.columns = columns;
        this.facts = facts;
        this.chunks = columns.stream()
                .map(column -> new ParquetChunk<>(column, column.type))
                .toList();
        this.groupBytes = groupBytes;
    }

    /**
     * Opens a table to be written row by row: call {@link #add}, then {@link #commit}, and {@link #close} in any case.
     *
     * @param <T>     the type of a row
     * @param file    the file; an existing file is replaced as a whole
     * @param columns the columns of the table, in order; at least one, with distinct names
     * @param facts   facts about the table, by name, which the file's metadata holds
     * @return a table without rows; the caller closes it
     * @throws InputException           if the file cannot be written
     * @throws IllegalArgumentException if there is no column, or two columns have one name
     */
    public static <T> ParquetWriter<T> open(Path file, List<Column<T>> columns, Map<String, String> facts) {
        return open(file, columns, facts, GROUP_BYTES);
    }

    static <T> ParquetWriter<T> open(Path file, List<Column<T>> columns, Map<String, String> facts, int groupBytes) {
        if (columns.isEmpty()
                || columns.stream().map(column -> column.name).distinct().count() < columns.size())
            throw new IllegalArgumentException("a table should have columns, each with a name of its own");
        return new ParquetWriter<>(AtomicFile.open(file), columns, facts, groupBytes);
    }

    /**
     * Adds a row.
     *
     * @param row the row; the function of each column is called with it
     * @throws InputException           if the file cannot be written
     * @throws IllegalArgumentException if a value is null that must not be null
     */
    public void add(T row) {
        file.write(() -> append(row));
    }

    /**
     * Writes the last row group and the footer, and moves the file to its final place.
     *
     * @throws InputException if the file cannot be written
     */
    public void commit() {
        file.write(this::finish);
        file.commit();
    }

    /** Deletes the temporary file, unless it was committed. */
    @Override
    public void close() {
        file.close();
    }

    private void append(T row) throws IOException {
        long size = 0;
        for (int i = 0; i < chunks.size(); i++) {
            chunks.get(i).add(columns.get(i).value.apply(row));
            size += chunks.get(i).size();
        }
        rows++;
        if (++rowsInGroup == GROUP_ROWS || size >= groupBytes) endGroup();
    }

    private void put(byte[] bytes) throws IOException {
        file.out().write(bytes);
        position += bytes.length;
    }

    private void begin() throws IOException {
        if (position == 0) put(MAGIC);
    }

    private void endGroup() throws IOException {
        begin();
        long[] unpacked = {0};
        groups.struct(group -> {
            group.list(1, ThriftOutput.STRUCT, chunks.size());
            try {
                for (ParquetChunk<?> chunk : chunks) put(chunk.page(position, group, unpacked));
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
            group.i64(2, unpacked[0]);
            group.i64(3, rowsInGroup);
        });
        groupCount++;
        rowsInGroup = 0;
    }

    private void finish() throws IOException {
        begin();
        if (rowsInGroup > 0) endGroup();
        ThriftOutput footer = new ThriftOutput();
        footer.struct(file -> {
            file.i32(1, 1); // the version of the format
            file.list(
                    2,
                    ThriftOutput.STRUCT,
                    1
                            + columns.stream()
                                    .mapToInt(column -> column.path().size())
                                    .sum());
            file.struct(root -> {
                root.text(4, "schema");
                root.i32(5, columns.size());
            });
            for (Column<T> column : columns) schema(file, column);
            file.i64(3, rows);
            file.list(4, ThriftOutput.STRUCT, groupCount);
            file.writeBytes(groups.toByteArray());
            file.list(5, ThriftOutput.STRUCT, facts.size());
            facts.forEach((key, value) -> file.struct(fact -> {
                fact.text(1, key);
                fact.text(2, value);
            }));
            file.text(6, "panascope");
            // Each column has the order of its type. Without this entry, readers ignore the smallest and largest value.
            file.list(7, ThriftOutput.STRUCT, columns.size());
            for (int i = 0; i < columns.size(); i++) file.struct(order -> order.struct(1, _ -> {}));
        });
        ByteArrayOutputStream length = new ByteArrayOutputStream();
        little(length, footer.size(), Integer.BYTES);
        for (byte[] bytes : List.of(footer.toByteArray(), length.toByteArray(), MAGIC)) put(bytes);
    }

    private static void schema(ThriftOutput file, Column<?> column) {
        int logical = column.type == Type.STRING ? TEXT : 0;
        if (column.deepest < 2) node(file, column.type, column.deepest, column.name, logical);
        else {
            node(file, null, OPTIONAL, column.name, LIST);
            node(file, null, REPEATED, "list", 0);
            node(file, column.type, REQUIRED, "element", logical);
        }
    }

    /** Writes the schema of a value, or, if the type is null, of a group with a single child, which is written next. */
    private static void node(ThriftOutput file, Type<?> type, int repetition, String name, int logical) {
        file.struct(node -> {
            if (type != null) node.i32(1, type.number);
            node.i32(3, repetition);
            node.text(4, name);
            if (type == null) node.i32(5, 1);
            if (logical == 0) return;
            node.i32(6, logical == LIST ? LIST : UTF8);
            node.struct(10, kind -> kind.struct(logical, _ -> {}));
        });
    }

    static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static void little(ByteArrayOutputStream out, long value, int bytes) {
        for (int i = 0; i < bytes; i++) out.write((int) (value >> Byte.SIZE * i));
    }
}
