package io.github.panascope.hub;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;

/** Files that appear whole or not at all: written beside their place, and moved there at the end. */
public final class AtomicFile {
    private AtomicFile() {}

    /** What to put into a file. */
    @FunctionalInterface
    public interface Content {
        /** Writes it from the start. */
        void write(FileChannel out) throws IOException;
    }

    /**
     * Writes a file and the folders it lies in; an older one of that name is replaced.
     *
     * @throws InputException if that is not possible; the older one is then as it was
     */
    public static void write(Path file, Content content) {
        try {
            Path folder = file.toAbsolutePath().getParent();
            Files.createDirectories(folder);
            Path part = Files.createTempFile(folder, "." + file.getFileName(), ".part");
            try {
                try (FileChannel out = FileChannel.open(part, StandardOpenOption.WRITE)) {
                    content.write(out);
                }
                Files.setPosixFilePermissions(part, PosixFilePermissions.fromString("rw-r--r--"));
                Files.move(part, file, StandardCopyOption.ATOMIC_MOVE);
            } finally {
                Files.deleteIfExists(part);
            }
        } catch (IOException e) {
            throw new InputException(file + " cannot be written: " + e.getMessage() + ".", e);
        }
    }

    /** Writes text in UTF-8. */
    public static void write(Path file, String text) {
        write(file, out -> {
            var bytes = java.nio.charset.StandardCharsets.UTF_8.encode(text);
            while (bytes.hasRemaining()) out.write(bytes);
        });
    }
}
