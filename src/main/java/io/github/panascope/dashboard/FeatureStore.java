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
import java.util.function.Function;
import java.util.function.LongFunction;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * A folder with the activations of an SAE's features at rows of tokens. It consists of shards of rows, of sums that
 * need the dense activations, and of {@code manifest.json}, which lists the valid files. Every file is written under a
 * temporary name, forced onto the disk and renamed, the manifest last. If the process ends at any moment, the folder
 * stays valid, with fewer rows. One process at a time may write.
 *
 * <p>The manifest is written before the first shard. It has a checksum of its own and the checksums of all files that
 * it lists, so that a damaged file is recognized. Names of shards and sums contain a random number from the manifest.
 * By this number the store recognizes its own unfinished files; it leaves all other files alone.
 *
 * <p>This example collects all features of an SAE. If the process ends early, a second call collects only the missing
 * rows:
 *
 * <pre>{@code
 * static void collect(HookedTransformer model, Sae sae, TokenDataset tokens, String text) {
 *     int[] all = IntStream.range(0, sae.config().dSae()).toArray();
 *     StoreIdentity identity = StoreIdentity.of(model, sae, text, tokens.rowLength());
 *     try (FeatureStore store =
 *             FeatureStore.open(Path.of("features"), identity, all, sae.config().dIn())) {
 *         store.requireSameText(row -> tokens.row((int) row), tokens.rowsInAll());
 *         FeatureCollector.into(store, model, sae)
 *                 .threads(4)
 *                 .collect(row -> tokens.row((int) row), 0, tokens.rows());
 *         System.out.println(store.rows() + " rows are in " + store.folder());
 *     }
 * }
 * }</pre>
 */
public final class FeatureStore implements AutoCloseable {
    private final StoreFolder folder;
    /** The folders that are read as one; null for a store in one folder. */
    private final @Nullable JoinedFolders joined;
    /** The lock of the folder; null if the folder is read without one. */
    private final @Nullable StoreLock lock;

    private final boolean writable;
    private StoreManifest manifest;
    /** The sums over the manifest's rows; null while a {@link Shard} holds them, and before their first use. */
    private @Nullable NeuronCorrelationSums sums;

    private int[] features;
    private int dIn;
    private boolean begun;
    private boolean closed;

    private FeatureStore(JoinedFolders joined, Path first) {
        this.folder = new StoreFolder(first);
        this.joined = joined;
        this.manifest = joined.manifest();
        this.lock = null;
        this.writable = false;
        this.features = joined.features();
        this.dIn = joined.dIn();
    }

    private FeatureStore(StoreFolder folder, StoreManifest manifest, @Nullable StoreLock lock, boolean writable) {
        this.folder = folder;
        this.joined = null;
        this.manifest = manifest;
        this.lock = lock;
        this.writable = writable;
    }

    /**
     * Opens a folder to add rows to it, or makes a new one. A folder that cannot be written is opened read-only if it
     * holds rows.
     *
     * @param folder   the folder; it is made if it does not exist
     * @param identity the identity of the rows
     * @param features the features whose correlations with the dimensions of the activation are summed, ascending
     * @param dIn      the width of the activation, at least 1
     * @return the store; the caller closes it
     * @throws InputException           if the folder holds rows without a manifest, rows of another identity or sums
     *     of other features; if it is damaged; if another process writes to it; or if it cannot be written and holds no
     *     rows
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

    /** Opens a folder that cannot be written, read-only, if it holds rows of the identity and sums of the features. */
    private static FeatureStore openToShow(
            StoreFolder files, StoreIdentity identity, int[] features, IOException whyNotWritten) throws IOException {
        if (!files.hasManifest()) throw whyNotWritten;
        FeatureStore store = new FeatureStore(files, files.readManifest(), null, false);
        store.check(identity, features);
        return store;
    }

    /** Refuses another identity, other features, and a folder with missing files; reads the sums. */
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

    /** Keeps the sums over the manifest's rows. */
    private void keep(NeuronCorrelationSums sums) {
        this.sums = sums;
        this.features = sums.features();
        this.dIn = sums.dIn();
    }

    /**
     * Opens one of the folders within a parent, or makes a new one. Of the folders with this identity whose sums
     * include all given features, it opens the one with the most rows. Folders of other models, texts and features can
     * therefore lie beside each other.
     *
     * @param parent   the folder that contains the folders; it is made if it does not exist
     * @param identity the identity of the rows
     * @param features the features whose correlations with the dimensions of the activation are summed, ascending
     * @param dIn      the width of the activation, at least 1
     * @return the store; the caller closes it
     * @throws InputException           if the folder cannot be used, as in {@link #open}
     * @throws IllegalArgumentException if the features are not ascending from 0, or the width is not positive
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
                        continue; // the folder is of another version, or damaged
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
     * Opens a folder read-only, without a lock.
     *
     * @param folder the folder
     * @return the store; the caller closes it
     * @throws InputException if the folder holds no rows, or is damaged
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

    /**
     * Opens several folders read-only as one store, without locks. Nothing is copied: {@link Dashboards} reads the
     * sums of the features that it needs from all folders, so that only these are in memory, 16 bytes for each feature
     * and dimension of the activation. The sums of all folders are read once here, to check their checksums.
     *
     * @param folders the folders, at least one, in any order; they hold different rows of one identity, and sums of the
     *     same features
     * @return the store; the caller closes it
     * @throws InputException           if a folder holds no rows, rows of another identity, rows that another folder
     *     holds, or sums of other features; if it is named twice; or if it is damaged
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted
     * @throws IllegalArgumentException if there are no folders
     */
    public static FeatureStore readJoined(List<Path> folders) {
        if (folders.isEmpty()) throw new IllegalArgumentException("there should be at least 1 folder to read");
        return new FeatureStore(JoinedFolders.open(folders), folders.getFirst());
    }

    /** Opens a folder read-only, without its sums. If the folder has a lock file, writers are locked out. */
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
     * Makes a folder of the rows of other folders. The bytes do not depend on the order of the folders. All manifests
     * are read before the folder is made.
     *
     * @param folder the folder; it is made if it does not exist
     * @param others the other folders, at least one; they are not changed
     * @return the store; the caller closes it
     * @throws InputException if the folders cannot be merged, as in {@link #merge}
     */
    public static FeatureStore merged(Path folder, List<Path> others) {
        return StoreMerge.merged(folder, others);
    }

    /**
     * Checks that rows can be added, so that a read-only store is refused before anything is computed.
     *
     * @throws InputException        if the store is read-only
     * @throws IllegalStateException if the store was closed
     */
    void requireWritable() {
        if (closed) throw new IllegalStateException("the store " + place() + " was closed");
        if (!writable)
            throw new InputException(place() + " cannot be written: collect into another folder, and merge the two.");
    }

    // ------------------------------------------------------------------------------------------------- rows

    /** {@return the folder; the first one if several are read as one} */
    public Path folder() {
        return folder.path();
    }

    /** {@return the folder or the folders, for messages} */
    private Object place() {
        return joined == null ? folder : joined;
    }

    /** {@return the identity of the rows} */
    public StoreIdentity identity() {
        return manifest.identity();
    }

    /** {@return the number of rows in the store} */
    public long rows() {
        return manifest.count();
    }

    /** {@return the number after that of the store's last row; 0 if it holds no rows} */
    public long end() {
        return manifest.rows().isEmpty() ? 0 : manifest.rows().getLast().end();
    }

    /**
     * Returns the rows of a range that the store lacks.
     *
     * @param first the first row, inclusive
     * @param end   the last row, exclusive
     * @return the missing ranges, ascending, each as {first, end} with an exclusive end
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

    /** {@return the features whose correlations are summed, ascending} */
    int[] features() {
        return features;
    }

    /**
     * {@return the sums over all rows of the store}
     *
     * @throws IllegalStateException while a shard holds the sums
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
     * {@return what gives the sums of wanted features: all sums, which are in memory, or those of the wanted features,
     * which each call reads from joined folders}
     *
     * @throws IllegalStateException while a shard holds the sums
     */
    Function<int[], NeuronCorrelationSums> sumsByFeatures() {
        if (joined != null) return joined::sums;
        NeuronCorrelationSums all = sums();
        return _ -> all;
    }

    private ActivationShard openShard(StoreManifest.Rows range) throws IOException {
        return joined == null ? folder.openShard(manifest, range) : joined.openShard(range);
    }

    /**
     * Checks that the store's rows have the same tokens as a text.
     *
     * @param row  returns the token ids of a row of the text for the row's number
     * @param rows the number of rows of the text
     * @throws InputException if a row has other tokens, or the text has fewer rows than the store
     */
    public void requireSameText(LongFunction<int[]> row, long rows) {
        if (end() > rows)
            throw new InputException(place() + " holds other text: it has rows up to " + (end() - 1)
                    + ", and this text makes " + rows + " rows, from 0 on. Use another folder, or delete it.");
        try {
            for (StoreManifest.Rows range : manifest.rows()) {
                ActivationShard shard = openShard(range);
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
            throw new InputException(place() + " holds other text: row " + row + " has another token at position "
                    + position + ". Use another folder, or delete it.");
    }

    /**
     * {@return the shards of all rows, which begin at row 0 and have no gaps}
     *
     * @throws InputException if rows are missing
     */
    List<ActivationShard> shards() {
        List<long[]> gaps = missing(0, end());
        if (end() == 0 || !gaps.isEmpty())
            throw new InputException(place() + " lacks rows"
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
            throw folder.cannot(e);
        }
    }

    // ------------------------------------------------------------------------------------------------- adding rows

    /**
     * Begins to add a shard. Only one shard can be added at a time.
     *
     * @throws IllegalStateException if another shard is being added
     */
    Shard begin() {
        return new Shard();
    }

    /**
     * A shard that is being added. It holds the store's sums, which may be large: {@link #commit} returns them to the
     * store; otherwise the store reads them from the disk again.
     */
    final class Shard implements AutoCloseable {
        private final NeuronCorrelationSums added;

        private Shard() {
            added = FeatureStore.this.sums();
            sums = null;
            begun = true;
        }

        /** {@return the sums over the store's rows, to which the sums of this shard are to be added} */
        NeuronCorrelationSums sums() {
            return added;
        }

        /** Adds rows whose sums were added, and writes them to the disk. */
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

        /** Writes the sums and a manifest with these rows. The shards of all rows must be on the disk. */
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
     * Adds the rows of other folders.
     *
     * @param others the other folders; they are not changed
     * @throws InputException                              if this store is read-only, or another folder has another
     *     identity, sums of other features or rows that this store has already, is being written, or is damaged; no row
     *     is added then
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted; no row is added then
     * @throws IllegalStateException                       if this store was closed
     */
    public void merge(List<Path> others) {
        requireWritable();
        StoreMerge.merge(this, others);
    }

    /** Releases the lock, so that another process may write. */
    @Override
    public void close() {
        closed = true;
        try {
            if (lock != null) lock.close();
        } catch (IOException e) {
            throw folder.cannot(e);
        }
    }

    /** {@return a description with the folder and the number of rows} */
    @Override
    public String toString() {
        return "FeatureStore(" + place() + ", " + rows() + " rows" + (closed ? ", closed" : "") + ")";
    }
}
