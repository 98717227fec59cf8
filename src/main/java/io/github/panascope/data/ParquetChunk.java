package io.github.panascope.data;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.List;
import java.util.zip.GZIPOutputStream;

/**
 * The content of a column in the row group that is being filled: its values, and their repetition and definition
 * levels.
 */
final class ParquetChunk<V extends Comparable<V>> {
    /** The numbers of the format for a page type, encodings and a compression. */
    private static final int DATA_PAGE = 0;

    private static final int PLAIN = 0;
    private static final int RLE = 3;
    private static final int GZIP = 2;

    private final ParquetWriter.Column<?> column;
    private final ParquetWriter.Type<V> type;
    private final Levels repetitions = new Levels();
    private final Levels definitions = new Levels();
    private final ByteArrayOutputStream values = new ByteArrayOutputStream();
    private int count, nulls;
    private boolean ordered;
    private V least, largest;

    ParquetChunk(ParquetWriter.Column<?> column, ParquetWriter.Type<V> type) {
        this.column = column;
        this.type = type;
        clear();
    }

    private void clear() {
        for (ByteArrayOutputStream part : List.of(repetitions, definitions, values)) part.reset();
        count = nulls = 0;
        ordered = type != ParquetWriter.Type.STRING; // texts may be long, and Java orders them differently from UTF-8
        least = largest = null;
    }

    int size() {
        return repetitions.size() + definitions.size() + values.size();
    }

    void add(Object value) {
        if (column.deepest < 2) add(0, value == null ? 0 : column.deepest, value);
        else if (!(value instanceof List<?> list)) add(0, 0, null);
        else if (list.isEmpty()) add(0, 1, null);
        else for (int i = 0; i < list.size(); i++) add(Math.min(i, 1), 2, list.get(i));
    }

    private void add(int repetition, int definition, Object object) {
        count++;
        repetitions.add(repetition);
        definitions.add(definition);
        if (definition < column.deepest) {
            nulls++;
            return;
        }
        if (object == null)
            throw new IllegalArgumentException("column '" + column.name + "' should have a value, not null");
        V value = type.values.cast(object);
        type.plain.accept(values, value);
        if (!ordered) return;
        ordered = !Double.isNaN(((Number) value).doubleValue()); // readers differ in how they order NaN
        if (least == null || value.compareTo(least) < 0) least = value;
        if (largest == null || value.compareTo(largest) > 0) largest = value;
    }

    /**
     * Ends the row group of this column and returns its page.
     *
     * @param at     the offset of the page in the file
     * @param footer receives the metadata of the column
     * @param sizes  the first element is increased by the size of the page before compression
     */
    byte[] page(long at, ThriftOutput footer, long[] sizes) throws IOException {
        List<ByteArrayOutputStream> parts = switch (column.deepest) { // levels are written only if they can differ
            case 0 -> List.of(values);
            case 1 -> List.of(definitions.withLength(), values);
            default -> List.of(repetitions.withLength(), definitions.withLength(), values);
        };
        int unpacked = parts.stream().mapToInt(ByteArrayOutputStream::size).sum();
        ByteArrayOutputStream packed = new ByteArrayOutputStream();
        try (GZIPOutputStream zipped = new GZIPOutputStream(packed)) {
            for (ByteArrayOutputStream part : parts) part.writeTo(zipped);
        }
        ThriftOutput page = new ThriftOutput();
        page.struct(header -> {
            header.i32(1, DATA_PAGE);
            header.i32(2, unpacked);
            header.i32(3, packed.size());
            header.struct(5, data -> {
                data.i32(1, count);
                data.i32(2, PLAIN);
                data.i32(3, RLE);
                data.i32(4, RLE);
            });
        });
        int header = page.size();
        packed.writeTo(page);
        sizes[0] += header + unpacked;
        footer.struct(chunk -> {
            chunk.i64(2, 0);
            chunk.struct(3, about -> {
                about.i32(1, type.number);
                about.list(2, ThriftOutput.I32, 2);
                about.number(PLAIN);
                about.number(RLE);
                about.list(3, ThriftOutput.BINARY, column.path().size());
                column.path().forEach(name -> about.binary(ParquetWriter.utf8(name)));
                about.i32(4, GZIP);
                about.i64(5, count);
                about.i64(6, header + unpacked);
                about.i64(7, page.size());
                about.i64(9, at);
                about.struct(12, this::statistics);
            });
        });
        clear();
        return page.toByteArray();
    }

    private void statistics(ThriftOutput about) {
        about.i64(3, nulls);
        if (!ordered || least == null) return;
        about.binary(5, plain(largest));
        about.binary(6, plain(least));
    }

    private byte[] plain(V value) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        type.plain.accept(bytes, value);
        return bytes.toByteArray();
    }

    /** Levels, run-length encoded: for each run of equal levels a varint of twice its length, and the level. */
    private static final class Levels extends ByteArrayOutputStream {
        private int level, length;

        void add(int next) {
            if (next != level) end();
            level = next;
            length++;
        }

        private void end() {
            if (length == 0) return;
            ThriftOutput.varint(this, 2L * length);
            write(level);
            length = 0;
        }

        ByteArrayOutputStream withLength() {
            end();
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            ParquetWriter.little(bytes, size(), Integer.BYTES);
            bytes.writeBytes(toByteArray());
            return bytes;
        }
    }
}
