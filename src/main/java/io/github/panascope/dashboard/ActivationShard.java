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
 * The token ids and the feature activations of consecutive rows, in a file that is written once. Features are sparse:
 * each position lists the features that are not zero, by ascending number. The file is little-endian: the header,
 * tokens int32 [positions], norms of the activations float32 [positions], starts int32 [positions + 1], features int32
 * [entries], values float32 [entries], and a CRC-32C of all these bytes.
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

    /**
     * The rows of one block in the layout of the collector, in ascending order. Arrays may be longer than their used
     * part.
     *
     * @param tokens    the token ids [positions]
     * @param norms     the norms of the activations [positions]
     * @param counts    the number of features at each position [positions]
     * @param features  the features that are not zero [entries], by position, then number
     * @param values    the activations of these features [entries]
     * @param positions the number of positions
     * @param entries   the number of features at all positions together
     */
    record Part(
            int[] tokens, float[] norms, int[] counts, int[] features, float[] values, int positions, int entries) {}

    /**
     * Returns a copy of the token ids of a row.
     *
     * @param row the row, counted from 0 within this shard
     */
    int[] tokensOf(int row) {
        int[] found = new int[context];
        tokens.get(row * context, found);
        return found;
    }

    /**
     * Writes a shard and forces it onto the disk. The caller renames the file.
     *
     * @return the checksum of the file
     * @throws InputException if the shard would be larger than 2 GB
     */
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

    /** Writes bytes and their checksum, forces both onto the disk, and returns the checksum. */
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

    /** Maps a file and checks its bytes against a checksum. */
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

    /** {@return whether a file begins with the magic number of a shard; the rest of the file is not checked} */
    static boolean is(Path file) throws IOException {
        return beginsWith(file, MAGIC);
    }

    /** {@return whether the first four bytes of a file are a magic number} */
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
     * @param checksum the expected checksum of the file
     * @throws InputException if the checksum differs, or the file has another format or version
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
