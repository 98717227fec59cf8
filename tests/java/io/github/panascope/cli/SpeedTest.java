package io.github.panascope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The phases of the model against loops of the matrix products that they are made of, in the same run: ratios that no
 * machine's speed changes, compared with those recorded in tests/bench/base.json. Noise moves them, and more so where
 * others use the processors: only a loss of two fifths counts, found three times.
 */
class SpeedTest {
    private static final double LEFT = 0.6;
    private static final int ATTEMPTS = 3;

    @TempDir
    private Path folder;

    @Test
    void noPhaseHasBecomeSlowerThanItsProducts() throws Exception {
        JsonNode base = JsonMapper.shared().readTree(Files.readString(Path.of("tests/bench/base.json")));
        String slower = "";
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            Path file = folder.resolve("bench.json");
            assertEquals(0, Main.run("bench", "--only", "roofline", "--repeats", "7", "--json", file.toString()));
            JsonNode found = JsonMapper.shared().readTree(Files.readString(file));
            slower = String.join(
                    ", ",
                    StreamSupport.stream(base.propertyNames().spliterator(), false)
                            .filter(name -> found.get(name).doubleValue()
                                    < LEFT * base.get(name).doubleValue())
                            .map(name -> name + " " + found.get(name) + " where " + base.get(name) + " is recorded")
                            .toList());
            if (slower.isEmpty()) return;
        }
        assertTrue(slower.isEmpty(), slower);
    }
}
