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
 * The Hugging Face cache as huggingface_hub lays it out, for one repository: {@code blobs/} by checksum,
 * {@code snapshots/COMMIT/} of symbolic links to them, {@code refs/REVISION} with the commit, {@code .no_exist/COMMIT/}
 * of what is known not to be there.
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

    /** The commit that the cache knows for the revision. */
    Optional<String> commit() {
        Path ref = folder.resolve("refs").resolve(repo.revision());
        if (!Files.isReadable(ref) || Files.isDirectory(ref)) { // perhaps it is a commit itself
            boolean commit = Files.isDirectory(folder.resolve("snapshots").resolve(repo.revision()));
            return Optional.of(repo.revision()).filter(_ -> commit);
        }
        String commit = TextFile.read(ref).strip();
        if (!isCommit(commit))
            throw new InputException(ref + " should hold a commit, not '"
                    + commit.lines().findFirst().orElse("") + "': remove it.");
        return Optional.of(commit);
    }

    /** A commit becomes part of a path. */
    static boolean isCommit(String text) {
        return text.matches("[A-Za-z0-9][A-Za-z0-9_-]{0,127}");
    }

    private Optional<Path> snapshot() {
        return commit().map(commit -> folder.resolve("snapshots").resolve(commit))
                .filter(Files::isDirectory);
    }

    boolean hasSnapshot() {
        return snapshot().isPresent();
    }

    Optional<Path> file(String name) {
        return snapshot().map(snapshot -> snapshot.resolve(name)).filter(Files::exists);
    }

    boolean isKnownMissing(String name) {
        return commit().map(commit ->
                        Files.exists(folder.resolve(".no_exist").resolve(commit).resolve(name)))
                .orElse(false);
    }

    /** The names of the files in the snapshot; empty if there is none. */
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

    Path root() {
        return root;
    }

    // ------------------------------------------------------------------------------------------------- writing

    Path blob(String etag) throws IOException {
        return Files.createDirectories(folder.resolve("blobs")).resolve(etag);
    }

    /**
     * Runs something that no other thread or process does at the same time for this blob.
     *
     * @param waiting run now and then while another process does it
     */
    <T> T locked(String etag, Runnable waiting, Locked<T> work) throws IOException, InterruptedException {
        Path file = Files.createDirectories(root.resolve(".locks").resolve(repo.folder()))
                .resolve(etag + ".lock");
        // A file lock is the process's: threads of this one have to wait for each other themselves.
        ReentrantLock here = LOCKS.computeIfAbsent(file.toAbsolutePath(), path -> new ReentrantLock());
        here.lockInterruptibly();
        // The system drops the lock of a process that ends: a file that one left behind locks nobody out.
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

    /** Locks a file until its channel is closed; false if somebody else has locked it. */
    private static boolean lock(FileChannel channel, Path file) throws IOException {
        try {
            return channel.tryLock() != null;
        } catch (OverlappingFileLockException e) {
            return false; // this library, loaded a second time in this JVM
        } catch (IOException e) {
            throw new FileSystemException(file.toString(), null, "it cannot be locked there: " + e.getMessage());
        }
    }

    /** Work that reads and writes files. */
    interface Locked<T> {
        T run() throws IOException, InterruptedException;
    }

    /** Makes a blob a file of a snapshot. */
    Path link(String commit, String name, Path blob) throws IOException {
        Path file = folder.resolve("snapshots").resolve(commit).resolve(name);
        Files.createDirectories(file.getParent());
        Path part = file.resolveSibling("." + file.getFileName() + "."
                + Thread.currentThread().threadId() + ProcessHandle.current().pid() + ".part");
        Files.deleteIfExists(part); // of a process that had the same number
        Files.createSymbolicLink(part, file.getParent().toAbsolutePath().relativize(blob.toAbsolutePath()));
        Files.move(part, file, StandardCopyOption.ATOMIC_MOVE);
        return file;
    }

    /**
     * Remembers which commit the revision is, if it can: without, the next run asks again. A revision that is a commit
     * needs no reference.
     */
    void refer(String commit) {
        try {
            if (!commit.equals(repo.revision()))
                AtomicFile.write(folder.resolve("refs").resolve(repo.revision()), commit);
        } catch (InputException e) {
            // a cache that is only read
        }
    }

    /** Remembers that a commit has no such file, so that nobody asks again; if it can. */
    void markMissing(String commit, String name) {
        Path marker = folder.resolve(".no_exist").resolve(commit).resolve(name);
        try {
            Files.createDirectories(marker.getParent());
            if (!Files.exists(marker)) Files.createFile(marker);
        } catch (IOException e) {
            return; // a cache that is only read
        }
        refer(commit);
    }
}
