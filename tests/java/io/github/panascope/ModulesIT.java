package io.github.panascope;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.io.TempDir;

/** The commands of the page on modules, in a folder that holds what the page's Maven command leaves in it. */
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class ModulesIT {
    private static final Path PAGE = Path.of("src/site/markdown/modules.md");
    private static final Pattern FENCE = Pattern.compile("(?ms)^```(\\w+)\n(.*?)^```$");

    @TempDir
    private static Path folder;

    private static List<String> java;
    private static List<String> commands;
    /** What the application prints on the class path. */
    private static String expected;

    @BeforeAll
    static void layOut() throws Exception {
        java = blocks("java");
        commands = blocks("sh");
        Path source = Files.createDirectories(folder.resolve("src/com/example/reading"));
        Files.writeString(folder.resolve("src/module-info.java"), java.get(0));
        Files.writeString(source.resolve("Main.java"), java.get(1));
        Path lib = Files.createDirectory(folder.resolve("lib"));
        Path libtorch = Files.createDirectory(folder.resolve("native"));
        try (Stream<Path> jars = Files.list(Path.of("target/lib"))) {
            for (Path jar : jars.toList()) {
                String name = jar.getFileName().toString();
                if (name.matches("(picocli|snakeyaml-engine)-.*")) continue; // the command line's alone
                Path target = name.startsWith("pytorch-native") ? libtorch : lib;
                Files.createSymbolicLink(target.resolve(name), jar.toAbsolutePath());
            }
        }
        try (var jars = Files.newDirectoryStream(Path.of("target"), "panascope-[0-9]*[0-9].jar")) {
            Path jar = jars.iterator().next();
            Files.createSymbolicLink(lib.resolve(jar.getFileName()), jar.toAbsolutePath());
        }
    }

    @AfterAll
    static void forget() {
        java = null;
        commands = null;
    }

    private static List<String> blocks(String language) throws IOException {
        return FENCE.matcher(Files.readString(PAGE))
                .results()
                .filter(fence -> fence.group(1).equals(language))
                .map(fence -> fence.group(2))
                .toList();
    }

    /** Runs commands of the page, with the tools of this JDK first on the path. */
    private static String run(String script) throws Exception {
        Path log = Files.createTempFile(folder, "printed", ".txt");
        ProcessBuilder builder = new ProcessBuilder("bash", "-e", "-c", script)
                .directory(folder.toFile())
                .redirectErrorStream(true)
                .redirectOutput(log.toFile());
        Map<String, String> environment = builder.environment();
        String tools = Path.of(System.getProperty("java.home"), "bin").toString();
        environment.put("PATH", tools + File.pathSeparator + environment.get("PATH"));
        environment.put("PANASCOPE", Path.of("").toAbsolutePath().toString());
        Process process = builder.start();
        assertTrue(process.waitFor(5, TimeUnit.MINUTES), "the commands did not end");
        String printed = Files.readString(log, StandardCharsets.UTF_8);
        assertEquals(0, process.exitValue(), printed);
        return printed;
    }

    private static String command(String part) {
        return commands.stream()
                .filter(block -> block.contains(part))
                .findFirst()
                .orElseThrow();
    }

    @Test
    @Order(1)
    void onTheClassPath() throws Exception {
        String printed = run("javac -Xlint:all -Werror -cp 'lib/*' -d plain src/com/example/reading/Main.java\n"
                + "java --enable-native-access=ALL-UNNAMED --illegal-native-access=deny"
                + " -cp 'plain:lib/*:native/*' com.example.reading.Main");
        expected = printed.strip();
        assertTrue(expected.matches("active features: tensor\\(\\[\\[.*\\n.*dtype=int64, device=cpu\\)"), printed);
    }

    @Test
    @Order(2)
    void onTheModulePath() throws Exception {
        String printed = run(command("javac -Xlint:all -Werror -p lib"));
        assertEquals(expected, printed.strip(), "nothing else is printed");
    }

    /** The packages bindings, families and internal are not exported. */
    @Test
    @Order(2)
    void whatIsNotExportedIsNotSeen() throws Exception {
        for (String hidden : List.of("internal.TextFile", "bindings.Psc", "families.ModelFamily")) {
            Files.createDirectories(folder.resolve("hidden"));
            Files.writeString(folder.resolve("hidden/module-info.java"), java.get(0));
            Files.writeString(
                    folder.resolve("hidden/Uses.java"),
                    "package com.example.reading;\nimport io.github.panascope." + hidden + ";\nclass Uses {}\n");
            String printed = run("! javac -p lib -d hidden/out hidden/*.java");
            assertTrue(printed.contains("package io.github.panascope." + hidden.replaceFirst("\\..*", "")), printed);
            assertTrue(printed.contains("is not visible"), printed);
        }
    }

    @Test
    @Order(3)
    void withAJavaOfOnesOwn() throws Exception {
        assertEquals(expected, run(command("--output small-java")).strip());
        assertTrue(Files.exists(folder.resolve("small-java/bin/java")));
    }

    @Test
    @Order(4)
    void asOneImage() throws Exception {
        assertTrue(run(command("--output image")).endsWith(expected + "\n"));
        String modules = Files.readString(folder.resolve("image/release"));
        for (String module : List.of("io.github.panascope", "com.example.reading", "okio", "dev.hardwood.core"))
            assertTrue(modules.matches("(?s).*MODULES=\".*\\b" + Pattern.quote(module) + "\\b.*"), modules);
    }

    @Test
    @Order(5)
    void asAnApplicationFolder() throws Exception {
        String printed = run(command("jpackage"));
        assertTrue(printed.contains("Token: | Mary|"), printed);
        assertTrue(Files.exists(folder.resolve("panascope/bin/panascope")));
    }

    @Test
    void everyBlockIsRunHereOrIsMavens() {
        assertEquals(5, commands.size());
        assertEquals(2, java.size());
        assertTrue(commands.stream()
                .flatMap(block -> Pattern.compile("-m (\\S+)").matcher(block).results())
                .map(MatchResult::group)
                .allMatch("-m com.example.reading/com.example.reading.Main"::equals));
    }
}
