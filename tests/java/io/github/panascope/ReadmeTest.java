package io.github.panascope;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.cli.CapturedOutput;
import io.github.panascope.data.Dataset;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.metrics.TutorialMetrics;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.ChunkingStrategy;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.TensorScope;
import java.io.ByteArrayOutputStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** The README's examples compile without a warning and say what the library says. */
@ExtendWith(LeakCheck.class)
class ReadmeTest {
    @TempDir
    private Path folder;

    /** Compiles one of the README's classes without a warning, runs it, and gives what it printed. */
    private String run(String name, String... arguments) throws Exception {
        Matcher block = Pattern.compile("```java\n((?:(?!```).)*?public class " + name + " .*?)```", Pattern.DOTALL)
                .matcher(Files.readString(Path.of("README.md")));
        assertTrue(block.find(), name);
        Path source = Files.writeString(folder.resolve(name + ".java"), block.group(1));
        ByteArrayOutputStream messages = new ByteArrayOutputStream();
        int status = ToolProvider.getSystemJavaCompiler()
                .run(
                        null,
                        messages,
                        messages,
                        "--release",
                        "22",
                        "-Xlint:all",
                        "-Werror",
                        "-proc:none",
                        "-cp",
                        System.getProperty("java.class.path"),
                        "-d",
                        folder.toString(),
                        source.toString());
        assertEquals(0, status, messages.toString(StandardCharsets.UTF_8));
        try (CapturedOutput console = CapturedOutput.start();
                URLClassLoader loader =
                        new URLClassLoader(new URL[] {folder.toUri().toURL()})) {
            loader.loadClass(name).getMethod("main", String[].class).invoke(null, (Object) arguments);
            return console.output();
        }
    }

    @Test
    void everyExampleIsRunHere() throws Exception {
        assertEquals(
                2,
                Pattern.compile("```java\n")
                        .matcher(Files.readString(Path.of("README.md")))
                        .results()
                        .count());
    }

    @Test
    void theTutorialsL0IsRight() throws Exception {
        Golden golden = Golden.standardA();
        String model = golden.model().toString();
        String sae = golden.folder().resolve("sae").toString();
        String dataset = golden.folder().resolve("dataset.parquet").toString();
        String printed = run("TutorialL0", model, sae, dataset);
        try (var _ = TensorScope.open();
                var loaded = HookedTransformer.fromPretrained(model);
                Sae autoencoder = Sae.fromPretrained(sae, Sae.Options.DEFAULT.hub(golden.hub()))) {
            Dataset texts = Dataset.of(dataset, golden.hub());
            var tokens = TokenDataset.tokenizeAndConcatenate(
                    texts::forEach, loaded.tokenizer(), ChunkingStrategy.CHARACTER_CHUNKS, 64);
            TutorialMetrics expected = TutorialMetrics.run(loaded, autoencoder, tokens.batch(0, 32));
            Matcher numbers =
                    Pattern.compile("average l0 ([0-9.]+), loss ([0-9.]+)\\s*").matcher(printed);
            assertTrue(numbers.matches(), printed);
            assertEquals(expected.l0().mean(), Double.parseDouble(numbers.group(1)), 1e-4);
            assertEquals(expected.loss().original(), Double.parseDouble(numbers.group(2)), 1e-4);
        }
    }

    /** One early head moves most of the answer, and a feature that stands for the name carries it. */
    @Test
    void theStudyFindsAHeadAndAFeature() throws Exception {
        String printed = run("WhoGetsTheBag", "src/demo/bundle/model", "src/demo/bundle/sae", folder.toString());
        Matcher found = Pattern.compile(
                        "head L(\\d)H\\d restores ([0-9.]+)\\s+feature (\\d+) at ' Mary' adds ([0-9.]+)\\s+Once upon a"
                                + " time, there .*",
                        Pattern.DOTALL)
                .matcher(printed);
        assertTrue(found.matches(), printed);
        for (String picture : List.of("heads.svg", "positions.svg"))
            assertTrue(Files.readString(folder.resolve(picture)).contains("</svg>"), picture);
        assertTrue(Double.parseDouble(found.group(2)) > 0.5 && Double.parseDouble(found.group(4)) > 1, printed);
    }

    @Test
    void theTopLevelIsTheOneThatWasFixed() throws Exception {
        try (var entries = Files.list(Path.of("."))) {
            List<String> visible = entries.map(path -> path.getFileName().toString())
                    .filter(name -> !name.startsWith("."))
                    .sorted()
                    .toList();
            assertEquals(
                    List.of(
                            "LICENSE",
                            "README.md",
                            "bindings",
                            "build-native.sh",
                            "native",
                            "pom.xml",
                            "src",
                            "target",
                            "tests"),
                    visible.stream()
                            .filter(name -> !name.equals("panascope-out"))
                            .toList());
        }
    }
}
