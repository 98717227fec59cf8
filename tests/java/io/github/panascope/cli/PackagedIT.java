package io.github.panascope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.jar.JarFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The packaged jars, in processes of their own and in another folder. */
class PackagedIT {
    private static final Path JAR = Path.of("target/panascope.jar").toAbsolutePath();

    @TempDir private Path folder;

    private record Result(int status, String out) {}

    private Result run(String java, String... arguments) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(java, "-jar", JAR.toString()));
        command.addAll(Arrays.asList(arguments));
        Process process = new ProcessBuilder(command).directory(folder.toFile()).redirectErrorStream(true).start();
        String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Result(process.waitFor(), out);
    }

    private static String thisJava() {
        return Path.of(System.getProperty("java.home"), "bin", "java").toString();
    }

    @Test
    void theTutorialRunsFromAnyFolderWithoutFlags() throws Exception {
        Result result = run(thisJava(), "tutorial");
        assertEquals(0, result.status, result.out);
        assertTrue(Files.exists(folder.resolve("panascope-out/metrics.json")) && Files.exists(folder.resolve("panascope-out/l0_histogram.html")));
        assertTrue(result.out.contains("Top 0th token. ") && result.out.contains("Token: | Mary|"), result.out);
        assertFalse(result.out.contains("WARNING") || result.out.contains("\r"), result.out);
    }

    @Test
    void badInputIsASentenceAndStatusTwo() throws Exception {
        Result result = run(thisJava(), "tutorial", "--dataset", "nothing.txt");
        assertEquals(new Result(2, "panascope: dataset nothing.txt does not exist.\n"), result);
        try (var files = Files.list(folder)) {
            assertEquals(0, files.count());
        }
    }

    @Test
    void anOlderJavaFindsANewerOne() throws Exception {
        Process which = new ProcessBuilder("java", "-XshowSettings:properties", "-version").redirectErrorStream(true).start();
        String settings = new String(which.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assumeTrue(settings.matches("(?s).*java.specification.version = (1[1-9]|2[01])\\s.*"), "the java on the PATH is new enough, or too old to start at all");
        Result result = run("java", "doctor");
        assertTrue(result.out.contains("a matrix product is right") || result.out.contains("Java 22 or newer is needed"), result.out);
    }

    @Test
    void theLibrarysJarHasNoCommandLineAndNoDemo() throws IOException {
        Path library;
        try (var files = Files.list(JAR.getParent())) {
            library = files.filter(file -> file.getFileName().toString().matches("panascope-[0-9.]+\\.jar")).findFirst().orElseThrow();
        }
        try (JarFile jar = new JarFile(library.toFile())) {
            List<String> names = jar.stream().map(entry -> entry.getName()).toList();
            assertTrue(names.contains("native/linux-x86_64/libpanascope.so") && names.contains("io/github/panascope/torch/Tensor.class"));
            assertTrue(names.stream().noneMatch(name -> name.contains("/cli/") || name.contains("demo")), names::toString);
        }
    }
}
