package io.github.panascope;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** Who may know whom, read from the class files. */
class ArchitectureTest {
    private static final Path CLASSES = Path.of("target/classes/io/github/panascope");
    /** What each package may use of the others; all may use the root package, which uses none. */
    private static final Map<String, Set<String>> MAY_USE = Map.ofEntries(
            Map.entry("bindings", Set.of()),
            Map.entry("internal", Set.of()),
            Map.entry("demo", Set.of("torch")),
            Map.entry("torch", Set.of("bindings")),
            Map.entry("hub", Set.of("internal")),
            Map.entry("weights", Set.of("internal", "torch")),
            Map.entry("data", Set.of("internal", "hub")),
            Map.entry("tokens", Set.of("internal", "torch")),
            Map.entry("model", Set.of("torch")),
            Map.entry("families", Set.of("internal", "torch", "weights", "model")),
            Map.entry("lens", Set.of("internal", "torch", "hub", "weights", "tokens", "model", "families")),
            Map.entry("sae", Set.of("internal", "torch", "hub", "weights", "tokens", "model", "lens")),
            Map.entry("plot", Set.of("internal", "torch")),
            Map.entry("dashboard", Set.of("internal", "torch", "data", "tokens", "model", "lens", "sae", "plot")),
            Map.entry("metrics", Set.of("internal", "torch", "tokens", "model", "lens", "sae")),
            Map.entry(
                    "cli",
                    Set.of(
                            "internal",
                            "torch",
                            "hub",
                            "weights",
                            "data",
                            "tokens",
                            "model",
                            "lens",
                            "sae",
                            "metrics",
                            "dashboard",
                            "demo",
                            "plot")),
            Map.entry("notebook", Set.of("internal", "torch", "tokens", "lens", "metrics", "dashboard", "plot")),
            Map.entry(
                    "spark",
                    Set.of("torch", "data", "tokens", "model", "lens", "sae", "metrics", "dashboard", "demo", "cli")));

    /** Returns the classes of a package; none of {@code spark} unless its profile compiles it. */
    private static List<Path> classes(String inPackage) throws IOException {
        if (inPackage.equals("spark") && !Files.exists(CLASSES.resolve(inPackage))) return List.of();
        try (var walk = Files.walk(CLASSES.resolve(inPackage))) {
            return walk.filter(file -> file.toString().endsWith(".class")).toList();
        }
    }

    /** Names of classes stand in a class file as plain UTF-8. */
    private static boolean mentions(Path classFile, String name) throws IOException {
        return new String(Files.readAllBytes(classFile), StandardCharsets.ISO_8859_1).contains(name);
    }

    @Test
    void onlyTorchKnowsForeignMemory() throws IOException {
        for (String name : MAY_USE.keySet()) {
            if (name.equals("torch") || name.equals("bindings")) continue;
            for (Path file : classes(name))
                assertTrue(!mentions(file, "java/lang/foreign/"), file + " uses java.lang.foreign");
        }
        assertTrue(classes("torch").size() > 10);
    }

    @Test
    void packagesUseOnlyThoseBelowThem() throws IOException {
        Set<String> compiled = new HashSet<>(MAY_USE.keySet());
        if (!Files.exists(CLASSES.resolve("spark"))) compiled.remove("spark"); // its profile compiles it
        try (var packages = Files.list(CLASSES)) {
            assertEquals(
                    compiled,
                    packages.filter(Files::isDirectory)
                            .map(path -> path.getFileName().toString())
                            .collect(Collectors.toSet()));
        }
        for (var entry : MAY_USE.entrySet()) {
            for (String other : MAY_USE.keySet()) {
                if (other.equals(entry.getKey()) || entry.getValue().contains(other)) continue;
                for (Path file : classes(entry.getKey()))
                    assertTrue(!mentions(file, "io/github/panascope/" + other + "/"), file + " uses package " + other);
            }
        }
    }
}
