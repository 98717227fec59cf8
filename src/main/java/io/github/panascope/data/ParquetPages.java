package io.github.panascope.data;

import dev.hardwood.metadata.ColumnMetaData;
import dev.hardwood.metadata.CompressionCodec;
import dev.hardwood.metadata.RowGroup;
import io.github.panascope.InputException;
import java.io.EOFException;
import java.io.IOException;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/**
 * A check of the page headers of a column before the library reads it. In a damaged file the library may loop
 * endlessly, or allocate as much memory as the file claims to need. Follows the PageHeader of the Parquet format, in
 * Thrift's compact protocol.
 */
final class ParquetPages {
    private static final int STRUCT = 12;
    private static final int MAX_DEPTH = 16;
    private static final int FIRST_WINDOW = 1 << 10;
    private static final int MAX_WINDOW = 1 << 24;
    /** The largest ratio of decompressed to compressed size of a page; no text is more repetitive. */
    private static final long MAX_RATIO = 4096;

    private static final long ALWAYS = 1 << 20;

    private static final Set<CompressionCodec> CODECS = EnumSet.of(
            CompressionCodec.UNCOMPRESSED, CompressionCodec.SNAPPY, CompressionCodec.GZIP, CompressionCodec.ZSTD);

    private final Path file;
    private final FileChannel channel;

    private ParquetPages(Path file, FileChannel channel) {
        this.file = file;
        this.channel = channel;
    }

    /**
     * Checks that the pages of a column lie one after the other where the footer of the file says, with as many values.
     *
     * @throws InputException if they do not
     */
    static void check(Path file, List<RowGroup> groups, int column) throws IOException {
        try (FileChannel channel = FileChannel.open(file)) {
            ParquetPages pages = new ParquetPages(file, channel);
            for (RowGroup group : groups) {
                if (column >= group.columns().size()) throw pages.damaged("a row group lacks a column");
                pages.check(group, group.columns().get(column).metaData());
            }
        }
    }

    private void check(RowGroup group, ColumnMetaData column) throws IOException {
        if (!CODECS.contains(column.codec()))
            throw new InputException(file + " is compressed with " + column.codec() + "; " + CODECS
                    + " are supported: write it again with one of these.");
        if (column.numValues() == 0 && group.numRows() == 0) return;
        Long dictionary = column.dictionaryPageOffset();
        long at = dictionary != null && dictionary > 0
                ? Math.min(dictionary, column.dataPageOffset())
                : column.dataPageOffset();
        long size = channel.size();
        if (at < 4 || column.totalCompressedSize() < 0 || at > size || column.totalCompressedSize() > size - at)
            throw damaged("a column's pages lie outside it");
        if (group.numRows() < 0 || column.numValues() < 0) throw damaged("it counts less than nothing");
        long end = at + column.totalCompressedSize();
        long values = 0;
        while (at < end && values < column.numValues()) {
            Header header = header(at, end);
            at += header.length;
            if (header.packed < 0 || header.packed > end - at) throw damaged("a page ends after its column");
            if (header.unpacked < 0 || header.unpacked > MAX_RATIO * header.packed + ALWAYS)
                throw damaged("a page of " + header.packed + " bytes would unpack to " + header.unpacked);
            if (header.values < 0) throw damaged("it counts less than nothing");
            if (header.hasData) values += header.values;
            at += header.packed;
        }
        if (values != column.numValues())
            throw damaged("a column should have " + column.numValues() + " values, and its pages have " + values);
    }

    private InputException damaged(String what) {
        return new InputException(file + " is damaged: " + what + ". Fetch it again.");
    }

    // ------------------------------------------------------------------------------------------------- headers

    /** The relevant values of a PageHeader. */
    private static final class Header {
        private int length;
        private boolean hasData;
        private long unpacked = -1;
        private long packed = -1;
        private long values;
    }

    /** Reads the header of a page. Headers are short, unless they contain the minimum and the maximum of long texts. */
    private Header header(long at, long end) throws IOException {
        for (long window = FIRST_WINDOW; ; window <<= 4) {
            int length = (int) Math.min(Math.min(window, MAX_WINDOW), end - at);
            ByteBuffer bytes = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
            while (bytes.hasRemaining())
                if (channel.read(bytes, at + bytes.position()) < 0)
                    throw new EOFException("it became shorter while it was read");
            bytes.flip();
            Header header = new Header();
            try {
                readHeader(bytes, header);
                header.length = bytes.position();
                return header;
            } catch (BufferUnderflowException | IllegalArgumentException e) {
                if (window >= MAX_WINDOW || length == end - at) throw damaged("a page's header is none");
            }
        }
    }

    private void readHeader(ByteBuffer bytes, Header header) {
        int field = 0;
        for (int head; (head = bytes.get() & 0xff) != 0; ) {
            field = field(bytes, head, field);
            int type = head & 15;
            switch (field) {
                case 1 -> header.hasData = zigzag(bytes) != 2; // a dictionary page holds no values of the column itself
                case 2 -> header.unpacked = zigzag(bytes);
                case 3 -> header.packed = zigzag(bytes);
                case 5, 8 -> header.values = firstNumber(bytes, type);
                default -> skip(bytes, type, 0);
            }
        }
    }

    private static int field(ByteBuffer bytes, int head, int last) {
        return head >> 4 != 0 ? last + (head >> 4) : (int) zigzag(bytes);
    }

    /** Returns field 1 of a structure, which is the number of values in both kinds of data page. */
    private long firstNumber(ByteBuffer bytes, int type) {
        if (type != STRUCT) throw damaged("a page's header is none");
        long first = -1;
        int field = 0;
        for (int head; (head = bytes.get() & 0xff) != 0; ) {
            field = field(bytes, head, field);
            if (field == 1) first = zigzag(bytes);
            else skip(bytes, head & 15, 0);
        }
        return first;
    }

    private static long varint(ByteBuffer bytes) {
        long value = 0;
        for (int shift = 0; shift < Long.SIZE; shift += 7) {
            byte next = bytes.get();
            value |= (next & 127L) << shift;
            if (next >= 0) return value;
        }
        throw new BufferUnderflowException();
    }

    private static long zigzag(ByteBuffer bytes) {
        long value = varint(bytes);
        return value >>> 1 ^ -(value & 1);
    }

    private void skip(ByteBuffer bytes, int type, int depth) {
        if (depth > MAX_DEPTH) throw damaged("a page's header is nested too deeply");
        switch (type) {
            case 1, 2 -> {} // a boolean is encoded in its type
            case 3 -> bytes.get();
            case 4, 5, 6 -> varint(bytes);
            case 7 -> skip(bytes, Double.BYTES);
            case 8 -> skip(bytes, varint(bytes));
            case 9, 10 -> {
                int head = bytes.get() & 0xff;
                long count = head >> 4 == 15 ? varint(bytes) : head >> 4;
                skipElements(bytes, count, head & 15, depth);
            }
            case 11 -> {
                long count = varint(bytes);
                int types = count == 0 ? 0 : bytes.get() & 0xff;
                for (long i = 0; i < count; i++) {
                    skipElements(bytes, 1, types >> 4, depth);
                    skipElements(bytes, 1, types & 15, depth);
                }
            }
            case STRUCT -> {
                int field = 0;
                for (int head; (head = bytes.get() & 0xff) != 0; ) {
                    field = field(bytes, head, field);
                    skip(bytes, head & 15, depth + 1);
                }
            }
            default -> throw damaged("a page's header is none");
        }
    }

    /** Skips elements of a collection, in which a boolean takes a byte of its own. */
    private void skipElements(ByteBuffer bytes, long count, int type, int depth) {
        for (long i = 0; i < count; i++) {
            if (type == 1 || type == 2) bytes.get();
            else skip(bytes, type, depth + 1);
        }
    }

    private static void skip(ByteBuffer bytes, long length) {
        if (length < 0 || length > bytes.remaining()) throw new BufferUnderflowException();
        bytes.position(bytes.position() + (int) length);
    }
}
