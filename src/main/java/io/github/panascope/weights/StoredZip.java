package io.github.panascope.weights;

import io.github.panascope.InputException;
import io.github.panascope.torch.MappedFile;
import java.io.IOException;
import java.io.InputStream;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.Inflater;
import java.util.zip.InflaterInputStream;

/**
 * The positions of the entries of a zip archive in a mapped file. Entries that are stored without compression, as
 * Python's torch.save and numpy.savez store them, can be mapped; deflated ones can be read as a stream.
 * (java.util.zip does not report where the bytes of an entry are.) Follows PKWARE's APPNOTE: the end record, with its
 * zip64 form, then the central directory.
 */
final class StoredZip {
    /**
     * The largest total size of compressed entries of a file of torch. The only compressed entries that torch.jit.save
     * writes are source code, which is smaller than this.
     */
    static final long SOURCE_CODE = 64L << 20;

    private static final int STORED = 0;
    private static final int DEFLATED = 8;

    /** The number of bytes that are decompressed at once. */
    private static final int CHUNK = 1 << 16;

    private static final int END = 22;
    private static final int END64_LOCATOR = 20;
    private static final int END64 = 56;
    private static final int CENTRAL = 46;
    private static final int LOCAL = 30;
    private static final long UNSET = 0xffffffffL;

    /**
     * The bytes of an entry in the file.
     *
     * @param offset position of the first byte
     * @param packed number of bytes in the archive
     * @param size   number of bytes, decompressed
     * @param method the way in which it is compressed: 0 if it is stored without compression
     */
    record Entry(long offset, long packed, long size, int method) {
        boolean stored() {
            return method == STORED;
        }
    }

    private final Path file;
    private final MappedFile mapping;
    private final long maxCompressed;
    private final Map<String, Entry> entries = new LinkedHashMap<>();

    private StoredZip(Path file, MappedFile mapping, long maxCompressed) {
        this.file = file;
        this.mapping = mapping;
        this.maxCompressed = maxCompressed;
    }

    /**
     * Reads the directory of a mapped archive.
     *
     * @param maxCompressed the largest total size of its compressed entries, decompressed
     */
    static StoredZip open(Path file, MappedFile mapping, long maxCompressed) {
        StoredZip zip = new StoredZip(file, mapping, maxCompressed);
        try {
            zip.readDirectory();
        } catch (IndexOutOfBoundsException
                | IllegalArgumentException
                | BufferUnderflowException
                | ArithmeticException e) {
            throw new InputException(file + " is a damaged zip archive: its directory points outside the file.", e);
        }
        return zip;
    }

    Map<String, Entry> entries() {
        return Collections.unmodifiableMap(entries);
    }

    /**
     * Returns the bytes of an entry, which has to exist, be stored without compression and have at most {@code limit}
     * bytes.
     */
    byte[] bytes(String name, int limit) {
        Entry entry = require(name);
        if (entry.size > limit)
            throw new InputException(file + ": the entry '" + name + "' is " + entry.size
                    + " bytes long, where at most " + limit + " make sense.");
        return mapping.bytes(entry.offset, (int) entry.size);
    }

    /** Returns an entry, which has to exist and be stored without compression. */
    Entry require(String name) {
        Entry entry = entries.get(name);
        if (entry == null)
            throw new InputException(
                    file + " has no entry '" + name + "': it was not written by torch.save, or is damaged.");
        if (!entry.stored())
            throw new InputException(
                    file + ": the entry '" + name + "' is compressed, and torch.save never does that.");
        return entry;
    }

    /** Returns the bytes of an entry, stored or deflated, as a stream. */
    InputStream stream(String name) {
        Entry entry = entries.get(name);
        InputStream bytes = new MappedStream(entry.offset, entry.packed);
        return switch (entry.method) {
            case STORED -> bytes;
            case DEFLATED ->
                new InflaterInputStream(bytes, new Inflater(true), CHUNK) {
                    @Override
                    public void close() throws IOException {
                        super.close();
                        inf.end(); // which a stream ends by itself only if it made the inflater
                    }
                };
            default ->
                throw new InputException(file + ": the entry '" + name + "' is compressed by method " + entry.method
                        + ", and only stored and deflated entries can be read.");
        };
    }

    /** A range of the mapped file, copied piece by piece. */
    private final class MappedStream extends InputStream {
        private long at;
        private final long end;

        MappedStream(long offset, long length) {
            this.at = offset;
            this.end = offset + length;
        }

        @Override
        public int read() {
            return at == end ? -1 : mapping.bytes(at++, 1)[0] & 0xff;
        }

        @Override
        public int read(byte[] into, int from, int length) {
            if (at == end && length > 0) return -1;
            byte[] piece = mapping.bytes(at, (int) Math.min(length, end - at));
            System.arraycopy(piece, 0, into, from, piece.length);
            at += piece.length;
            return piece.length;
        }
    }

    private ByteBuffer at(long offset, int length) {
        if (offset < 0 || length > mapping.size() - offset) throw new IndexOutOfBoundsException();
        return ByteBuffer.wrap(mapping.bytes(offset, length)).order(ByteOrder.LITTLE_ENDIAN);
    }

    private void readDirectory() {
        long end = findEnd();
        ByteBuffer record = at(end, END);
        long count = record.getShort(10) & 0xffff;
        long length = record.getInt(12) & UNSET;
        long start = record.getInt(16) & UNSET;
        if (end >= END64_LOCATOR && at(end - END64_LOCATOR, 4).getInt() == 0x07064b50) {
            ByteBuffer zip64 = at(at(end - END64_LOCATOR, END64_LOCATOR).getLong(8), END64);
            if (zip64.getInt(0) != 0x06064b50) throw new IndexOutOfBoundsException();
            count = zip64.getLong(32);
            length = zip64.getLong(40);
            start = zip64.getLong(48);
        }
        if (length < 0
                || start < 0
                || count < 0
                || start > mapping.size()
                || length > mapping.size() - start
                || count > length / CENTRAL) throw new IndexOutOfBoundsException();
        ByteBuffer directory = at(start, Math.toIntExact(length));
        long compressed = 0;
        for (long i = 0; i < count; i++) {
            compressed = Math.addExact(compressed, readEntry(directory));
        }
        if (compressed > maxCompressed)
            throw new InputException(file + " would unpack to " + compressed + " bytes of compressed entries; at most "
                    + maxCompressed + " make sense, refused.");
    }

    /** Returns the position of the end record, which only a comment of up to 64 KiB can follow. */
    private long findEnd() {
        int tail = (int) Math.min(mapping.size(), END + 0xffff);
        ByteBuffer bytes = at(mapping.size() - tail, tail);
        for (int i = tail - END; i >= 0; i--) if (bytes.getInt(i) == 0x06054b50) return mapping.size() - tail + i;
        throw new InputException(file + " is truncated: a zip archive whose directory is missing. Fetch it again.");
    }

    /** Reads one entry of the directory; returns its decompressed size if it is compressed, otherwise 0. */
    private long readEntry(ByteBuffer directory) {
        int at = directory.position();
        if (directory.getInt(at) != 0x02014b50) throw new IndexOutOfBoundsException();
        int method = directory.getShort(at + 10);
        long packed = directory.getInt(at + 20) & UNSET;
        long size = directory.getInt(at + 24) & UNSET;
        long local = directory.getInt(at + 42) & UNSET;
        int nameLength = directory.getShort(at + 28) & 0xffff;
        int extraLength = directory.getShort(at + 30) & 0xffff;
        int commentLength = directory.getShort(at + 32) & 0xffff;
        byte[] name = new byte[nameLength];
        directory.get(at + CENTRAL, name);
        for (int extra = at + CENTRAL + nameLength, stop = extra + extraLength;
                extra + 4 <= stop;
                extra += 4 + (directory.getShort(extra + 2) & 0xffff)) {
            if (directory.getShort(extra) != 1) continue;
            int value = extra + 4; // zip64: those of the three values that did not fit into 32 bits, in this order
            if (size == UNSET) {
                size = directory.getLong(value);
                value += 8;
            }
            if (packed == UNSET) {
                packed = directory.getLong(value);
                value += 8;
            }
            if (local == UNSET) local = directory.getLong(value);
        }
        directory.position(at + CENTRAL + nameLength + extraLength + commentLength);
        ByteBuffer header = at(local, LOCAL);
        if (header.getInt(0) != 0x04034b50) throw new IndexOutOfBoundsException();
        long data = local + LOCAL + (header.getShort(26) & 0xffff) + (header.getShort(28) & 0xffff);
        if (packed < 0 || size < 0 || data > mapping.size() || packed > mapping.size() - data)
            throw new IndexOutOfBoundsException();
        if (method == STORED && size != packed) throw new IndexOutOfBoundsException();
        if (entries.put(new String(name, StandardCharsets.UTF_8), new Entry(data, packed, size, method)) != null) {
            throw new InputException(file + " is a damaged zip archive: it has two entries '"
                    + new String(name, StandardCharsets.UTF_8) + "'.");
        }
        return method == STORED ? 0 : size;
    }
}
