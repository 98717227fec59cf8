package io.github.panascope.internal;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.regex.Pattern;
import tools.jackson.core.exc.JacksonIOException;

/**
 * A file that is either written as a whole or not changed. The content goes to a temporary file in the same folder,
 * which is renamed at the end. If the file is a symbolic link, the target of the link is replaced, not the link.
 * Devices and pipes, which cannot be replaced, are written to directly.
 *
 * <pre>{@code
 * try (AtomicFile file = AtomicFile.open(path)) {
 *     OutputStream out = file.out();
 *     file.write(() -> out.write(bytes));
 *     file.commit();
 * }
 * }</pre>
 */
public final class AtomicFile implements AutoCloseable {
    private final Path file;
    /** The final place, with symbolic links resolved; null if {@link #file} itself is written to. */
    private final Path target;
    /** The temporary file; {@link #file} itself if that cannot be replaced. */
    private final Path part;

    private OutputStream out;

    private AtomicFile(Path file, Path target, Path part) {
        this.file = file;
        this.target = target;
        this.part = part;
    }

    /** Writes the content of a file through a channel. */
    @FunctionalInterface
    public interface Content {
        /**
         * Writes the content.
         *
         * @param out the channel, at position 0 of an empty file
         * @throws IOException if the content cannot be written
         */
        void write(FileChannel out) throws IOException;
    }

    /** Writes the content of a file that is given by its path. */
    @FunctionalInterface
    public interface Writer {
        /**
         * Writes the content.
         *
         * @param file the path of a file that exists and is empty
         * @throws IOException if the content cannot be written
         */
        void write(Path file) throws IOException;
    }

    /** A step of writing a file. */
    @FunctionalInterface
    public interface Step {
        /**
         * Runs the step.
         *
         * @throws IOException if the file cannot be written
         */
        void run() throws IOException;
    }

    /**
     * Writes a file and makes the folders that it lies in. An existing file is replaced.
     *
     * @param file    the file
     * @param content writes the content
     * @throws InputException          if the file cannot be written; an existing file is then not changed
     * @throws RunInterruptedException if the thread is interrupted; an existing file is then not changed
     */
    public static void write(Path file, Content content) {
        writePath(file, part -> {
            try (FileChannel out = FileChannel.open(part, StandardOpenOption.WRITE)) {
                content.write(out);
            }
        });
    }

    /**
     * Writes a file like {@link #write(Path, Content)}, with a writer that takes the path of a file.
     *
     * @param file   the file
     * @param writer writes the content to the path of the temporary file
     * @throws InputException          if the file cannot be written; an existing file is then not changed
     * @throws RunInterruptedException if the thread is interrupted; an existing file is then not changed
     */
    public static void writePath(Path file, Writer writer) {
        try (AtomicFile opened = open(file)) {
            opened.write(() -> writer.write(opened.part));
            opened.commit();
        }
    }

    /**
     * Writes text in UTF-8 to a file like {@link #write(Path, Content)}.
     *
     * @param file the file
     * @param text the text
     * @throws InputException          if the file cannot be written; an existing file is then not changed
     * @throws RunInterruptedException if the thread is interrupted; an existing file is then not changed
     */
    public static void write(Path file, String text) {
        write(file, out -> {
            var bytes = StandardCharsets.UTF_8.encode(text);
            while (bytes.hasRemaining()) out.write(bytes);
        });
    }

    /**
     * Opens a file to be written step by step: call {@link #write(Step)}, then {@link #commit}, and {@link #close} in
     * any case. Makes the folders that the file lies in.
     *
     * @param file the file
     * @return the file without content; the caller closes it
     * @throws InputException if the file cannot be written
     */
    public static AtomicFile open(Path file) {
        try {
            if (Files.isDirectory(file)) throw new InputException(file + " cannot be written: it is a folder.");
            if (Files.exists(file) && !Files.isRegularFile(file)) return new AtomicFile(file, null, file);
            Path target = Files.exists(file) ? file.toRealPath() : file.toAbsolutePath();
            Path folder = target.getParent();
            Files.createDirectories(folder);
            Path part = Files.createTempFile(folder, "." + target.getFileName() + ".", ".part");
            sweep(folder, "." + target.getFileName() + ".");
            return new AtomicFile(file, target, part);
        } catch (IOException e) {
            throw cannot(file, e);
        }
    }

    /**
     * Runs a step that writes to {@link #out}.
     *
     * @param step the step
     * @throws InputException          if the step fails with an I/O error
     * @throws RunInterruptedException if the thread is interrupted
     */
    public void write(Step step) {
        try {
            step.run();
        } catch (UncheckedIOException e) {
            throw cannot(file, e.getCause());
        } catch (JacksonIOException e) {
            throw cannot(file, e.getCause());
        } catch (IOException e) {
            throw cannot(file, e);
        }
    }

    /**
     * {@return the buffered stream for the content; this file closes it}
     *
     * @throws InputException if the file cannot be written
     */
    public OutputStream out() {
        write(() -> {
            if (out == null) out = new BufferedOutputStream(Files.newOutputStream(part), 1 << 16);
        });
        return out;
    }

    /**
     * Ends the content, and moves the temporary file to its final place.
     *
     * @throws InputException          if the file cannot be written; an existing file is then not changed
     * @throws RunInterruptedException if the thread is interrupted; an existing file is then not changed
     */
    public void commit() {
        write(() -> {
            if (out != null) out.close();
            if (target == null) return;
            Files.setPosixFilePermissions(part, PosixFilePermissions.fromString("rw-r--r--"));
            Files.move(part, target, StandardCopyOption.ATOMIC_MOVE);
        });
    }

    /**
     * Deletes the temporary file, unless it was committed.
     *
     * @throws InputException if the temporary file cannot be deleted
     */
    @Override
    public void close() {
        try {
            if (out != null) out.close();
        } catch (IOException e) {
            // the error has been reported, or the content is not wanted
        }
        if (target == null) return;
        try {
            Files.deleteIfExists(part);
        } catch (IOException e) {
            throw cannot(file, e);
        }
    }

    private static RuntimeException cannot(Path file, IOException e) {
        if (e instanceof ClosedByInterruptException) RunInterruptedException.check("writing " + file, e);
        return new InputException(file + " cannot be written: " + InputException.reason(e) + ".", e);
    }

    /**
     * Deletes the temporary files of processes that ended while they wrote the same file: those that were not written
     * to for an hour.
     */
    private static void sweep(Path folder, String prefix) {
        Instant recent = Instant.now().minus(Duration.ofHours(1));
        String ours = Pattern.quote(prefix) + "\\d+\\.part"; // as createTempFile names them
        try (DirectoryStream<Path> parts = Files.newDirectoryStream(
                folder, path -> path.getFileName().toString().matches(ours))) {
            for (Path part : parts)
                if (Files.getLastModifiedTime(part).toInstant().isBefore(recent)) Files.deleteIfExists(part);
        } catch (IOException | DirectoryIteratorException e) {
            // a folder that cannot be listed can still be written to
        }
    }
}
