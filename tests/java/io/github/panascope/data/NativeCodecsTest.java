package io.github.panascope.data;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.panascope.hub.Hub;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** The codecs' libraries where the temporary folder cannot be written. */
class NativeCodecsTest {
    private static final Path UNCOMPRESSED = Path.of("tests/resources/datasets/none.parquet");

    /** Reads a file twice in a process of its own, and prints the number of its documents. */
    public static void main(String[] args) {
        Hub hub = Hub.of(Map.of("HF_HOME", "/nonexistent", "HF_HUB_OFFLINE", "1"));
        for (int i = 0; i < 2; i++)
            System.out.println(TextDataset.of(args[0], hub).documents().size());
    }

    @Test
    void aFileWithoutCompressionNeedsNoTemporaryFolder() throws IOException, InterruptedException {
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--enable-native-access=ALL-UNNAMED",
                        "-Djava.io.tmpdir=/nonexistent",
                        "-cp",
                        System.getProperty("java.class.path"),
                        NativeCodecsTest.class.getName(),
                        UNCOMPRESSED.toString())
                .redirectErrorStream(true)
                .start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), said);
        assertEquals(2, said.lines().filter(line -> line.matches("\\d+")).count(), said);
    }
}
