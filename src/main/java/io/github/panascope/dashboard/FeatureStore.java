package io.github.panascope.dashboard;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import io.github.panascope.internal.AtomicFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.LongFunction;
import java.util.stream.Collectors;

/**
 * A folder with what an SAE's features were at rows of tokens: shards of rows, the sums that need the dense
 * activations, and {@code manifest.json}, which says what of the rest counts. Every file is written beside its place,
 * seen onto the disk and renamed, the manifest last: a process that ends at any moment leaves a folder that is whole,
 * with fewer rows. One process at a time may write.
 *
 * <p>The manifest is there before the first shard is. It has a checksum of its own and those of all the files that it
 * names, so nothing is believed that it does not fit. Names of shards and sums have a random number in them that the
 * manifest keeps: by it the folder knows its own remnants, and leaves all other files alone.
 */
public final class FeatureStore implements AutoCloseable {
    private static final String MANIFEST = "manifest.json";
    private static final String LOCK = "lock";
    private boolean closed;
    private final Path folder;
    private StoreManifest manifest;
    private NeuronCorrelationSums sums;
    private boolean begun;
    private final FileChannel lockChannel;
    private final FileLock lock;

    private FeatureStore(Path folder, StoreManifest manifest, FileChannel lockChannel, FileLock lock) {
        this.folder = folder;
        this.manifest = manifest;
        this.lockChannel = lockChannel;
        this.lock = lock;
    }

    /**
     * Opens a folder to go on in, or makes one.
     *
     * @param features the features whose correlations with the activation's dimensions are summed up, ascending
     * @param dIn      the width of the activation
     * @throws InputException if the folder holds something else, or rows of another identity, or another process writes
     *     to it, or nothing can be written there and it holds no rows
     */
    public static FeatureStore open(Path folder, StoreIdentity identity, int[] features, int dIn) {
        if (dIn < 1) throw new IllegalArgumentException("an activation has at least 1 dimension, not " + dIn);
        for (int i = 0; i < features.length; i++)
            if (features[i] < 0 || i > 0 && features[i] <= features[i - 1])
                throw new IllegalArgumentException(
                        "features should be ascending from 0, and feature " + features[i] + " is not");
        try {
            Files.createDirectories(folder);
            FileChannel channel;
            try {
                channel = FileChannel.open(folder.resolve(LOCK), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            } catch (IOException e) {
                return openToShow(folder, identity, features, e);
            }
            boolean opened = false;
            try {
                FileLock lock = tryLock(channel, false);
                if (lock == null)
                    throw new InputException(folder
                            + " is being written by another process: wait for it, or use another folder and"
                            + " merge the two.");
                FeatureStore store = new FeatureStore(
                        folder,
                        Files.exists(folder.resolve(MANIFEST))
                                ? StoreManifest.read(folder.resolve(MANIFEST))
                                : begun(folder, identity),
                        channel,
                        lock);
                if (store.manifest.rows().isEmpty()) {
                    store.sums = new NeuronCorrelationSums(features, dIn);
                    store.write(new StoreManifest(store.manifest.id(), identity, List.of(), null));
                } else {
                    store.check(identity, features);
                }
                store.sweep();
                opened = true;
                return store;
            } finally {
                if (!opened) channel.close();
            }
        } catch (IOException e) {
            throw cannot(folder, e);
        }
    }

    /** A folder that cannot be written may still be shown, if it holds what is asked for. */
    private static FeatureStore openToShow(Path folder, StoreIdentity identity, int[] features, IOException why)
            throws IOException {
        if (!Files.exists(folder.resolve(MANIFEST))) throw why;
        FeatureStore store = readManifest(folder);
        store.check(identity, features);
        return store;
    }

    /** Refuses what does not belong to this folder, and a folder that is not whole; reads the sums. */
    private void check(StoreIdentity identity, int[] features) throws IOException {
        if (!identity().equals(identity))
            throw new InputException(folder + " holds features of something else: " + identity.difference(identity())
                    + ". Use another folder, or delete it.");
        sums = readSums();
        if (!sums.covers(features))
            throw new InputException(folder + " was made for other features, whose correlations with neurons it holds: "
                    + sums.describe() + ". Use another folder, or delete it.");
        for (StoreManifest.Rows range : manifest.rows()) requireThere(shard(range));
    }

    private void requireOpen() {
        if (closed) throw new IllegalStateException("the store " + folder + " was closed");
    }

    /**
     * Refuses, before anything is computed, to add rows to a folder that cannot be written.
     *
     * @throws InputException if it cannot
     */
    void requireWritable() {
        requireOpen();
        if (lock == null)
            throw new InputException(folder + " cannot be written: collect into another folder, and merge the two.");
    }

    /**
     * For a folder without a manifest, which has none of this program's shards: nothing says what these would be of.
     */
    private static StoreManifest begun(Path folder, StoreIdentity identity) throws IOException {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(
                folder, file -> file.getFileName().toString().matches("(rows|sums)-[0-9a-f-]+\\.bin"))) {
            for (Path file : files) {
                if (ActivationShard.is(file) || NeuronCorrelationSums.is(file)) {
                    throw new InputException(
                            folder + " holds rows, such as " + file.getFileName() + ", but no " + MANIFEST
                                    + ", which says what they are of: put it back, or use another folder, or delete"
                                    + " this one.");
                }
            }
        }
        return StoreManifest.empty(identity);
    }

    /**
     * Goes on in the folder of {@code parent} that holds most rows of this identity, and what is needed for these
     * features; makes one if none does. So folders of other models, texts and features can lie beside each other.
     *
     * @throws InputException as {@link #open} does
     */
    public static FeatureStore openWithin(Path parent, StoreIdentity identity, int[] features, int dIn) {
        Path best = null;
        long most = -1;
        try {
            Files.createDirectories(parent);
            try (DirectoryStream<Path> folders =
                    Files.newDirectoryStream(parent, folder -> Files.exists(folder.resolve(MANIFEST)))) {
                for (Path folder : folders) {
                    StoreManifest found;
                    try {
                        found = StoreManifest.read(folder.resolve(MANIFEST));
                    } catch (InputException e) {
                        continue; // of another version, or damaged: none of ours
                    }
                    if (found.count() > most
                            && found.identity().equals(identity)
                            && NeuronCorrelationSums.covers(folder.resolve(found.sumsFile()), features)) {
                        best = folder;
                        most = found.count();
                    }
                }
            }
        } catch (IOException e) {
            throw cannot(parent, e);
        }
        return open(best != null ? best : parent.resolve(identity.shortName(features)), identity, features, dIn);
    }

    private static FileLock tryLock(FileChannel channel, boolean shared) throws IOException {
        try {
            return channel.tryLock(0, Long.MAX_VALUE, shared);
        } catch (OverlappingFileLockException e) {
            return null; // of this process
        }
    }

    /**
     * Opens a folder to read.
     *
     * @throws InputException if it holds no features
     */
    public static FeatureStore read(Path folder) {
        FeatureStore store = readManifest(folder);
        try {
            store.sums = store.readSums();
            return store;
        } catch (IOException e) {
            throw cannot(folder, e);
        }
    }

    /** The same without the sums. */
    private static FeatureStore readManifest(Path folder) {
        try {
            if (!Files.exists(folder.resolve(MANIFEST)))
                throw new InputException(folder + " holds no features: it has no " + MANIFEST + ".");
            return new FeatureStore(folder, StoreManifest.read(folder.resolve(MANIFEST)), null, null);
        } catch (IOException e) {
            throw cannot(folder, e);
        }
    }

    /** The same of a folder that nobody writes to until this is closed, if it has a lock that can be read. */
    private static FeatureStore readLocked(Path folder) {
        FeatureStore store = readManifest(folder);
        if (!Files.isReadable(folder.resolve(LOCK))) return store;
        try {
            FileChannel channel = FileChannel.open(folder.resolve(LOCK), StandardOpenOption.READ);
            FileLock lock = null;
            try {
                lock = tryLock(channel, true);
                if (lock == null) throw new InputException(folder + " is being written: wait for that to end.");
                return new FeatureStore(folder, StoreManifest.read(folder.resolve(MANIFEST)), channel, lock);
            } finally {
                if (lock == null) channel.close();
            }
        } catch (IOException e) {
            throw cannot(folder, e);
        }
    }

    private NeuronCorrelationSums readSums() throws IOException {
        if (manifest.sums() == null) throw new InputException(folder + " holds no rows: collect some first.");
        Path file = folder.resolve(manifest.sumsFile());
        requireThere(file);
        return NeuronCorrelationSums.read(file, manifest.sums());
    }

    private static void requireThere(Path file) {
        if (!Files.exists(file))
            throw new InputException(file
                    + " is missing: the folder is not whole. Put a copy of it back, or delete the folder and"
                    + " collect again.");
    }

    private Path shard(StoreManifest.Rows range) {
        return folder.resolve(manifest.shard(range));
    }

    private ActivationShard openShard(StoreManifest.Rows range) throws IOException {
        requireThere(shard(range));
        ActivationShard shard = ActivationShard.open(shard(range), range.checksum());
        if (shard.firstRow != range.first() || shard.rows != range.count()) throw ActivationShard.damaged(shard(range));
        return shard;
    }

    private static RuntimeException cannot(Path folder, IOException e) {
        if (e instanceof ClosedByInterruptException) RunInterruptedException.check("using " + folder, e);
        return new InputException(folder + " cannot be used: " + InputException.reason(e) + ".", e);
    }

    /**
     * Deletes what a process left that ended before it had written its manifest: what has this folder's number in its
     * name, and is not in the manifest.
     */
    private void sweep() throws IOException {
        Set<String> kept = manifest.rows().stream().map(manifest::shard).collect(Collectors.toCollection(HashSet::new));
        if (manifest.sums() != null) kept.add(manifest.sumsFile());
        String ours = "(rows|sums)-\\d+-\\d+-" + manifest.id() + "\\.bin(\\.part)?";
        try (DirectoryStream<Path> files = Files.newDirectoryStream(
                folder, file -> file.getFileName().toString().matches(ours))) {
            for (Path file : files) if (!kept.contains(file.getFileName().toString())) Files.delete(file);
        }
    }

    // ------------------------------------------------------------------------------------------------- rows

    /** Where it lies. */
    public Path folder() {
        return folder;
    }

    /** What the rows belong to. */
    public StoreIdentity identity() {
        return manifest.identity();
    }

    /** How many rows it holds. */
    public long rows() {
        return manifest.count();
    }

    /** The number after that of the last row it holds; 0 if it holds none. */
    public long end() {
        return manifest.rows().isEmpty() ? 0 : manifest.rows().getLast().end();
    }

    /** Which rows of a range it does not hold yet, as (first, end) pairs. */
    public List<long[]> missing(long first, long end) {
        List<long[]> gaps = new ArrayList<>();
        long at = first;
        for (StoreManifest.Rows range : manifest.rows()) { // by first row
            if (range.first() >= end) break;
            if (range.first() > at) gaps.add(new long[] {at, range.first()});
            at = Math.max(at, range.end());
        }
        if (at < end) gaps.add(new long[] {at, end});
        return gaps;
    }

    NeuronCorrelationSums sums() {
        return sums;
    }

    /**
     * The sums, to add rows to that {@link #commit} then makes count. Should it never come to that, this object is of
     * no more use.
     */
    NeuronCorrelationSums begin() {
        begun = true;
        return sums;
    }

    /**
     * Checks that the rows that are here are made of the same text.
     *
     * @param row  the token ids of a row
     * @param rows how many rows the text makes
     * @throws InputException if a row's tokens are others, or the text makes fewer rows than are here
     */
    public void requireSameText(LongFunction<int[]> row, long rows) {
        if (end() > rows)
            throw new InputException(folder + " holds other text: it has rows up to " + (end() - 1)
                    + ", and this text makes " + rows + " rows, from 0 on. Use another folder, or delete it.");
        try {
            for (StoreManifest.Rows range : manifest.rows()) {
                ActivationShard shard = openShard(range);
                for (int r = 0; r < shard.rows; r++)
                    requireSame(range.first() + r, shard.tokensOf(r), row.apply(range.first() + r));
            }
        } catch (IOException e) {
            throw cannot(folder, e);
        }
    }

    private void requireSame(long row, int[] here, int[] now) {
        int position = Arrays.mismatch(here, now);
        if (position >= 0)
            throw new InputException(folder + " holds other text: row " + row + " has another token at position "
                    + position + ". Use another folder, or delete it.");
    }

    /** The shards of all rows from 0 on, without a gap. */
    List<ActivationShard> shards() {
        List<long[]> gaps = missing(0, end());
        if (end() == 0 || !gaps.isEmpty())
            throw new InputException(folder + " lacks rows"
                    + (end() == 0
                            ? ""
                            : " "
                                    + gaps.stream()
                                            .map(gap -> gap[0] + " to " + (gap[1] - 1))
                                            .collect(Collectors.joining(", ")))
                    + ": collect or merge them first.");
        try {
            List<ActivationShard> shards = new ArrayList<>();
            for (StoreManifest.Rows range : manifest.rows()) shards.add(openShard(range));
            return shards;
        } catch (IOException e) {
            throw cannot(folder, e);
        }
    }

    /** Adds rows whose sums were added since {@link #begin}. Afterwards they are on the disk. */
    void commit(long first, long end, Iterable<ActivationShard.Part> parts, int context) {
        if (missing(first, end).stream().mapToLong(gap -> gap[1] - gap[0]).sum() != end - first)
            throw new IllegalStateException("rows " + first + " to " + end + " are there already");
        try {
            Path file = folder.resolve(manifest.shard(new StoreManifest.Rows(first, end, 0)));
            Path part = part(file);
            int checksum = ActivationShard.write(part, first, (int) (end - first), context, parts);
            Files.move(part, file, StandardCopyOption.ATOMIC_MOVE);
            List<StoreManifest.Rows> more = new ArrayList<>(manifest.rows());
            more.add(new StoreManifest.Rows(first, end, checksum));
            publish(more);
            begun = false;
        } catch (IOException e) {
            throw cannot(folder, e);
        }
    }

    private static Path part(Path file) {
        return file.resolveSibling(file.getFileName() + ".part");
    }

    /** Makes these rows and the present sums what counts. */
    private void publish(List<StoreManifest.Rows> more) throws IOException {
        Path former = manifest.sums() == null ? null : folder.resolve(manifest.sumsFile());
        Path next = folder.resolve(manifest.with(more, null).sumsFile());
        int checksum = sums.write(part(next));
        Files.move(part(next), next, StandardCopyOption.ATOMIC_MOVE);
        force(folder);
        write(manifest.with(more, checksum));
        if (former != null && !former.equals(next)) Files.deleteIfExists(former);
    }

    /** Makes a manifest the one that counts. */
    private void write(StoreManifest next) throws IOException {
        byte[] text = next.toJson().getBytes(StandardCharsets.UTF_8);
        try {
            AtomicFile.write(folder.resolve(MANIFEST), out -> {
                for (ByteBuffer bytes = ByteBuffer.wrap(text); bytes.hasRemaining(); ) out.write(bytes);
                out.force(true);
            });
        } catch (InputException e) {
            if (e.getCause() instanceof ClosedByInterruptException cause) throw cause;
            throw e;
        }
        force(folder);
        manifest = next;
    }

    /** Sees names onto the disk, where the system can. */
    private static void force(Path folder) throws IOException {
        try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }

    /**
     * Adds the rows of other folders, which stay as they are.
     *
     * @throws InputException if one of them is of another identity, has rows that are here already, or is being written
     */
    public void merge(List<Path> others) {
        if (begun) throw new IllegalStateException("collecting ended in the middle of a shard: open the folder again");
        requireWritable();
        List<FeatureStore> stores = new ArrayList<>();
        try {
            merge(others, stores);
        } finally {
            stores.forEach(FeatureStore::close);
        }
    }

    private void merge(List<Path> others, List<FeatureStore> stores) {
        List<StoreManifest.Rows> more = new ArrayList<>(manifest.rows());
        for (Path path : others) {
            if (stores.stream().anyMatch(before -> sameFolder(before.folder, path)))
                throw new InputException(path + " is named twice.");
            if (sameFolder(folder, path)) throw new InputException(path + " cannot be merged into itself.");
            FeatureStore other = readLocked(path);
            stores.add(other);
            if (!other.identity().equals(identity()))
                throw new InputException(
                        other.folder + " cannot be merged: " + identity().difference(other.identity()) + ".");
            for (StoreManifest.Rows range : other.manifest.rows()) {
                for (StoreManifest.Rows here : more) {
                    if (here.first() < range.end() && range.first() < here.end())
                        throw new InputException(other.folder + " cannot be merged: its rows " + range.first() + " to "
                                + (range.end() - 1) + " are there already.");
                }
                more.add(range);
            }
        }
        begun = true;
        try {
            for (FeatureStore other : stores) {
                for (StoreManifest.Rows range : other.manifest.rows()) {
                    RunInterruptedException.check("merging into " + folder);
                    other.openShard(range); // whole, or nothing is merged
                    Path file = shard(range);
                    Path part = part(file);
                    copy(other.shard(range), part);
                    Files.move(part, file, StandardCopyOption.ATOMIC_MOVE);
                }
                NeuronCorrelationSums added = other.readSums(); // of one folder at a time: they may be large
                if (!added.sameFeatures(sums))
                    throw new InputException(other.folder + " cannot be merged: it was made for other features, "
                            + added.describe() + " there and " + sums.describe() + " here.");
                sums.addAll(added);
            }
            publish(more);
            begun = false;
        } catch (IOException e) {
            throw cannot(folder, e);
        }
    }

    /** Copies what a file holds, not who may write to it, and sees it onto the disk. */
    private static void copy(Path from, Path to) throws IOException {
        try (FileChannel in = FileChannel.open(from, StandardOpenOption.READ);
                FileChannel out = FileChannel.open(
                        to,
                        StandardOpenOption.CREATE,
                        StandardOpenOption.TRUNCATE_EXISTING,
                        StandardOpenOption.WRITE)) {
            for (long at = 0; at < in.size(); ) at += in.transferTo(at, in.size() - at, out);
            out.force(true);
        }
    }

    private static boolean sameFolder(Path one, Path other) {
        try {
            return Files.isSameFile(one, other);
        } catch (IOException e) {
            return false;
        }
    }

    /** Opens a folder for what another one holds. */
    private static FeatureStore open(Path folder, Path like) {
        NeuronCorrelationSums sums;
        StoreIdentity identity;
        try (FeatureStore first = readLocked(like)) {
            sums = first.readSums();
            identity = first.identity();
        } catch (IOException e) {
            throw cannot(like, e);
        }
        return open(folder, identity, sums.features(), sums.dIn());
    }

    /**
     * Makes a folder of the rows of others, at least one; merging them in any order gives the same. All of them are
     * read before the folder is made.
     */
    public static FeatureStore merged(Path folder, List<Path> others) {
        for (Path other : others) {
            readLocked(other).close();
        }
        FeatureStore store = open(folder, others.getFirst());
        try {
            store.merge(others);
            return store;
        } catch (RuntimeException | Error e) {
            store.close();
            throw e;
        }
    }

    /** Lets another process write. */
    @Override
    public void close() {
        closed = true;
        try {
            if (lock != null && lock.isValid()) lock.release();
            if (lockChannel != null) lockChannel.close();
        } catch (IOException e) {
            throw cannot(folder, e);
        }
    }

    static ByteBuffer little(int bytes) {
        return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    /** Where it is, and how many rows it holds. */
    @Override
    public String toString() {
        return "FeatureStore(" + folder + ", " + rows() + " rows" + (closed ? ", closed" : "") + ")";
    }
}
