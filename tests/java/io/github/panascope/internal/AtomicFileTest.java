package io.github.panascope.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.RunInterruptedException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Files that are replaced whole, or not at all. */
class AtomicFileTest {
    @TempDir
    private Path folder;

    @Test
    void anInterruptedWriteLeavesTheOlderFile() throws IOException {
        Path file = Files.writeString(folder.resolve("a.json"), "older");
        RunInterruptedException e;
        Thread.currentThread().interrupt();
        try {
            e = assertThrows(RunInterruptedException.class, () -> AtomicFile.write(file, "newer"));
        } finally {
            assertTrue(Thread.interrupted(), "the interrupt status is kept");
        }
        assertEquals("interrupted while writing " + file, e.getMessage());
        assertEquals("older", Files.readString(file));
        try (Stream<Path> left = Files.list(folder)) {
            assertEquals(List.of(file), left.toList());
        }
        AtomicFile.write(file, "newer");
        assertEquals("newer", Files.readString(file));
    }
}
