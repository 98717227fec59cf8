package io.github.panascope.internal;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import java.io.IOException;
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

/**
 * Files that appear whole or not at all: written beside their place, and moved there at the end. What a symbolic link
 * points to is replaced, not the link; devices and pipes, which cannot be replaced, are written to.
 */
public final class AtomicFile {
    private AtomicFile() {}

    /** What to put into a file. */
    @FunctionalInterface
    public interface Content {
        /** Writes it from the start. */
        void write(FileChannel out) throws IOException;
    }

    /** Somebody who writes a file of a given name. */
    @FunctionalInterface
    public interface Writer {
        /** Writes to a file that is there, and empty. */
        void write(Path file) throws IOException;
    }

    /**
     * Writes a file and the folders it lies in; an older one of that name is replaced.
     *
     * @throws InputException          if that is not possible; the older one is then as it was
     * @throws RunInterruptedException if the thread is interrupted; likewise
     */
    public static void write(Path file, Content content) {
        writePath(file, part -> {
            try (FileChannel out = FileChannel.open(part, StandardOpenOption.WRITE)) {
                content.write(out);
            }
        });
    }

    /** The same, by somebody who needs the name of a file. */
    public static void writePath(Path file, Writer writer) {
        try {
            if (Files.isDirectory(file)) throw new InputException(file + " cannot be written: it is a folder.");
            if (Files.exists(file) && !Files.isRegularFile(file)) writer.write(file);
            else replace(Files.exists(file) ? file.toRealPath() : file.toAbsolutePath(), writer);
        } catch (IOException e) {
            if (e instanceof ClosedByInterruptException) RunInterruptedException.check("writing " + file, e);
            throw new InputException(file + " cannot be written: " + InputException.reason(e) + ".", e);
        }
    }

    private static void replace(Path file, Writer writer) throws IOException {
        Path folder = file.getParent();
        Files.createDirectories(folder);
        Path part = Files.createTempFile(folder, "." + file.getFileName() + ".", ".part");
        sweep(folder, "." + file.getFileName() + ".");
        try {
            writer.write(part);
            Files.setPosixFilePermissions(part, PosixFilePermissions.fromString("rw-r--r--"));
            Files.move(part, file, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            Files.deleteIfExists(part);
        }
    }

    /**
     * Deletes what processes left that ended while they wrote the same file: what nobody has written to for an hour.
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

    /** Writes text in UTF-8. */
    public static void write(Path file, String text) {
        write(file, out -> {
            var bytes = StandardCharsets.UTF_8.encode(text);
            while (bytes.hasRemaining()) out.write(bytes);
        });
    }
}
