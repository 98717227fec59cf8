package io.github.panascope.dashboard;

import io.github.panascope.InputException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.zip.CRC32C;

/**
 * What the features were at some rows, and the tokens there: a file that is written once. Features are sparse: for each
 * position those that are not zero, by ascending number. Little-endian: the header, then tokens int32 [positions],
 * norms of the activations float32 [positions], starts int32 [positions + 1], features int32 [entries], values float32
 * [entries]; at last a CRC-32C of all that.
 */
final class ActivationShard {
    private static final int MAGIC = 0x43415350;
    private static final int VERSION = 1;
    private static final int HEADER = 32;

    final long firstRow;
    final int rows, context;
    final IntBuffer tokens, starts, features;
    final FloatBuffer norms, values;

    private ActivationShard(long firstRow, int rows, int context, int entries, ByteBuffer bytes) {
        this.firstRow = firstRow;
        this.rows = rows;
        this.context = context;
        int positions = rows * context;
        int at = HEADER;
        tokens = bytes.slice(at, positions * 4).order(ByteOrder.LITTLE_ENDIAN).asIntBuffer();
        at += positions * 4;
        norms = bytes.slice(at, positions * 4).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
        at += positions * 4;
        starts = bytes.slice(at, (positions + 1) * 4)
                .order(ByteOrder.LITTLE_ENDIAN)
                .asIntBuffer();
        at += (positions + 1) * 4;
        features = bytes.slice(at, entries * 4).order(ByteOrder.LITTLE_ENDIAN).asIntBuffer();
        at += entries * 4;
        values = bytes.slice(at, entries * 4).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
    }

    int positions() {
        return rows * context;
    }

    /** Rows of one block as the collector has them, in order; arrays may be longer than what is used. */
    record Part(
            int[] tokens, float[] norms, int[] counts, int[] features, float[] values, int positions, int entries) {}

    /** A copy of the tokens of a row, counted from the first here. */
    int[] tokensOf(int row) {
        int[] found = new int[context];
        tokens.get(row * context, found);
        return found;
    }

    /** Writes a shard and sees it onto the disk; the caller gives it its name. Returns its checksum. */
    static int write(Path file, long firstRow, int rows, int context, Iterable<Part> parts) throws IOException {
        long entries = 0;
        for (Part part : parts) entries += part.entries;
        long positions = (long) rows * context;
        long size = HEADER + positions * 12 + 4 + entries * 8;
        if (size > Integer.MAX_VALUE - 16)
            throw new InputException("a shard of " + rows + " rows has " + entries
                    + " active features, more than a file of 2 GB holds: make shards of fewer rows.");
        ByteBuffer bytes = ByteBuffer.allocate((int) size).order(ByteOrder.LITTLE_ENDIAN);
        bytes.putInt(MAGIC)
                .putInt(VERSION)
                .putLong(firstRow)
                .putInt(rows)
                .putInt(context)
                .putLong(entries);
        for (Part part : parts) for (int i = 0; i < part.positions; i++) bytes.putInt(part.tokens[i]);
        for (Part part : parts) for (int i = 0; i < part.positions; i++) bytes.putFloat(part.norms[i]);
        int start = 0;
        bytes.putInt(0);
        for (Part part : parts) for (int i = 0; i < part.positions; i++) bytes.putInt(start += part.counts[i]);
        for (Part part : parts) for (int i = 0; i < part.entries; i++) bytes.putInt(part.features[i]);
        for (Part part : parts) for (int i = 0; i < part.entries; i++) bytes.putFloat(part.values[i]);
        return writeWithChecksum(file, bytes.flip());
    }

    /** Writes bytes and their checksum, and sees both onto the disk. */
    private static int writeWithChecksum(Path file, ByteBuffer bytes) throws IOException {
        CRC32C crc = new CRC32C();
        crc.update(bytes.duplicate());
        try (FileChannel channel = FileChannel.open(
                file, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE)) {
            while (bytes.hasRemaining()) channel.write(bytes);
            ByteBuffer checksum = ByteBuffer.allocate(4)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putInt((int) crc.getValue())
                    .flip();
            while (checksum.hasRemaining()) channel.write(checksum);
            channel.force(true);
        }
        return (int) crc.getValue();
    }

    /** Maps a file and checks that it is what was written. */
    private static ByteBuffer readWithChecksum(Path file, int checksum) throws IOException {
        ByteBuffer bytes;
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            if (channel.size() > Integer.MAX_VALUE || channel.size() < 4) throw damaged(file);
            bytes = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size())
                    .order(ByteOrder.LITTLE_ENDIAN);
        }
        CRC32C crc = new CRC32C();
        crc.update(bytes.duplicate().limit(bytes.capacity() - 4));
        if ((int) crc.getValue() != checksum || bytes.getInt(bytes.capacity() - 4) != checksum) throw damaged(file);
        return bytes.slice(0, bytes.capacity() - 4).order(ByteOrder.LITTLE_ENDIAN);
    }

    static InputException damaged(Path file) {
        return new InputException(file
                + " is damaged: its checksum does not fit. Put a copy of it back, or delete the folder and"
                + " collect again.");
    }

    /** Whether a file begins as shards do, whole or not. */
    static boolean is(Path file) throws IOException {
        return beginsWith(file, MAGIC);
    }

    /** Whether the first four bytes of a file are these. */
    static boolean beginsWith(Path file, int magic) throws IOException {
        if (!Files.isRegularFile(file)) return false;
        try (InputStream in = Files.newInputStream(file)) {
            byte[] first = in.readNBytes(Integer.BYTES);
            return first.length == Integer.BYTES
                    && ByteBuffer.wrap(first).order(ByteOrder.LITTLE_ENDIAN).getInt() == magic;
        }
    }

    /**
     * Opens a shard.
     *
     * @param checksum what it should be
     * @throws InputException if it is not
     */
    static ActivationShard open(Path file, int checksum) throws IOException {
        ByteBuffer bytes = readWithChecksum(file, checksum);
        if (bytes.capacity() < HEADER || bytes.getInt(0) != MAGIC || bytes.getInt(4) != VERSION)
            throw new InputException(file + " is no shard of activations that this version reads.");
        long entries = bytes.getLong(24);
        int rows = bytes.getInt(16);
        int context = bytes.getInt(20);
        if (rows < 1
                || context < 1
                || entries < 0
                || bytes.capacity() != HEADER + (long) rows * context * 12 + 4 + entries * 8) throw damaged(file);
        return new ActivationShard(bytes.getLong(8), rows, context, (int) entries, bytes);
    }
}
