package io.github.panascope.dashboard;

import io.github.panascope.hub.AtomicFile;
import io.github.panascope.hub.InputException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * A folder with what an SAE's features were at rows of tokens: shards of rows, the sums that need the dense activations, and {@code manifest.json}, which says what of the
 * rest counts. Every file is written beside its place, seen onto the disk and renamed, the manifest last: a process that ends at any moment leaves a folder that is whole, with
 * fewer rows. One process at a time may write.
 */
public final class FeatureStore implements AutoCloseable {
    private static final String MANIFEST = "manifest.json", LOCK = "lock", FORMAT = "panascope features 1";

    /** What must be equal for rows to belong together: model, SAE, weights, text and how they were run. */
    public record Identity(Map<String, String> entries) {
        /** Copies the entries, and keeps their order. */
        public Identity {
            entries = java.util.Collections.unmodifiableMap(new LinkedHashMap<>(entries));
        }

        /** For a folder: the hook, and a few digits of a hash of all. */
        private String shortName(int[] features) {
            try {
                byte[] hash = MessageDigest.getInstance("SHA-256").digest((entries + java.util.Arrays.toString(features)).getBytes(StandardCharsets.UTF_8));
                return entries.getOrDefault("hook", "features").replaceAll("[^A-Za-z0-9._]", "_") + "-" + HexFormat.of().formatHex(hash, 0, 4);
            } catch (NoSuchAlgorithmException e) {
                throw new IllegalStateException("every JDK has SHA-256", e);
            }
        }

        private String difference(Identity other) {
            Set<String> keys = new java.util.TreeSet<>(entries.keySet());
            keys.addAll(other.entries.keySet());
            return keys.stream().filter(key -> !java.util.Objects.equals(entries.get(key), other.entries.get(key)))
                    .map(key -> key + " is " + other.entries.get(key) + " there and " + entries.get(key) + " here").collect(Collectors.joining(", "));
        }
    }

    /** Rows from first (inclusive) to end (exclusive) that one file holds. */
    record Rows(long first, long end, String file) {}

    private final Path folder;
    private final Identity identity;
    private List<Rows> rows;
    private String sumsFile;
    private NeuronSums sums;
    private boolean begun;
    private final FileChannel lockChannel;
    private final FileLock lock;

    private FeatureStore(Path folder, Identity identity, List<Rows> rows, String sumsFile, FileChannel lockChannel, FileLock lock) {
        this.folder = folder;
        this.identity = identity;
        this.rows = rows;
        this.sumsFile = sumsFile;
        this.lockChannel = lockChannel;
        this.lock = lock;
    }

    /**
     * Opens a folder to go on in, or makes one.
     *
     * @param features the features whose correlations with the activation's dimensions are summed up, ascending
     * @param dIn      the width of the activation
     * @throws InputException if the folder holds something else, or rows of another identity, or another process writes to it
     */
    public static FeatureStore open(Path folder, Identity identity, int[] features, int dIn) {
        try {
            Files.createDirectories(folder);
            FileChannel channel = FileChannel.open(folder.resolve(LOCK), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            boolean opened = false;
            try {
                FeatureStore store;
                FileLock lock = tryLock(channel);
                if (lock == null) throw new InputException(folder + " is being written by another process: wait for it, or use another folder and merge the two.");
                if (!Files.exists(folder.resolve(MANIFEST))) {
                    store = new FeatureStore(folder, identity, List.of(), null, channel, lock);
                    store.sums = new NeuronSums(features, dIn);
                } else {
                    store = read(folder, channel, lock);
                    if (!store.identity.equals(identity)) throw new InputException(folder + " holds features of something else: " + identity.difference(store.identity) + ". Use another folder, or delete it.");
                    store.sums = store.readSums();
                    if (!store.sums.covers(features)) throw new InputException(folder + " was made for other features, whose correlations with neurons it holds: " + store.sums.describe() + ". Use another folder, or delete it.");
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

    /**
     * Goes on in the folder of {@code parent} that holds most rows of this identity, and what is needed for these features; makes one if none does. So folders of
     * other models, texts and features can lie beside each other.
     *
     * @throws InputException as {@link #open} does
     */
    public static FeatureStore openWithin(Path parent, Identity identity, int[] features, int dIn) {
        Path best = null;
        long most = -1;
        try {
            Files.createDirectories(parent);
            try (DirectoryStream<Path> folders = Files.newDirectoryStream(parent, folder -> Files.exists(folder.resolve(MANIFEST)))) {
                for (Path folder : folders) {
                    FeatureStore store;
                    try {
                        store = read(folder, null, null);
                    } catch (InputException e) {
                        continue; // of another version, or damaged: none of ours
                    }
                    if (store.rows() > most && store.identity.equals(identity) && NeuronSums.covers(folder.resolve(store.sumsFile), features)) {
                        best = folder;
                        most = store.rows();
                    }
                }
            }
        } catch (IOException e) {
            throw cannot(parent, e);
        }
        return open(best != null ? best : parent.resolve(identity.shortName(features)), identity, features, dIn);
    }

    private static FileLock tryLock(FileChannel channel) throws IOException {
        try {
            return channel.tryLock();
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
            if (!Files.exists(folder.resolve(MANIFEST))) throw new InputException(folder + " holds no features: it has no " + MANIFEST + ".");
            return read(folder, null, null);
        } catch (IOException e) {
            throw cannot(folder, e);
        }
    }

    private static FeatureStore read(Path folder, FileChannel channel, FileLock lock) throws IOException {
        Path file = folder.resolve(MANIFEST);
        try {
            JsonNode json = JsonMapper.shared().readTree(Files.readString(file));
            if (!json.path("format").asString("").equals(FORMAT)) throw new InputException(file + ": 'format' should be \"" + FORMAT + "\", not " + json.path("format") + ".");
            Map<String, String> entries = new LinkedHashMap<>();
            json.required("identity").forEachEntry((key, value) -> entries.put(key, value.stringValue()));
            List<Rows> rows = new ArrayList<>();
            for (JsonNode range : json.required("rows")) rows.add(new Rows(range.get(0).longValue(), range.get(1).longValue(), range.get(2).stringValue()));
            for (Rows range : rows) if (!range.file.matches("[a-z0-9-]+\\.bin")) throw new InputException(file + ": '" + range.file + "' is no name of a shard.");
            String sums = json.required("sums").stringValue();
            if (!sums.matches("[a-z0-9-]+\\.bin")) throw new InputException(file + ": '" + sums + "' is no name of a file of sums.");
            return new FeatureStore(folder, new Identity(entries), List.copyOf(rows), sums, channel, lock);
        } catch (JacksonException | NullPointerException e) {
            throw new InputException(file + " is damaged: " + e.getMessage() + ". Delete the folder and collect again.", e);
        }
    }

    private NeuronSums readSums() throws IOException {
        Path file = folder.resolve(sumsFile);
        if (!Files.exists(file)) throw new InputException(file + " is missing: the folder is not whole.");
        return NeuronSums.read(file);
    }

    private static InputException cannot(Path folder, IOException e) {
        return new InputException(folder + " cannot be used: " + InputException.reason(e) + ".", e);
    }

    /** Deletes what a process left that ended before it had written its manifest. */
    private void sweep() throws IOException {
        Set<String> kept = rows.stream().map(Rows::file).collect(Collectors.toCollection(HashSet::new));
        kept.addAll(List.of(MANIFEST, LOCK));
        if (sumsFile != null) kept.add(sumsFile);
        try (DirectoryStream<Path> files = Files.newDirectoryStream(folder)) {
            for (Path file : files) {
                String name = file.getFileName().toString();
                if (!kept.contains(name) && name.matches("(rows|sums)-[0-9-]+\\.bin(\\.part)?|\\.manifest\\.json.*\\.part")) Files.delete(file);
            }
        }
    }

    // ------------------------------------------------------------------------------------------------- rows

    /** Where it lies. */
    public Path folder() {
        return folder;
    }

    /** What the rows belong to. */
    public Identity identity() {
        return identity;
    }

    /** How many rows it holds. */
    public long rows() {
        return rows.stream().mapToLong(range -> range.end - range.first).sum();
    }

    /** Which rows of a range it does not hold yet, as (first, end) pairs. */
    public List<long[]> missing(long first, long end) {
        List<long[]> gaps = new ArrayList<>();
        long at = first;
        for (Rows range : rows) { // by first row
            if (range.first >= end) break;
            if (range.first > at) gaps.add(new long[] {at, range.first});
            at = Math.max(at, range.end);
        }
        if (at < end) gaps.add(new long[] {at, end});
        return gaps;
    }

    NeuronSums sums() {
        return sums;
    }

    /** The sums, to add rows to that {@link #commit} then makes count. Should it never come to that, this object is of no more use. */
    NeuronSums begin() {
        begun = true;
        return sums;
    }

    /**
     * Checks that the rows that are here are made of the same text.
     *
     * @param row the token ids of a row
     * @param end rows from here on are not looked at
     * @throws InputException if a row's tokens are others
     */
    public void requireSameText(java.util.function.LongFunction<int[]> row, long end) {
        try {
            for (Rows range : rows) {
                if (range.first >= end) continue;
                ActivationShard shard = ActivationShard.open(folder.resolve(range.file));
                for (int r = 0; r < shard.rows && range.first + r < end; r++) {
                    int[] now = row.apply(range.first + r);
                    for (int i = 0; i < shard.context; i++) {
                        if (i >= now.length || shard.tokens.get(r * shard.context + i) != now[i]) throw new InputException(folder + " holds other text: row " + (range.first + r) + " has another token at position " + i + ". Use another folder, or delete it.");
                    }
                }
            }
        } catch (IOException e) {
            throw cannot(folder, e);
        }
    }

    /** The shards of all rows from 0 on, without a gap. */
    List<ActivationShard> shards() {
        long end = rows.stream().mapToLong(Rows::end).max().orElse(0);
        List<long[]> gaps = missing(0, end);
        if (end == 0 || !gaps.isEmpty()) throw new InputException(folder + " lacks rows" + (end == 0 ? "" : " " + gaps.stream().map(gap -> gap[0] + " to " + (gap[1] - 1)).collect(Collectors.joining(", "))) + ": collect or merge them first.");
        try {
            List<ActivationShard> shards = new ArrayList<>();
            for (Rows range : rows) {
                ActivationShard shard = ActivationShard.open(folder.resolve(range.file));
                if (shard.firstRow != range.first || shard.rows != range.end - range.first) throw ActivationShard.damaged(folder.resolve(range.file));
                shards.add(shard);
            }
            return shards;
        } catch (IOException e) {
            throw cannot(folder, e);
        }
    }

    /** Adds rows whose sums were added since {@link #begin}. Afterwards they are on the disk. */
    void commit(long first, long end, Iterable<ActivationShard.Part> parts, int context) {
        if (missing(first, end).stream().mapToLong(gap -> gap[1] - gap[0]).sum() != end - first) throw new IllegalStateException("rows " + first + " to " + end + " are there already");
        try {
            Rows range = new Rows(first, end, String.format("rows-%08d-%08d.bin", first, end));
            Path part = folder.resolve(range.file + ".part");
            ActivationShard.write(part, first, (int) (end - first), context, parts);
            Files.move(part, folder.resolve(range.file), StandardCopyOption.ATOMIC_MOVE);
            List<Rows> more = new ArrayList<>(rows);
            more.add(range);
            publish(more);
            begun = false;
        } catch (IOException e) {
            throw cannot(folder, e);
        }
    }

    /** Makes these rows and the present sums what counts. */
    private void publish(List<Rows> more) throws IOException {
        more.sort(Comparator.comparingLong(Rows::first));
        String former = sumsFile;
        // Named by what is in it, so that the manifest of before still finds its own.
        String next = "sums-" + more.stream().mapToLong(range -> range.end - range.first).sum() + "-" + more.size() + ".bin";
        Path part = folder.resolve(next + ".part");
        sums.write(part);
        Files.move(part, folder.resolve(next), StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        force(folder);
        Map<String, Object> manifest = new LinkedHashMap<>();
        manifest.put("format", FORMAT);
        manifest.put("identity", identity.entries);
        manifest.put("rows", more.stream().map(range -> List.of(range.first, range.end, range.file)).toList());
        manifest.put("sums", next);
        byte[] text = (JsonMapper.shared().writerWithDefaultPrettyPrinter().writeValueAsString(manifest) + "\n").getBytes(java.nio.charset.StandardCharsets.UTF_8);
        AtomicFile.write(folder.resolve(MANIFEST), out -> {
            for (ByteBuffer bytes = ByteBuffer.wrap(text); bytes.hasRemaining();) out.write(bytes);
            out.force(true);
        });
        force(folder);
        rows = List.copyOf(more);
        sumsFile = next;
        if (former != null && !former.equals(next)) Files.deleteIfExists(folder.resolve(former));
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
     * @throws InputException if one of them is of another identity, or has rows that are here already
     */
    public void merge(List<Path> others) {
        if (begun) throw new IllegalStateException("collecting ended in the middle of a shard: open the folder again");
        List<FeatureStore> stores = new ArrayList<>();
        List<Rows> more = new ArrayList<>(rows);
        for (Path path : others) {
            FeatureStore other = readManifest(path);
            if (stores.stream().anyMatch(before -> sameFolder(before.folder, path))) throw new InputException(path + " is named twice.");
            if (!other.identity.equals(identity)) throw new InputException(other.folder + " cannot be merged: " + identity.difference(other.identity) + ".");
            stores.add(other);
            for (Rows range : other.rows) {
                for (Rows here : more) {
                    if (here.first < range.end && range.first < here.end) throw new InputException(other.folder + " cannot be merged: its rows " + range.first + " to " + (range.end - 1) + " are there already.");
                }
                more.add(range);
            }
        }
        begun = true;
        try {
            for (FeatureStore other : stores) {
                for (Rows range : other.rows) {
                    ActivationShard.open(other.folder.resolve(range.file)); // whole, or nothing is merged
                    Path part = folder.resolve(range.file + ".part");
                    Files.copy(other.folder.resolve(range.file), part, StandardCopyOption.REPLACE_EXISTING);
                    try (FileChannel channel = FileChannel.open(part, StandardOpenOption.WRITE)) {
                        channel.force(true);
                    }
                    Files.move(part, folder.resolve(range.file), StandardCopyOption.ATOMIC_MOVE);
                }
                NeuronSums added = other.readSums(); // of one folder at a time: they may be large
                if (!added.sameFeatures(sums)) throw new InputException(other.folder + " cannot be merged: it was made for other features, " + added.describe() + " there and " + sums.describe() + " here.");
                sums.addAll(added);
            }
            publish(more);
            begun = false;
        } catch (IOException e) {
            throw cannot(folder, e);
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
        FeatureStore first = read(like);
        return open(folder, first.identity, first.sums.features(), first.sums.dIn());
    }

    /** Makes a folder of the rows of others, at least one; merging them in any order gives the same. */
    public static FeatureStore merged(Path folder, List<Path> others) {
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
}
