package io.github.panascope.dashboard;

import io.github.panascope.InputException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.LongFunction;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

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
    private final StoreFolder folder;
    /** Null if the folder is read without one. */
    private final @Nullable StoreLock lock;

    private final boolean writable;
    private StoreManifest manifest;
    /** The sums over the manifest's rows; null while a {@link Shard} has them, or until they are needed. */
    private @Nullable NeuronCorrelationSums sums;

    private int[] features;
    private int dIn;
    private boolean begun;
    private boolean closed;

    private FeatureStore(StoreFolder folder, StoreManifest manifest, @Nullable StoreLock lock, boolean writable) {
        this.folder = folder;
        this.manifest = manifest;
        this.lock = lock;
        this.writable = writable;
    }

    /**
     * Opens a folder to add rows to, or makes one.
     *
     * @param folder   the folder; it is made if it does not exist
     * @param identity what the rows are of
     * @param features the features whose correlations with the activation's dimensions are summed up, ascending
     * @param dIn      the width of the activation
     * @return the store; the caller closes it
     * @throws InputException if the folder holds something else, or rows of another identity, or another process writes
     *     to it, or nothing can be written there and it holds no rows
     * @throws IllegalArgumentException if the features are not ascending from 0, or the width is not positive
     */
    public static FeatureStore open(Path folder, StoreIdentity identity, int[] features, int dIn) {
        if (dIn < 1) throw new IllegalArgumentException("an activation has at least 1 dimension, not " + dIn);
        for (int i = 0; i < features.length; i++)
            if (features[i] < 0 || i > 0 && features[i] <= features[i - 1])
                throw new IllegalArgumentException(
                        "features should be ascending from 0, and feature " + features[i] + " is not");
        StoreFolder files = new StoreFolder(folder);
        try {
            Files.createDirectories(folder);
            FileChannel lockFile;
            try {
                lockFile = StoreLock.openFile(folder);
            } catch (IOException e) {
                return openToShow(files, identity, features, e);
            }
            StoreLock lock = StoreLock.forWriting(folder, lockFile);
            boolean opened = false;
            try {
                if (!files.hasManifest()) files.requireNoRows();
                FeatureStore store = new FeatureStore(
                        files, files.hasManifest() ? files.readManifest() : StoreManifest.empty(identity), lock, true);
                if (store.manifest.rows().isEmpty()) {
                    store.keep(new NeuronCorrelationSums(features, dIn));
                    store.write(new StoreManifest(store.manifest.id(), identity, List.of(), null));
                } else {
                    store.check(identity, features);
                }
                files.sweep(store.manifest);
                opened = true;
                return store;
            } finally {
                if (!opened) lock.close();
            }
        } catch (IOException e) {
            throw files.cannot(e);
        }
    }

    /** A folder that cannot be written may still be shown, if it holds what is asked for. */
    private static FeatureStore openToShow(
            StoreFolder files, StoreIdentity identity, int[] features, IOException whyNotWritten) throws IOException {
        if (!files.hasManifest()) throw whyNotWritten;
        FeatureStore store = new FeatureStore(files, files.readManifest(), null, false);
        store.check(identity, features);
        return store;
    }

    /** Refuses what does not belong to this folder, and a folder that is not whole; reads the sums. */
    private void check(StoreIdentity identity, int[] wanted) throws IOException {
        if (!identity().equals(identity))
            throw new InputException(folder + " holds features of something else: " + identity.difference(identity())
                    + ". Use another folder, or delete it.");
        keep(folder.readSums(manifest));
        if (!sums.covers(wanted))
            throw new InputException(folder + " was made for other features, whose correlations with neurons it holds: "
                    + sums.describe() + ". Use another folder, or delete it.");
        for (StoreManifest.Rows range : manifest.rows()) StoreFolder.requireExists(folder.shard(manifest, range));
    }

    /** Keeps the sums over the rows that count. */
    private void keep(NeuronCorrelationSums sums) {
        this.sums = sums;
        this.features = sums.features();
        this.dIn = sums.dIn();
    }

    /**
     * Opens the folder within a parent that holds most rows of an identity, and what is needed for some features; makes
     * one if none does. So folders of other models, texts and features can lie beside each other.
     *
     * @param parent   the folder of folders; it is made if it does not exist
     * @param identity what the rows are of
     * @param features the features whose correlations with the activation's dimensions are summed up, ascending
     * @param dIn      the width of the activation
     * @return the store; the caller closes it
     * @throws InputException as {@link #open} does
     */
    public static FeatureStore openWithin(Path parent, StoreIdentity identity, int[] features, int dIn) {
        Path best = null;
        long most = -1;
        try {
            Files.createDirectories(parent);
            try (DirectoryStream<Path> folders =
                    Files.newDirectoryStream(parent, folder -> new StoreFolder(folder).hasManifest())) {
                for (Path folder : folders) {
                    StoreManifest found;
                    try {
                        found = new StoreFolder(folder).readManifest();
                    } catch (InputException e) {
                        continue; // of another version, or damaged
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
            throw StoreFolder.cannot(parent, e);
        }
        return open(best != null ? best : parent.resolve(identity.shortName(features)), identity, features, dIn);
    }

    /**
     * Opens a folder to read.
     *
     * @param folder the folder
     * @return the store; the caller closes it
     * @throws InputException if it holds no features
     */
    public static FeatureStore read(Path folder) {
        StoreFolder files = new StoreFolder(folder);
        try {
            FeatureStore store = new FeatureStore(files, files.readManifest(), null, false);
            store.keep(files.readSums(store.manifest));
            return store;
        } catch (IOException e) {
            throw files.cannot(e);
        }
    }

    /** Opens a folder to read without its sums, with a lock against writers if it has a lock file. */
    static FeatureStore readLocked(Path folder) {
        StoreFolder files = new StoreFolder(folder);
        try {
            files.readManifest();
            StoreLock lock = StoreLock.forReading(folder);
            boolean opened = false;
            try {
                FeatureStore store = new FeatureStore(files, files.readManifest(), lock, false);
                opened = true;
                return store;
            } finally {
                if (!opened && lock != null) lock.close();
            }
        } catch (IOException e) {
            throw files.cannot(e);
        }
    }

    /**
     * Makes a folder of the rows of others; merging them in any order gives the same bytes. All of them are read before
     * the folder is made.
     *
     * @param folder the folder; it is made if it does not exist
     * @param others at least one; they stay as they are
     * @return the store; the caller closes it
     * @throws InputException as {@link #merge} does
     */
    public static FeatureStore merged(Path folder, List<Path> others) {
        return StoreMerge.merged(folder, others);
    }

    /**
     * Refuses, before anything is computed, to add rows to a folder that cannot be written.
     *
     * @throws InputException if it cannot
     */
    void requireWritable() {
        if (closed) throw new IllegalStateException("the store " + folder + " was closed");
        if (!writable)
            throw new InputException(folder + " cannot be written: collect into another folder, and merge the two.");
    }

    // ------------------------------------------------------------------------------------------------- rows

    /** {@return the folder} */
    public Path folder() {
        return folder.path();
    }

    /** {@return what the rows are of} */
    public StoreIdentity identity() {
        return manifest.identity();
    }

    /** {@return how many rows it holds} */
    public long rows() {
        return manifest.count();
    }

    /** {@return the number after that of the last row it holds; 0 if it holds none} */
    public long end() {
        return manifest.rows().isEmpty() ? 0 : manifest.rows().getLast().end();
    }

    /**
     * Returns which rows of a range it does not hold yet.
     *
     * @param first the first row, inclusive
     * @param end   the last row, exclusive
     * @return what is missing, ascending, each range as {first, end}
     */
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

    StoreFolder files() {
        return folder;
    }

    StoreManifest manifest() {
        return manifest;
    }

    /** The features whose correlations are summed up, ascending. */
    int[] features() {
        return features;
    }

    /**
     * The sums over all rows.
     *
     * @throws IllegalStateException while a shard has them
     */
    NeuronCorrelationSums sums() {
        if (begun) throw new IllegalStateException("the sums of " + folder + " are with a shard that is being added");
        try {
            if (sums == null)
                keep(manifest.rows().isEmpty() ? new NeuronCorrelationSums(features, dIn) : folder.readSums(manifest));
            return sums;
        } catch (IOException e) {
            throw folder.cannot(e);
        }
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
                ActivationShard shard = folder.openShard(manifest, range);
                for (int r = 0; r < shard.rows; r++)
                    requireSame(range.first() + r, shard.tokensOf(r), row.apply(range.first() + r));
            }
        } catch (IOException e) {
            throw folder.cannot(e);
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
            for (StoreManifest.Rows range : manifest.rows()) shards.add(folder.openShard(manifest, range));
            return shards;
        } catch (IOException e) {
            throw folder.cannot(e);
        }
    }

    // ------------------------------------------------------------------------------------------------- adding rows

    /**
     * Begins to add rows: one shard at a time.
     *
     * @throws IllegalStateException if rows are being added
     */
    Shard begin() {
        return new Shard();
    }

    /**
     * Rows that are being added. It has the store's sums, which may be large, on loan: they come back with
     * {@link #commit}, and are read from the disk again if it does not come to that.
     */
    final class Shard implements AutoCloseable {
        private final NeuronCorrelationSums added;

        private Shard() {
            added = FeatureStore.this.sums();
            sums = null;
            begun = true;
        }

        /** The sums over the store's rows, to which those of this shard are to be added. */
        NeuronCorrelationSums sums() {
            return added;
        }

        /** Adds rows whose sums were added. Afterwards they are on the disk. */
        void commit(long first, long end, Iterable<ActivationShard.Part> parts, int context) {
            if (missing(first, end).stream().mapToLong(gap -> gap[1] - gap[0]).sum() != end - first)
                throw new IllegalStateException("rows " + first + " to " + end + " are there already");
            try {
                int checksum = folder.writeShard(manifest, first, end, context, parts);
                List<StoreManifest.Rows> more = new ArrayList<>(manifest.rows());
                more.add(new StoreManifest.Rows(first, end, checksum));
                commit(more);
            } catch (IOException e) {
                throw folder.cannot(e);
            }
        }

        /** Makes these rows, whose shards are on the disk, and the sums over them what counts. */
        void commit(List<StoreManifest.Rows> rows) throws IOException {
            Path former = manifest.sums() == null ? null : folder.path().resolve(manifest.sumsFile());
            StoreManifest next = folder.writeSums(manifest.with(rows, null), added);
            write(next);
            keep(added);
            if (former != null && !former.equals(folder.path().resolve(next.sumsFile()))) Files.deleteIfExists(former);
        }

        @Override
        public void close() {
            begun = false;
        }
    }

    private void write(StoreManifest next) throws IOException {
        folder.writeManifest(next);
        manifest = next;
    }

    /**
     * Adds the rows of other folders, which stay as they are.
     *
     * @param others the folders
     * @throws InputException if one of them is of another identity, has rows that are here already, or is being written
     */
    public void merge(List<Path> others) {
        requireWritable();
        StoreMerge.merge(this, others);
    }

    /** Frees the lock, so that another process may write. */
    @Override
    public void close() {
        closed = true;
        try {
            if (lock != null) lock.close();
        } catch (IOException e) {
            throw folder.cannot(e);
        }
    }

    /** {@return where it is, and how many rows it holds} */
    @Override
    public String toString() {
        return "FeatureStore(" + folder + ", " + rows() + " rows" + (closed ? ", closed" : "") + ")";
    }
}
