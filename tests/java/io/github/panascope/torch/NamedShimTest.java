package io.github.panascope.torch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * How the native library is found, or not: what PANASCOPE_SHIM may say (that it is used is PackagedIT's to see), and a
 * JVM that refuses.
 */
class NamedShimTest {
    @TempDir
    private Path folder;

    private static void assertRefused(Path library, String why) {
        String message = assertThrows(NativeLibraryException.class, () -> NamedShim.named(library.toString()))
                .getMessage();
        assertTrue(message.startsWith("PANASCOPE_SHIM=" + library + " " + why), message);
        assertTrue(message.contains("build-native.sh"), message);
        assertEquals(1, message.lines().count(), message);
    }

    @Test
    void nothingIsNamedByAnEmptyVariable() throws IOException {
        assertNull(NamedShim.named(null));
        assertNull(NamedShim.named(""));
    }

    @Test
    void theLibraryAndWhatLiesBesideItAreThere() throws IOException {
        Path library = folder.resolve("libpanascope.so");
        Path beside = folder.resolve("shim.properties");
        assertRefused(library, "is no file");
        assertRefused(folder, "is no file");
        Files.createFile(library);
        assertRefused(library, "has no shim.properties beside it");
        Files.writeString(beside, "torch.source=python\n");
        assertRefused(library, "has a shim.properties beside it without torch.version");
        Files.writeString(beside, "torch.version=2.11.0\n");
        assertRefused(library, "has a shim.properties beside it without torch.source");
        Files.writeString(beside, "torch.version=\\uZZZZ\n");
        assertRefused(library, "has a shim.properties beside it that cannot be read");
        Files.writeString(beside, "torch.version=2.11.0\ntorch.source=python\n");
        NamedShim shim = NamedShim.named(library.toString());
        assertEquals(library, shim.library());
        assertEquals("2.11.0", shim.properties().getProperty("torch.version"));
        assertEquals("python", shim.properties().getProperty("torch.source"));
    }

    @Test
    void aJvmThatDeniesNativeAccessSaysHowToStartIt() throws Exception {
        assumeTrue(Runtime.version().feature() >= 24, "older JVMs know no such option");
        Process process = new ProcessBuilder(
                        ProcessHandle.current().info().command().orElseThrow(),
                        "--illegal-native-access=deny",
                        "-cp",
                        System.getProperty("java.class.path"),
                        "io.github.panascope.cli.Main",
                        "prompt")
                .redirectErrorStream(true)
                .start();
        String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(1, process.waitFor(), printed);
        assertEquals(
                "panascope: this JVM denies native access: start it with --enable-native-access=ALL-UNNAMED",
                printed.lines().filter(line -> line.startsWith("panascope:")).collect(Collectors.joining("\n")));
    }
}
