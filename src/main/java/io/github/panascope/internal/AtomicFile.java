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
 * A file that appears whole or not at all: written beside its place, and moved there at the end. The target of a
 * symbolic link is replaced, not the link; devices and pipes, which cannot be replaced, are written to directly.
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
    /** What is written to until the end. */
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
        /** Writes the content from its start. */
        void write(FileChannel out) throws IOException;
    }

    /** Writes the content of a file that is given by name. */
    @FunctionalInterface
    public interface Writer {
        /** Writes to a file that exists and is empty. */
        void write(Path file) throws IOException;
    }

    /** One step of writing a file. */
    @FunctionalInterface
    public interface Step {
        /** Writes. */
        void run() throws IOException;
    }

    /**
     * Writes a file and the folders it lies in; an older one of that name is replaced.
     *
     * @throws InputException          if that is not possible; the older one is then as it was
     * @throws RunInterruptedException if the thread is interrupted; the older one is then as it was
     */
    public static void write(Path file, Content content) {
        writePath(file, part -> {
            try (FileChannel out = FileChannel.open(part, StandardOpenOption.WRITE)) {
                content.write(out);
            }
        });
    }

    /**
     * Writes a file like {@link #write(Path, Content)}, for a writer that takes a file's name.
     *
     * @throws InputException          if that is not possible; an older file is then as it was
     * @throws RunInterruptedException if the thread is interrupted; an older file is then as it was
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
     * @throws InputException          if that is not possible; an older file is then as it was
     * @throws RunInterruptedException if the thread is interrupted; an older file is then as it was
     */
    public static void write(Path file, String text) {
        write(file, out -> {
            var bytes = StandardCharsets.UTF_8.encode(text);
            while (bytes.hasRemaining()) out.write(bytes);
        });
    }

    /**
     * Opens a file to be written step by step: {@link #write}, then {@link #commit}, and {@link #close} in any case.
     *
     * @throws InputException if nothing can be written there
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
     * @throws InputException          if it fails
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
     * The content, buffered; this file closes it.
     *
     * @throws InputException if nothing can be written there
     */
    public OutputStream out() {
        write(() -> {
            if (out == null) out = new BufferedOutputStream(Files.newOutputStream(part), 1 << 16);
        });
        return out;
    }

    /**
     * Ends the content, and gives the file its name.
     *
     * @throws InputException          if that is not possible; an older file is then as it was
     * @throws RunInterruptedException if the thread is interrupted; an older file is then as it was
     */
    public void commit() {
        write(() -> {
            if (out != null) out.close();
            if (target == null) return;
            Files.setPosixFilePermissions(part, PosixFilePermissions.fromString("rw-r--r--"));
            Files.move(part, target, StandardCopyOption.ATOMIC_MOVE);
        });
    }

    /** Deletes what was written, unless it was committed. */
    @Override
    public void close() {
        try {
            if (out != null) out.close();
        } catch (IOException e) {
            // what could not be written has been reported, or is not wanted
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
     * Deletes what processes left that ended while they wrote the same file: parts that were not written to for an
     * hour.
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
