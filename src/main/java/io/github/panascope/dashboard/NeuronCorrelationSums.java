package io.github.panascope.dashboard;

import io.github.panascope.InputException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.zip.CRC32C;

/**
 * The sums behind the correlations of features with the dimensions of the activation ("neurons"), over all positions:
 * Σy and Σy² of every dimension, and Σxy of every chosen feature with every dimension. A sum takes 16 bytes: 302 MB for
 * 24,576 features and 768 dimensions. Several threads may add terms at once.
 */
final class NeuronCorrelationSums {
    private static final int MAGIC = 0x534E5350;
    private static final int VERSION = 1;
    private static final int STRIPES = 256;
    /** The bytes of a file before the numbers of the features. */
    private static final int FIXED_HEADER = 16;

    private static final int BYTES_AT_ONCE = 1 << 18;

    private final int[] features;
    private final int dIn;
    private final ExactSums y, ySquared;
    private final ExactSums[] xy;
    private final Object[] locks = new Object[STRIPES];

    NeuronCorrelationSums(int[] features, int dIn) {
        this.features = features;
        this.dIn = dIn;
        y = new ExactSums(dIn);
        ySquared = new ExactSums(dIn);
        xy = new ExactSums[features.length];
        Arrays.setAll(xy, i -> new ExactSums(dIn));
        Arrays.setAll(locks, i -> new Object());
    }

    int[] features() {
        return features;
    }

    int dIn() {
        return dIn;
    }

    boolean covers(int[] wanted) {
        return covers(features, wanted);
    }

    private static boolean covers(int[] features, int[] wanted) {
        return Arrays.stream(wanted).allMatch(feature -> Arrays.binarySearch(features, feature) >= 0);
    }

    /** {@return whether a file has the sums of all wanted features; only its header is read} */
    static boolean covers(Path file, int[] wanted) throws IOException {
        if (!Files.exists(file)) return false;
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            return covers(header(file, channel, new CRC32C()).features, wanted);
        }
    }

    Header header() {
        return new Header(features, dIn);
    }

    String describe() {
        return header().toString();
    }

    /** {@return the place of a feature among the chosen features; negative if it is not chosen} */
    int place(int feature) {
        return Arrays.binarySearch(features, feature);
    }

    /** Adds the sums of y and y² over the positions of one row. */
    void addNeurons(double[] rowY, double[] rowYSquared) {
        synchronized (y) {
            for (int j = 0; j < dIn; j++) {
                y.add(j, rowY[j]);
                ySquared.add(j, rowYSquared[j]);
            }
        }
    }

    /** Adds the sums of x·y over the positions of one row, for one feature. */
    void addProducts(int place, double[] rowXy) {
        ExactSums sums = xy[place];
        synchronized (locks[place % STRIPES]) {
            for (int j = 0; j < dIn; j++) sums.add(j, rowXy[j]);
        }
    }

    double y(int neuron) {
        return y.get(neuron);
    }

    double ySquared(int neuron) {
        return ySquared.get(neuron);
    }

    double xy(int place, int neuron) {
        return xy[place].get(neuron);
    }

    /**
     * Adds sums in the layout of {@link DeviceSums}: [2, 2 + features, d_in], integer parts first. No other thread may
     * add at the same time.
     */
    void addAll(long[] found) {
        ExactSums[] all = all();
        int fractions = all.length * dIn;
        for (int line = 0; line < all.length; line++) {
            for (int j = 0; j < dIn; j++) all[line].add(j, found[line * dIn + j], found[fractions + line * dIn + j]);
            all[line].carry();
        }
    }

    /**
     * Writes the sums and forces them onto the disk. The caller renames the file.
     *
     * @return the checksum of the file
     */
    int write(Path file) throws IOException {
        CRC32C crc = new CRC32C();
        try (FileChannel channel = FileChannel.open(
                file, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE)) {
            ByteBuffer header = little(FIXED_HEADER + Integer.BYTES * features.length)
                    .putInt(MAGIC)
                    .putInt(VERSION)
                    .putInt(features.length)
                    .putInt(dIn);
            for (int feature : features) header.putInt(feature);
            put(channel, crc, header);
            ByteBuffer line = little(dIn * ExactSums.BYTES);
            for (ExactSums sums : all()) {
                sums.carry();
                line.clear();
                for (int j = 0; j < dIn; j++) sums.write(j, line);
                put(channel, crc, line);
            }
            int checksum = (int) crc.getValue();
            put(channel, crc, little(4).putInt(checksum));
            channel.force(true);
            return checksum;
        }
    }

    private static ByteBuffer little(int bytes) {
        return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static void put(FileChannel channel, CRC32C crc, ByteBuffer bytes) throws IOException {
        bytes.flip();
        crc.update(bytes.duplicate());
        while (bytes.hasRemaining()) channel.write(bytes);
    }

    private ExactSums[] all() {
        ExactSums[] all = new ExactSums[xy.length + 2];
        all[0] = y;
        all[1] = ySquared;
        System.arraycopy(xy, 0, all, 2, xy.length);
        return all;
    }

    /** {@return whether a file begins with the magic number of such sums; the rest of the file is not checked} */
    static boolean is(Path file) throws IOException {
        return ActivationShard.beginsWith(file, MAGIC);
    }

    /**
     * Reads a file.
     *
     * @param expected the expected checksum of the file
     * @throws InputException if the checksum differs, or the file has another format or version
     */
    static NeuronCorrelationSums read(Path file, int expected) throws IOException {
        CRC32C crc = new CRC32C();
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            Header header = header(file, channel, crc);
            header.requireWhole(file, channel);
            NeuronCorrelationSums sums = new NeuronCorrelationSums(header.features, header.dIn);
            for (ExactSums each : sums.all()) {
                ByteBuffer line = get(file, channel, crc, header.bytesInLine());
                for (int j = 0; j < header.dIn; j++) each.read(j, line);
            }
            requireChecksum(file, channel, crc, expected);
            return sums;
        }
    }

    /**
     * Checks a file without keeping its sums.
     *
     * @param expected the expected checksum of the file
     * @return the header of the file
     * @throws InputException if the checksum differs, or the file has another format or version
     */
    static Header check(Path file, int expected) throws IOException {
        CRC32C crc = new CRC32C();
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            Header header = header(file, channel, crc);
            header.requireWhole(file, channel);
            ByteBuffer piece = little(BYTES_AT_ONCE);
            for (long left = channel.size() - Integer.BYTES - channel.position(); left > 0; left -= piece.limit())
                read(file, channel, crc, piece.clear().limit((int) Math.min(left, BYTES_AT_ONCE)));
            requireChecksum(file, channel, crc, expected);
            return header;
        }
    }

    /**
     * Adds the sums of these features that a file holds, reading only these.
     *
     * @param file   a file that was {@linkplain #check checked}
     * @param header the header of the file, which has all of these features
     */
    void addFrom(Path file, Header header) throws IOException {
        StoreFolder.requireExists(file);
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            ExactSums[] all = all();
            ByteBuffer found = little(header.bytesInLine());
            for (int i = 0; i < all.length; i++) {
                int line = i < 2 ? i : 2 + Arrays.binarySearch(header.features, features[i - 2]);
                channel.position(header.bytes() + (long) line * header.bytesInLine());
                all[i].addAll(read(file, channel, new CRC32C(), found.clear()));
            }
        }
    }

    /**
     * The beginning of a file of sums.
     *
     * @param features the features, ascending
     * @param dIn      the number of dimensions
     */
    record Header(int[] features, int dIn) {
        long bytes() {
            return FIXED_HEADER + (long) Integer.BYTES * features.length;
        }

        int bytesInLine() {
            return dIn * ExactSums.BYTES;
        }

        void requireWhole(Path file, FileChannel channel) throws IOException {
            if (dIn < 1 || (features.length + 2L) * dIn * ExactSums.BYTES + Integer.BYTES != channel.size() - bytes())
                throw ActivationShard.damaged(file);
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof Header header && dIn == header.dIn && Arrays.equals(features, header.features);
        }

        @Override
        public int hashCode() {
            return Arrays.hashCode(features) + dIn;
        }

        @Override
        public String toString() {
            return features.length + " features"
                    + (features.length == 0 ? "" : ", " + features[0] + " to " + features[features.length - 1]);
        }
    }

    private static Header header(Path file, FileChannel channel, CRC32C crc) throws IOException {
        ByteBuffer header = get(file, channel, crc, FIXED_HEADER);
        if (header.getInt() != MAGIC || header.getInt() != VERSION)
            throw new InputException(file + " holds no sums that this version reads.");
        int count = header.getInt();
        if (count < 0 || count > (channel.size() - channel.position()) / Integer.BYTES)
            throw ActivationShard.damaged(file);
        int[] features = new int[count];
        ByteBuffer ids = get(file, channel, crc, Integer.BYTES * count);
        for (int i = 0; i < count; i++) features[i] = ids.getInt();
        return new Header(features, header.getInt());
    }

    private static void requireChecksum(Path file, FileChannel channel, CRC32C crc, int expected) throws IOException {
        int checksum = (int) crc.getValue();
        if (checksum != expected || get(file, channel, crc, Integer.BYTES).getInt() != checksum)
            throw ActivationShard.damaged(file);
    }

    private static ByteBuffer get(Path file, FileChannel channel, CRC32C crc, int count) throws IOException {
        if (count < 0 || count > channel.size() - channel.position()) throw ActivationShard.damaged(file);
        return read(file, channel, crc, little(count));
    }

    /** Fills a buffer, which is then to be read. */
    private static ByteBuffer read(Path file, FileChannel channel, CRC32C crc, ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) if (channel.read(bytes) < 0) throw ActivationShard.damaged(file);
        crc.update(bytes.flip().duplicate());
        return bytes;
    }
}
