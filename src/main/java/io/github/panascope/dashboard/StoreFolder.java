package io.github.panascope.dashboard;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import io.github.panascope.internal.AtomicFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.HashSet;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * The files of a {@link FeatureStore}. Each file is written under a temporary name, forced onto the disk and renamed.
 * The manifest, which lists the valid files, is written last.
 *
 * @param path the folder
 */
record StoreFolder(Path path) {
    private static final String MANIFEST = "manifest.json";

    Path manifest() {
        return path.resolve(MANIFEST);
    }

    boolean hasManifest() {
        return Files.exists(manifest());
    }

    /**
     * Reads the manifest.
     *
     * @throws InputException if the folder has no manifest, or a damaged one
     */
    StoreManifest readManifest() throws IOException {
        if (!hasManifest()) throw new InputException(path + " holds no features: it has no " + MANIFEST + ".");
        return StoreManifest.read(manifest());
    }

    Path shard(StoreManifest manifest, StoreManifest.Rows range) {
        return path.resolve(manifest.shard(range));
    }

    /**
     * Opens a shard.
     *
     * @throws InputException if the shard is missing, damaged, or has other rows
     */
    ActivationShard openShard(StoreManifest manifest, StoreManifest.Rows range) throws IOException {
        return openShard(shard(manifest, range), range);
    }

    static ActivationShard openShard(Path file, StoreManifest.Rows range) throws IOException {
        requireExists(file);
        ActivationShard shard = ActivationShard.open(file, range.checksum());
        if (shard.firstRow != range.first() || shard.rows != range.count()) throw ActivationShard.damaged(file);
        return shard;
    }

    /**
     * Reads the sums.
     *
     * @throws InputException if there are no rows, or the sums are missing or damaged
     */
    NeuronCorrelationSums readSums(StoreManifest manifest) throws IOException {
        return NeuronCorrelationSums.read(sums(manifest), manifest.sums());
    }

    /**
     * {@return the file of sums}
     *
     * @throws InputException if there are no rows, or the file is missing
     */
    Path sums(StoreManifest manifest) {
        if (manifest.sums() == null) throw new InputException(path + " holds no rows: collect some first.");
        Path file = path.resolve(manifest.sumsFile());
        requireExists(file);
        return file;
    }

    static void requireExists(Path file) {
        if (!Files.exists(file))
            throw new InputException(file
                    + " is missing: the folder is not whole. Put a copy of it back, or delete the folder and"
                    + " collect again.");
    }

    /**
     * Refuses a folder with rows but without a manifest, because the identity of such rows is unknown.
     *
     * @throws InputException if the folder holds rows
     */
    void requireNoRows() throws IOException {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(
                path, file -> file.getFileName().toString().matches("(rows|sums)-[0-9a-f-]+\\.bin"))) {
            for (Path file : files) {
                if (ActivationShard.is(file) || NeuronCorrelationSums.is(file)) {
                    throw new InputException(
                            path + " holds rows, such as " + file.getFileName() + ", but no " + MANIFEST
                                    + ", which says what they are of: put it back, or use another folder, or delete"
                                    + " this one.");
                }
            }
        }
    }

    // ------------------------------------------------------------------------------------------------- writing

    /** Writes a shard under its name, and returns its checksum. */
    int writeShard(StoreManifest manifest, long first, long end, int context, Iterable<ActivationShard.Part> parts)
            throws IOException {
        Path file = shard(manifest, new StoreManifest.Rows(first, end, 0));
        int checksum = ActivationShard.write(part(file), first, (int) (end - first), context, parts);
        Files.move(part(file), file, StandardCopyOption.ATOMIC_MOVE);
        return checksum;
    }

    /**
     * Writes the sums of a manifest, and returns the manifest with their checksum. The returned manifest still has to
     * be written.
     */
    StoreManifest writeSums(StoreManifest manifest, NeuronCorrelationSums sums) throws IOException {
        Path file = path.resolve(manifest.sumsFile());
        int checksum = sums.write(part(file));
        Files.move(part(file), file, StandardCopyOption.ATOMIC_MOVE);
        force();
        return manifest.with(manifest.rows(), checksum);
    }

    /** Replaces the manifest of the folder. */
    void writeManifest(StoreManifest manifest) throws IOException {
        byte[] text = manifest.toJson().getBytes(StandardCharsets.UTF_8);
        try {
            AtomicFile.write(manifest(), out -> {
                for (ByteBuffer bytes = ByteBuffer.wrap(text); bytes.hasRemaining(); ) out.write(bytes);
                out.force(true);
            });
        } catch (InputException e) {
            if (e.getCause() instanceof ClosedByInterruptException cause) throw cause;
            throw e;
        }
        force();
    }

    /** Copies the content of another folder's shard, but not its permissions, and forces it onto the disk. */
    void copyShard(StoreManifest manifest, StoreManifest.Rows range, Path from) throws IOException {
        Path file = shard(manifest, range);
        try (FileChannel in = FileChannel.open(from, StandardOpenOption.READ);
                FileChannel out = FileChannel.open(
                        part(file),
                        StandardOpenOption.CREATE,
                        StandardOpenOption.TRUNCATE_EXISTING,
                        StandardOpenOption.WRITE)) {
            for (long at = 0; at < in.size(); ) at += in.transferTo(at, in.size() - at, out);
            out.force(true);
        }
        Files.move(part(file), file, StandardCopyOption.ATOMIC_MOVE);
    }

    /**
     * Deletes the files of processes that ended before they had written their manifest: files with this folder's number
     * in their names that the manifest does not list.
     */
    void sweep(StoreManifest manifest) throws IOException {
        Set<String> kept = manifest.rows().stream().map(manifest::shard).collect(Collectors.toCollection(HashSet::new));
        if (manifest.sums() != null) kept.add(manifest.sumsFile());
        String ours = "(rows|sums)-\\d+-\\d+-" + manifest.id() + "\\.bin(\\.part)?";
        try (DirectoryStream<Path> files = Files.newDirectoryStream(
                path, file -> file.getFileName().toString().matches(ours))) {
            for (Path file : files) if (!kept.contains(file.getFileName().toString())) Files.delete(file);
        }
    }

    private static Path part(Path file) {
        return file.resolveSibling(file.getFileName() + ".part");
    }

    /** Forces the names of files onto the disk, if the system supports it. */
    private void force() throws IOException {
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }

    /** {@return the exception for a file that cannot be read or written} */
    RuntimeException cannot(IOException e) {
        return cannot(path, e);
    }

    static RuntimeException cannot(Path folder, IOException e) {
        if (e instanceof ClosedByInterruptException) RunInterruptedException.check("using " + folder, e);
        return new InputException(folder + " cannot be used: " + InputException.reason(e) + ".", e);
    }

    @Override
    public String toString() {
        return path.toString();
    }
}
