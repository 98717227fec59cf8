package io.github.panascope.spark;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.data.TextDataset;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.metrics.SaeEvals;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.ChunkingStrategy;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Torch;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The packaged jars as users of spark-submit have them: Spark's jars are on the class path, ours are sent to it. */
@Tag("spark")
class SparkSubmitIT {
    /** The library's jar, on the class path here, lacks the artefact of the demo. */
    private static final String DEMO = "src/demo/bundle/";

    private static final Path TARGET = Path.of("target").toAbsolutePath();
    private static final String JAVA =
            Path.of(System.getProperty("java.home"), "bin", "java").toString();
    private static final String CLUSTER = "local-cluster[2,1,2048]";
    /** Jars that Spark's distribution has and that lie in target/lib too. */
    private static final String OF_BOTH = "(snappy-java|zstd-jni|jackson-annotations)-.*";

    @TempDir
    private static Path home;

    @TempDir
    private Path folder;

    private record Result(int status, String out, String err) {}

    /** A folder with Spark's jars, as its distribution has it: the test's class path without what is ours. */
    @BeforeAll
    static void makeSparkHome() throws IOException {
        Files.createFile(home.resolve("RELEASE"));
        Path jars = Files.createDirectory(home.resolve("jars"));
        for (String entry : System.getProperty("java.class.path").split(File.pathSeparator)) {
            Path jar = Path.of(entry);
            String name = jar.getFileName().toString();
            boolean ours = name.startsWith("panascope")
                    || Files.exists(TARGET.resolve("lib").resolve(name));
            if (name.endsWith(".jar") && (!ours || name.matches(OF_BOTH)))
                Files.createSymbolicLink(jars.resolve(name), jar);
        }
    }

    private static String ours() throws IOException {
        try (Stream<Path> libraries = Files.list(TARGET.resolve("lib"))) {
            return Stream.concat(own("panascope-(cli-)?\\d[\\d.]*\\.jar"), libraries)
                    .map(Path::toString)
                    .collect(Collectors.joining(","));
        }
    }

    private static Stream<Path> own(String pattern) throws IOException {
        try (Stream<Path> files = Files.list(TARGET)) {
            return files.filter(file -> file.getFileName().toString().matches(pattern)).toList().stream();
        }
    }

    private Result submit(String master, String... arguments) throws Exception {
        List<String> command = new ArrayList<>(List.of(
                JAVA,
                "-cp",
                home + "/jars/*",
                "org.apache.spark.deploy.SparkSubmit",
                "--master",
                master,
                "--class",
                "io.github.panascope.spark.Main",
                "--jars",
                ours(),
                own("panascope-spark-\\d[\\d.]*\\.jar")
                        .findFirst()
                        .orElseThrow()
                        .toString()));
        List<String> settings = List.of(
                "spark.executor.memory=2g",
                "spark.driver.host=127.0.0.1",
                "spark.driver.bindAddress=127.0.0.1",
                "spark.ui.enabled=false",
                "spark.local.dir=" + folder,
                "spark.sql.warehouse.dir=" + folder.resolve("warehouse"));
        for (String setting : settings) command.addAll(4, List.of("--conf", setting));
        command.addAll(Arrays.asList(arguments));
        ProcessBuilder builder = new ProcessBuilder(command);
        builder.environment().put("SPARK_HOME", home.toString());
        builder.environment().put("SPARK_SCALA_VERSION", "2.13");
        builder.environment().put("SPARK_LOCAL_IP", "127.0.0.1");
        return run(builder);
    }

    private Result run(ProcessBuilder builder) throws Exception {
        Path errors = folder.resolve("errors.log");
        Process process = builder.directory(folder.toFile())
                .redirectError(errors.toFile())
                .start();
        String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Result(process.waitFor(), out, Files.readString(errors));
    }

    private static void assertSucceeded(Result result) {
        assertEquals(0, result.status, result.out + result.err);
    }

    /** The one sentence in what was printed, between the lines of Spark's log. */
    private static String sentence(Result result) {
        assertEquals(2, result.status, result.out + result.err);
        List<String> sentences = result.err
                .lines()
                .filter(line -> line.startsWith("panascope: "))
                .toList();
        assertEquals(1, sentences.size(), result.err);
        assertTrue(!result.err.contains("\tat io.github.panascope"), result.err);
        return sentences.getFirst();
    }

    @Test
    void theFilesOfFeaturesAreThoseOfOneMachine() throws Exception {
        String[] shared = {"--features", "0-9,748", "--ignore-bos", "--ablation", "--json", "d.json"};
        String[] files = {"--neuronpedia", "np", "--table", "t.parquet"};
        Path one = Files.createDirectory(folder.resolve("one"));
        Result expected = run(new ProcessBuilder(Stream.of(
                        Stream.of(JAVA, "-jar", TARGET.resolve("panascope.jar").toString(), "dashboard"),
                        Stream.of("--rows", "100000", "--out", "d.html"),
                        Stream.of(shared),
                        Stream.of(files))
                .flatMap(each -> each)
                .map(each ->
                        each.matches("(d|t|np)(\\..*)?") ? one.resolve(each).toString() : each)
                .toList()));
        assertSucceeded(expected);
        Path many = folder.resolve("many ä");
        String[] arguments = Stream.of(
                        Stream.of("features", "--out", many.toString(), "--unit-rows", "64"),
                        Stream.of(shared),
                        Stream.of(files))
                .flatMap(each -> each)
                .map(each ->
                        each.matches("(d|t|np)(\\..*)?") ? many.resolve(each).toString() : each)
                .toArray(String[]::new);
        Result made = submit(CLUSTER, arguments);
        assertSucceeded(made);
        assertTrue(made.out.contains("2,000 documents make 470 rows of 128 tokens"), made.out);
        assertTrue(made.out.matches("(?s).*executor 0 on 127.0.0.1 .*executor 1 on 127.0.0.1 .*"), made.out);
        assertSame(one.resolve("d.html"), many.resolve("dashboards.html"));
        for (String name : List.of("d.json", "t.parquet", "np/batch-0.json"))
            assertSame(one.resolve(name), many.resolve(name));

        Result again = submit("local[1]", "features", "--out", many.toString(), "--features", "0-9,748");
        assertSucceeded(again);
        assertTrue(again.out.contains("All rows are there already."), again.out);
        Result other = submit("local[1]", "features", "--out", many.toString(), "--features", "3");
        assertTrue(
                sentence(other).endsWith(" Use another folder, or delete it.")
                        && sentence(other).contains(" holds features of something else: neurons is "),
                sentence(other));
    }

    private static void assertSame(Path expected, Path found) throws IOException {
        assertArrayEquals(Files.readAllBytes(expected), Files.readAllBytes(found), found.toString());
    }

    /** Exactly: the sums of executors are merged without rounding. */
    @Test
    void metricsAreThoseOfOneMachine() throws Exception {
        List<String> texts =
                TextDataset.of(DEMO + "dataset.parquet").documents().subList(0, 170);
        Path corpus = folder.resolve("corpus.jsonl");
        for (String text : texts)
            Files.writeString(
                    corpus,
                    JsonMapper.shared().writeValueAsString(Map.of("text", text)) + "\n",
                    StandardOpenOption.CREATE,
                    StandardOpenOption.APPEND);
        Path json = folder.resolve("evals.json");
        assertSucceeded(submit(CLUSTER, "evals", "--dataset", corpus.toString(), "--json", json.toString()));
        JsonNode groups = JsonMapper.shared().readTree(Files.readString(json)).get("metrics");
        try (var _ = TensorScope.open();
                var _ = Torch.singleThreaded();
                var model = HookedTransformer.fromPretrained(DEMO + "model");
                var sae = Sae.fromPretrained(DEMO + "sae")) {
            TokenDataset rows = TokenDataset.tokenizeAndConcatenate(
                    texts::forEach,
                    model.tokenizer(),
                    ChunkingStrategy.CHARACTER_CHUNKS,
                    sae.config().contextSize());
            SaeEvals one = SaeEvals.run(model, sae, rows.batch(0, rows.rows()), 16, rows.rows(), true, _ -> {});
            one.metrics()
                    .forEach((group, metrics) -> metrics.forEach((metric, value) -> assertEquals(
                            Double.isNaN(value) ? -1 : value,
                            groups.get(group).get(metric).asDouble(),
                            group + " " + metric)));
        }
    }

    @Test
    void activationsAreATable() throws Exception {
        Path out = folder.resolve("activations");
        assertSucceeded(submit("local[2]", "activations", "--features", "8,748", "--out", out.toString()));
        assertTrue(Files.exists(out.resolve("_SUCCESS")));
        try (Stream<Path> parts = Files.list(out.resolve("feature_block=0"))) {
            assertTrue(parts.anyMatch(file -> file.toString().endsWith(".parquet")));
        }
    }

    @Test
    void mistakesAreSentencesAndExitCodes() throws Exception {
        Result help = submit("local[1]", "--help");
        assertSucceeded(help);
        assertTrue(help.out.contains("features"), help.out);
        assertEquals(
                "panascope: Unknown option: '--nope' (see panascope-spark features --help)",
                sentence(submit("local[1]", "features", "--nope")));
        assertEquals(
                "panascope: dataset none.parquet does not exist: there is no file:" + folder + "/none.parquet.",
                sentence(submit("local[1]", "features", "--dataset", "none.parquet")));
    }
}
