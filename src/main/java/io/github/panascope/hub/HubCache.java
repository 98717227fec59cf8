package io.github.panascope.hub;

import io.github.panascope.InputException;
import io.github.panascope.internal.AtomicFile;
import io.github.panascope.internal.TextFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.FileSystemException;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantLock;
import java.util.stream.Stream;

/**
 * The part of the Hugging Face cache that belongs to one repository, in the layout of huggingface_hub: {@code blobs/}
 * with files by checksum, {@code snapshots/COMMIT/} with symbolic links to them, {@code refs/REVISION} with the commit,
 * and {@code .no_exist/COMMIT/} with markers of files that are known not to exist.
 */
final class HubCache {
    private static final ConcurrentHashMap<Path, ReentrantLock> LOCKS = new ConcurrentHashMap<>();
    private static final Duration LOOK_AGAIN = Duration.ofMillis(200);

    private final Path root;
    private final Path folder;
    private final HubRepo repo;

    HubCache(Path root, HubRepo repo) {
        this.root = root;
        this.folder = root.resolve(repo.folder());
        this.repo = repo;
    }

    /** Returns the commit that the cache has on record for the revision. */
    Optional<String> commit() {
        Path ref = folder.resolve("refs").resolve(repo.revision());
        if (!Files.isReadable(ref) || Files.isDirectory(ref)) { // the revision may itself be a commit
            boolean commit = Files.isDirectory(folder.resolve("snapshots").resolve(repo.revision()));
            return Optional.of(repo.revision()).filter(_ -> commit);
        }
        String commit = TextFile.read(ref).strip();
        if (!isCommit(commit))
            throw new InputException(ref + " should hold a commit, not '"
                    + commit.lines().findFirst().orElse("") + "': remove it.");
        return Optional.of(commit);
    }

    /** Returns whether a text has the form of a commit; a commit becomes part of a path. */
    static boolean isCommit(String text) {
        return text.matches("[A-Za-z0-9][A-Za-z0-9_-]{0,127}");
    }

    private Optional<Path> snapshot() {
        return commit().map(commit -> folder.resolve("snapshots").resolve(commit))
                .filter(Files::isDirectory);
    }

    /** Returns whether the cache holds a snapshot of the revision. */
    boolean hasSnapshot() {
        return snapshot().isPresent();
    }

    /** Returns a file of the snapshot; empty if it is not in the cache. */
    Optional<Path> file(String name) {
        return snapshot().map(snapshot -> snapshot.resolve(name)).filter(Files::exists);
    }

    /** Returns whether the cache records that the commit has no such file. */
    boolean isKnownMissing(String name) {
        return commit().map(commit ->
                        Files.exists(folder.resolve(".no_exist").resolve(commit).resolve(name)))
                .orElse(false);
    }

    /** Returns the names of the files in the snapshot, sorted; empty if there is no snapshot. */
    List<String> files() {
        Optional<Path> snapshot = snapshot();
        if (snapshot.isEmpty()) return List.of();
        try (Stream<Path> walk = Files.walk(snapshot.get(), FileVisitOption.FOLLOW_LINKS)) {
            return walk.filter(Files::isRegularFile)
                    .map(file -> snapshot.get().relativize(file).toString().replace('\\', '/'))
                    .sorted()
                    .toList();
        } catch (IOException | UncheckedIOException e) {
            throw new InputException(snapshot.get() + " cannot be read: " + InputException.reason(e), e);
        }
    }

    /** Returns the folder of the whole cache. */
    Path root() {
        return root;
    }

    // ------------------------------------------------------------------------------------------------- writing

    /** Returns the path of a blob, creating the folder of the blobs. */
    Path blob(String etag) throws IOException {
        return Files.createDirectories(folder.resolve("blobs")).resolve(etag);
    }

    /**
     * Runs work while holding the lock of a blob, which no other thread or process holds at the same time.
     *
     * @param etag    the name of the blob
     * @param waiting called repeatedly while another process holds the lock
     * @param work    the work
     */
    <T> T locked(String etag, Runnable waiting, Locked<T> work) throws IOException, InterruptedException {
        Path file = Files.createDirectories(root.resolve(".locks").resolve(repo.folder()))
                .resolve(etag + ".lock");
        // A file lock belongs to the whole process: threads of this process exclude each other by a lock of their own.
        ReentrantLock here = LOCKS.computeIfAbsent(file.toAbsolutePath(), path -> new ReentrantLock());
        here.lockInterruptibly();
        // The system releases the lock of a process that ends, so that a lock file left behind blocks no other process.
        try (FileChannel channel = FileChannel.open(
                file, StandardOpenOption.CREATE, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS)) {
            while (!lock(channel, file)) {
                waiting.run();
                Thread.sleep(LOOK_AGAIN);
            }
            return work.run();
        } finally {
            here.unlock();
        }
    }

    /** Locks a file until its channel is closed; returns false if another process holds the lock. */
    private static boolean lock(FileChannel channel, Path file) throws IOException {
        try {
            return channel.tryLock() != null;
        } catch (OverlappingFileLockException e) {
            return false; // held by a second copy of this library in this JVM
        } catch (IOException e) {
            throw new FileSystemException(file.toString(), null, "it cannot be locked there: " + e.getMessage());
        }
    }

    /** Work on files that is done under a lock. */
    interface Locked<T> {
        T run() throws IOException, InterruptedException;
    }

    /** Links a blob into a snapshot and returns the path of the link. */
    Path link(String commit, String name, Path blob) throws IOException {
        Path file = folder.resolve("snapshots").resolve(commit).resolve(name);
        Files.createDirectories(file.getParent());
        Path part = file.resolveSibling("." + file.getFileName() + "."
                + Thread.currentThread().threadId() + ProcessHandle.current().pid() + ".part");
        Files.deleteIfExists(part); // left by an earlier process with the same process id
        Files.createSymbolicLink(part, file.getParent().toAbsolutePath().relativize(blob.toAbsolutePath()));
        Files.move(part, file, StandardCopyOption.ATOMIC_MOVE);
        return file;
    }

    /**
     * Records the commit of the revision if the cache can be written to; without that record the next run asks the hub
     * again. A revision that is itself a commit needs no record.
     */
    void refer(String commit) {
        try {
            if (!commit.equals(repo.revision()))
                AtomicFile.write(folder.resolve("refs").resolve(repo.revision()), commit);
        } catch (InputException e) {
            // the cache is read-only
        }
    }

    /**
     * Records that a commit has no such file, so that no later run asks the hub for it, if the cache can be written to.
     */
    void markMissing(String commit, String name) {
        Path marker = folder.resolve(".no_exist").resolve(commit).resolve(name);
        try {
            Files.createDirectories(marker.getParent());
            if (!Files.exists(marker)) Files.createFile(marker);
        } catch (IOException e) {
            return; // the cache is read-only
        }
        refer(commit);
    }
}
