package io.github.panascope;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.cli.Main;
import io.github.panascope.data.TextDataset;
import io.github.panascope.demo.DemoBundle;
import io.github.panascope.hub.Hub;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.metrics.TutorialMetrics;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.ChunkingStrategy;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.TensorScope;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/**
 * The examples of the README and of the pages compile without a warning and print what the library computes; their
 * commands have options that exist, their links lead to files, and their code fits on a page.
 */
@ExtendWith(LeakCheck.class)
class DocumentationTest {
    private static final Path README = Path.of("README.md");
    private static final Path SITE = Path.of("src/site/markdown");
    private static final int README_BYTES = 9_000;
    private static final int PICTURE_BYTES = 150_000;
    private static final int CODE_COLUMNS = 100;

    private static final Pattern FENCE = Pattern.compile("(?ms)^( *)```(\\w*)\n(.*?)^\\1```$");
    private static final Pattern CLASS = Pattern.compile("(?m)^public class (\\w+) ");
    private static final Pattern INLINE = Pattern.compile("(?<!`)`([^`\n]+)`(?!`)");
    private static final Pattern COMMAND =
            Pattern.compile("^(?:\\w+=\\S+ )*(?:java (?:-\\S+ )*-jar target/panascope\\.jar|panascope) (.+)$");
    private static final Pattern WORD = Pattern.compile("\"([^\"]*)\"|'([^']*)'|(\\S+)");
    private static final Pattern LINK = Pattern.compile("\\]\\(([^)\\s]+)\\)");
    private static final Pattern OWN_FILE =
            Pattern.compile("(?<![\\w/.-])(?:tests|native|bindings|src)/[\\w/.-]*\\.(?:py|sh|json|md|cpp|h)\\b");
    private static final Pattern TEST = Pattern.compile("-D(?:it\\.)?test='?(\\w+)");
    private static final Pattern PROFILE = Pattern.compile("mvn .*?-P([\\w-]+)");

    @TempDir
    private Path folder;

    /** The README and the pages. */
    private static Map<Path, String> pages() throws IOException {
        Map<Path, String> pages = new TreeMap<>();
        pages.put(README, Files.readString(README));
        try (Stream<Path> files = Files.list(SITE)) {
            for (Path file :
                    files.filter(path -> path.toString().endsWith(".md")).toList())
                pages.put(file, Files.readString(file));
        }
        return pages;
    }

    /**
     * The fenced blocks of a language, without the indentation of the fence, on all pages but that of ModulesIT, and
     * without those that use Spark, which SparkPagesTest compiles.
     */
    private static List<String> blocks(String language) throws IOException {
        List<String> found = new ArrayList<>();
        for (var page : pages().entrySet()) {
            if (page.getKey().endsWith("modules.md")) continue;
            for (MatchResult fence : FENCE.matcher(page.getValue()).results().toList())
                if (fence.group(2).equals(language) && !fence.group(3).contains("io.github.panascope.spark"))
                    found.add(fence.group(3).stripIndent());
        }
        return found;
    }

    /** The whole classes among the Java blocks, by name. */
    private static Map<String, String> classes() throws IOException {
        Map<String, String> found = new TreeMap<>();
        for (String block : blocks("java")) {
            Matcher name = CLASS.matcher(block);
            if (name.find()) assertEquals(null, found.put(name.group(1), block), "a class that is shown twice");
        }
        return found;
    }

    /** Compiles a class without a warning. */
    private void compile(String name, String code) throws IOException {
        Examples.compile(List.of(Files.writeString(folder.resolve(name + ".java"), code)), folder);
    }

    /** Compiles one of the classes without a warning, runs it, and returns what it printed. */
    private String run(String name, String... arguments) throws Exception {
        String code = classes().get(name);
        assertTrue(code != null, name);
        compile(name, code);
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        PrintStream out = System.out;
        System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
        try (URLClassLoader loader =
                new URLClassLoader(new URL[] {folder.toUri().toURL()})) {
            loader.loadClass(name).getMethod("main", String[].class).invoke(null, (Object) arguments);
        } finally {
            System.setOut(out);
        }
        return printed.toString(StandardCharsets.UTF_8);
    }

    @Test
    void everyExampleIsRunHere() throws Exception {
        assertEquals(
                Set.of("TutorialL0", "WhoGetsTheBag", "ThreeFeatures", "TopExamples", "WithoutTheMlp", "TokensOfAText"),
                classes().keySet());
        assertEquals(
                List.of("TutorialL0"),
                CLASS.matcher(Files.readString(README))
                        .results()
                        .map(found -> found.group(1))
                        .toList());
    }

    /** Blocks that are no whole class are statements over a model, or members of a class. */
    @Test
    void everyFragmentCompiles() throws Exception {
        int count = 0;
        for (String block : blocks("java")) {
            if (CLASS.matcher(block).find()) continue;
            boolean member = block.startsWith("static ");
            compileFragment(
                    "Fragment" + count++,
                    member ? block : "static double run(HookedTransformer model) {\n" + block + "return loss;\n}");
        }
        assertEquals(2, count);
        Matcher overview = Pattern.compile("(?s)<pre>\\{@code (.*?)}</pre>")
                .matcher(Files.readString(Path.of("src/main/javadoc/overview.html")));
        assertTrue(overview.find());
        compileFragment("Overview", "static void run() {\n" + overview.group(1) + "}");
    }

    private void compileFragment(String name, String members) throws IOException {
        compile(name, """
            import io.github.panascope.lens.*;
            import io.github.panascope.sae.*;
            import io.github.panascope.torch.*;
            public class %s {
                private %s() {}
                %s
            }
            """.formatted(name, name, members));
    }

    @Test
    void theTokensOfATextAreThoseOfTheirPage() throws Exception {
        assertEquals(
                List.of(
                        "[15496, 11, 995, 0]",
                        "[Hello, ,, Ġworld, !]",
                        "[0, 5, 6, 12]",
                        "Hello, world!",
                        "<|endoftext|>"),
                run("TokensOfAText").lines().toList());
    }

    @Test
    void theTutorialsL0IsRight() throws Exception {
        DemoBundle demo = DemoBundle.find();
        String printed = run("TutorialL0");
        try (var _ = TensorScope.open();
                var loaded = HookedTransformer.fromPretrained(demo.model());
                Sae autoencoder = Sae.fromPretrained(demo.sae())) {
            TextDataset texts = TextDataset.of(demo.dataset(), Hub.fromEnvironment());
            var tokens = TokenDataset.tokenizeAndConcatenate(
                    texts::forEach, loaded.tokenizer(), ChunkingStrategy.CHARACTER_CHUNKS, 128);
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
    void aPageOfThreeFeaturesIsWritten() throws Exception {
        Path demo = Path.of("src/demo/bundle");
        String printed = run(
                "ThreeFeatures",
                demo.resolve("model").toString(),
                demo.resolve("sae").toString(),
                demo.resolve("dataset.parquet").toString(),
                folder.toString());
        assertEquals("3 features of 16 rows", printed.strip());
        assertTrue(Files.readString(folder.resolve("three_features.html")).contains("</html>"));
    }

    @Test
    void theExamplesOfTwoFeaturesArePrinted() throws Exception {
        Path demo = Path.of("src/demo/bundle");
        String printed = run(
                "TopExamples",
                demo.resolve("model").toString(),
                demo.resolve("sae").toString(),
                demo.resolve("dataset.parquet").toString());
        Matcher found = Pattern.compile(
                        "feature (748|8), 3 examples(\n  [0-9.]+  text \\d+, position \\d+: .*\\[\\[.+\\]\\].*){3}\n")
                .matcher(printed);
        assertTrue(
                found.find() && found.group(1).equals("748") && found.find() && found.end() == printed.length(),
                printed);
    }

    @Test
    void twoThreadsRunOneModel() throws Exception {
        String text = "When John and Mary went to the shops, John gave the bag to Mary";
        String printed = run("WithoutTheMlp", "src/demo/bundle/model", text);
        Matcher found =
                Pattern.compile("loss ([0-9.]+), without the MLP ([0-9.]+)\\s*").matcher(printed);
        assertTrue(found.matches(), printed);
        double whole = Double.parseDouble(found.group(1));
        assertTrue(Double.parseDouble(found.group(2)) > whole, printed);
        try (var _ = TensorScope.open();
                var model = HookedTransformer.fromPretrained("src/demo/bundle/model")) {
            assertEquals(model.forward(text).hooks(Hooks.NONE).loss(), whole, 1e-4);
        }
    }

    /** The lines of shell blocks, continued lines joined, and the code inside of lines. */
    private static List<String> lines(String page) {
        List<String> lines = new ArrayList<>();
        for (MatchResult fence : FENCE.matcher(page).results().toList())
            if (fence.group(2).equals("sh"))
                fence.group(3)
                        .replaceAll("\\\\\n *", "")
                        .lines()
                        .map(String::strip)
                        .forEach(lines::add);
        INLINE.matcher(FENCE.matcher(page).replaceAll("")).results().forEach(code -> lines.add(code.group(1)));
        return lines;
    }

    @Test
    void everyCommandHasOptionsThatExist() throws IOException {
        List<String> refused = new ArrayList<>();
        Set<String> commands = new TreeSet<>();
        for (var page : pages().entrySet()) {
            for (String line : lines(page.getValue())) {
                Matcher command = COMMAND.matcher(line);
                if (!command.matches()) {
                    if (line.contains("target/panascope.jar ")) refused.add(page.getKey() + ": " + line);
                    continue;
                }
                String[] words = WORD.matcher(command.group(1))
                        .results()
                        .map(word -> word.group().replaceAll("^([\"'])(.*)\\1$", "$2"))
                        .toArray(String[]::new);
                try {
                    new CommandLine(Main.class)
                            .setCaseInsensitiveEnumValuesAllowed(true)
                            .setExpandAtFiles(false)
                            .parseArgs(words);
                    commands.add(words[0]);
                } catch (CommandLine.ParameterException e) {
                    refused.add(page.getKey() + ": " + line + ": " + e.getMessage());
                }
            }
        }
        assertEquals(List.of(), refused);
        Set<String> all =
                new TreeSet<>(new CommandLine(Main.class).getSubcommands().keySet());
        all.remove("help");
        commands.removeIf(word -> word.startsWith("-"));
        assertEquals(all, commands, "each command is shown");
    }

    @Test
    void whatCommandsOfTheBuildNameExists() throws IOException {
        List<String> missing = new ArrayList<>();
        String pom = Files.readString(Path.of("pom.xml"));
        Set<String> tests = new TreeSet<>();
        try (Stream<Path> files = Files.walk(Path.of("tests"))) {
            files.map(path -> path.getFileName().toString()).forEach(tests::add);
        }
        for (var page : pages().entrySet()) {
            for (String line : lines(page.getValue())) {
                for (MatchResult test : TEST.matcher(line).results().toList())
                    if (!tests.contains(test.group(1) + ".java")) missing.add(page.getKey() + ": " + test.group(1));
                for (MatchResult profile : PROFILE.matcher(line).results().toList())
                    if (!pom.contains("<id>" + profile.group(1) + "</id>"))
                        missing.add(page.getKey() + ": profile " + profile.group(1));
            }
            for (MatchResult file : OWN_FILE.matcher(page.getValue()).results().toList())
                if (!Files.exists(Path.of(file.group()))) missing.add(page.getKey() + ": " + file.group());
        }
        assertEquals(List.of(), missing);
    }

    @Test
    void codeFitsOnAPage() throws IOException {
        List<String> longer = new ArrayList<>();
        for (var page : pages().entrySet()) {
            boolean fenced = false;
            for (String line : page.getValue().lines().toList()) {
                if (line.strip().startsWith("```")) fenced = !fenced;
                if ((fenced || line.startsWith("    ")) && line.codePointCount(0, line.length()) > CODE_COLUMNS)
                    longer.add(page.getKey() + ": " + line);
            }
            assertFalse(fenced, page.getKey() + " ends inside a block of code");
        }
        assertEquals(List.of(), longer);
    }

    @Test
    void theReadmeIsShortAndHasTheTwoCommands() throws IOException {
        assertTrue(Files.size(README) <= README_BYTES, Files.size(README) + " bytes");
        List<String> lines = Files.readAllLines(README);
        for (String command : List.of("mvn -B -q package -DskipTests exec:exec@tutorial", "mvn -B verify"))
            assertTrue(lines.contains(command), command);
        assertTrue(Files.size(Path.of("src/site/resources/images/dashboard.png")) <= PICTURE_BYTES);
    }

    /** Links of a page stay inside the site, where the built pages are too; those of the README may name any file. */
    @Test
    void linksLeadToFiles() throws IOException {
        List<String> broken = new ArrayList<>();
        Set<Path> linked = new TreeSet<>();
        for (var page : pages().entrySet()) {
            boolean readme = page.getKey().equals(README);
            Matcher link = LINK.matcher(FENCE.matcher(page.getValue()).replaceAll(""));
            while (link.find()) {
                String target = link.group(1);
                if (target.matches("https?://.*") || !readme && target.equals("apidocs/index.html")) continue;
                Path beside = readme ? Path.of(target) : SITE.resolve(target).normalize();
                Path resource = SITE.resolveSibling("resources").resolve(target).normalize();
                boolean there = Files.isRegularFile(beside) && (readme || beside.startsWith(SITE))
                        || !readme && Files.isRegularFile(resource);
                if (!there) broken.add(page.getKey() + ": " + target);
                if (readme) linked.add(beside);
            }
        }
        assertEquals(List.of(), broken);
        String menu = Files.readString(Path.of("src/site/site.xml"));
        for (Path page : pages().keySet()) {
            if (page.equals(README)) continue;
            assertTrue(linked.contains(page), "the README does not link " + page);
            String built = page.getFileName().toString().replace(".md", ".html");
            assertTrue(menu.contains("href=\"" + built + "\""), "the menu does not have " + built);
        }
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
