package io.github.panascope.weights;

import io.github.panascope.InputException;
import io.github.panascope.torch.MappedFile;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The positions of the entries of a zip archive in a mapped file, for entries that are stored without compression, as
 * Python's torch.save stores them so that they can be mapped. (java.util.zip does not report where the bytes of an
 * entry are.) Follows PKWARE's APPNOTE: the end record, with its zip64 form, then the central directory.
 */
final class StoredZip {
    /**
     * The largest total size of compressed entries. The only compressed entries that torch.jit.save writes are source
     * code, which is smaller than this.
     */
    private static final long MAX_COMPRESSED = 64L << 20;

    private static final int END = 22;
    private static final int END64_LOCATOR = 20;
    private static final int END64 = 56;
    private static final int CENTRAL = 46;
    private static final int LOCAL = 30;
    private static final long UNSET = 0xffffffffL;

    /**
     * The bytes of an entry in the file.
     *
     * @param offset position of the first byte, if the entry is stored
     * @param size   number of bytes, decompressed
     * @param stored whether the entry is stored without compression
     */
    record Entry(long offset, long size, boolean stored) {}

    private final Path file;
    private final MappedFile mapping;
    private final Map<String, Entry> entries = new LinkedHashMap<>();

    private StoredZip(Path file, MappedFile mapping) {
        this.file = file;
        this.mapping = mapping;
    }

    /** Reads the directory of a mapped archive. */
    static StoredZip open(Path file, MappedFile mapping) {
        StoredZip zip = new StoredZip(file, mapping);
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
        if (!entry.stored)
            throw new InputException(
                    file + ": the entry '" + name + "' is compressed, and torch.save never does that.");
        return entry;
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
        if (compressed > MAX_COMPRESSED)
            throw new InputException(file + " would unpack to " + compressed + " bytes of compressed entries; at most "
                    + MAX_COMPRESSED + " make sense, refused.");
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
        boolean stored = method == 0;
        long data = 0;
        if (stored) {
            if (size != packed) throw new IndexOutOfBoundsException();
            ByteBuffer header = at(local, LOCAL);
            if (header.getInt(0) != 0x04034b50) throw new IndexOutOfBoundsException();
            data = local + LOCAL + (header.getShort(26) & 0xffff) + (header.getShort(28) & 0xffff);
            if (size < 0 || data > mapping.size() || size > mapping.size() - data)
                throw new IndexOutOfBoundsException();
        } else if (size < 0) {
            throw new IndexOutOfBoundsException();
        }
        if (entries.put(new String(name, StandardCharsets.UTF_8), new Entry(data, size, stored)) != null) {
            throw new InputException(file + " is a damaged zip archive: it has two entries '"
                    + new String(name, StandardCharsets.UTF_8) + "'.");
        }
        return stored ? 0 : size;
    }
}
