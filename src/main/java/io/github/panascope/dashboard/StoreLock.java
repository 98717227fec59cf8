package io.github.panascope.dashboard;

import io.github.panascope.InputException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** The lock file of a {@link FeatureStore}, which one writer or any number of readers hold. */
final class StoreLock implements AutoCloseable {
    private static final String NAME = "lock";

    private final FileChannel channel;
    private final FileLock lock;

    private StoreLock(FileChannel channel, FileLock lock) {
        this.channel = channel;
        this.lock = lock;
    }

    /** Opens the lock file of a folder for {@link #forWriting}, and makes it if needed. */
    static FileChannel openFile(Path folder) throws IOException {
        return FileChannel.open(folder.resolve(NAME), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
    }

    /**
     * Locks a folder for one writer.
     *
     * @param file the result of {@link #openFile}; it is closed with the lock, or at once if locking fails
     * @throws InputException if another process holds the lock
     */
    static StoreLock forWriting(Path folder, FileChannel file) throws IOException {
        return lock(
                file,
                false,
                folder + " is being written by another process: wait for it, or use another folder and merge the two.");
    }

    /**
     * Locks a folder against writers.
     *
     * @return the lock; null if the folder has no lock file that can be read
     * @throws InputException if a writer holds the lock
     */
    static StoreLock forReading(Path folder) throws IOException {
        Path file = folder.resolve(NAME);
        if (!Files.isReadable(file)) return null;
        return lock(
                FileChannel.open(file, StandardOpenOption.READ),
                true,
                folder + " is being written: wait for that to end.");
    }

    private static StoreLock lock(FileChannel channel, boolean shared, String otherwise) throws IOException {
        FileLock lock = null;
        try {
            lock = tryLock(channel, shared);
            if (lock == null) throw new InputException(otherwise);
            return new StoreLock(channel, lock);
        } finally {
            if (lock == null) channel.close();
        }
    }

    private static FileLock tryLock(FileChannel channel, boolean shared) throws IOException {
        try {
            return channel.tryLock(0, Long.MAX_VALUE, shared);
        } catch (OverlappingFileLockException e) {
            return null; // this process holds the lock
        }
    }

    @Override
    public void close() throws IOException {
        if (lock.isValid()) lock.release();
        channel.close();
    }
}
