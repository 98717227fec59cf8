package io.github.panascope.notebook;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.internal.PythonText;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * The packaged jars in the kernel JJava: {@code mvn -B verify -Pnotebook -Dpanascope.python=PYTHON}, where PYTHON names
 * one that has jjava, nbconvert and ipykernel.
 */
class NotebookIT {
    private static final JsonMapper JSON = JsonMapper.builder().build();
    private static final Path NOTEBOOK =
            Path.of("src/demo/notebook/tutorial.ipynb").toAbsolutePath();
    private static final String JARS =
            "target/panascope-0.1.0.jar target/lib/*.jar target/panascope-notebook-0.1.0.jar";
    private static final String JARS_CELL = "%classpath "
            + Arrays.stream(JARS.split(" "))
                    .map(jar -> Path.of("").toAbsolutePath() + "/" + jar)
                    .collect(Collectors.joining(" "));
    private static final String PUBLISHED_CELL =
            "%maven io.github.panascope:panascope-demo:0.1.0\n%maven io.github.panascope:panascope-notebook:0.1.0";
    private static String python;

    @TempDir
    private Path folder;

    @BeforeAll
    static void findPython() {
        python = System.getProperty("panascope.python");
        assertNotNull(python, "-Dpanascope.python=PYTHON should name a Python with jjava, nbconvert and ipykernel");
    }

    private String run(List<String> command) throws IOException, InterruptedException {
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        Path home = Path.of(System.getProperty("java.home"));
        builder.environment().put("JAVA_HOME", home.toString());
        builder.environment().merge("PATH", home.resolve("bin").toString(), (path, java) -> java + ":" + path);
        builder.environment().put("JJAVA_JVM_OPTS", "--enable-native-access=ALL-UNNAMED");
        Process process = builder.start();
        String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), out);
        return out;
    }

    // ------------------------------------------------------------------------------------------ the tutorial

    /** Executes the tutorial with the jars of this build, and returns its cells by their ids. */
    private Map<String, JsonNode> executed() throws Exception {
        ObjectNode notebook = (ObjectNode) JSON.readTree(NOTEBOOK.toFile());
        for (JsonNode cell : notebook.get("cells"))
            if (cell.get("id").asString().equals("jars")) ((ObjectNode) cell).put("source", JARS_CELL);
        // Beside the notebook, because its paths are relative to its folder.
        Path copy = Files.createTempFile(NOTEBOOK.getParent(), ".tutorial", ".ipynb");
        try {
            JSON.writeValue(copy.toFile(), notebook);
            run(List.of(
                    python,
                    "-m",
                    "nbconvert",
                    "--to",
                    "notebook",
                    "--execute",
                    "--output-dir",
                    folder.toString(),
                    "--output",
                    "executed",
                    copy.toString()));
        } finally {
            Files.delete(copy);
        }
        JsonNode executed = JSON.readTree(folder.resolve("executed.ipynb").toFile());
        Map<String, JsonNode> cells = new LinkedHashMap<>();
        for (JsonNode cell : executed.get("cells")) cells.put(cell.get("id").asString(), cell);
        if ("write".equals(System.getProperty("panascope.notebook"))) {
            ((ObjectNode) cells.get("jars")).put("source", PUBLISHED_CELL);
            for (JsonNode cell : cells.values()) ((ObjectNode) cell.get("metadata")).remove("execution");
            Files.writeString(NOTEBOOK, JSON.writerWithDefaultPrettyPrinter().writeValueAsString(executed) + "\n");
        }
        return cells;
    }

    private static String joined(JsonNode text) {
        return text.isArray()
                ? StreamSupport.stream(text.spliterator(), false)
                        .map(JsonNode::asString)
                        .collect(Collectors.joining())
                : text.asString();
    }

    private static String streams(JsonNode cell) {
        StringBuilder text = new StringBuilder();
        for (JsonNode output : cell.get("outputs")) if (output.has("text")) text.append(joined(output.get("text")));
        return text.toString();
    }

    /** Returns what a cell ends with, in a form such as text/html. */
    private static String result(JsonNode cell, String form) {
        for (JsonNode output : cell.get("outputs"))
            if (output.get("output_type").asString().equals("execute_result"))
                return joined(output.get("data").get(form));
        throw new AssertionError("the cell has no result: " + cell);
    }

    private static List<MatchResult> all(String pattern, String text) {
        return Pattern.compile(pattern).matcher(text).results().toList();
    }

    @Test
    void theTutorialsNumbersAreTheCommandLines() throws Exception {
        Path out = folder.resolve("cli");
        String printed = run(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-jar",
                "target/panascope.jar",
                "tutorial",
                "--out",
                out.toString()));
        JsonNode metrics = JSON.readTree(out.resolve("metrics.json").toFile());
        Map<String, JsonNode> cells = executed();

        String l0 = result(cells.get("l0"), "text/html");
        assertTrue(l0.contains("average l0 " + metrics.get("l0_mean").asDouble() + " over"), l0);
        long[] histogram = new long[metrics.get("l0_histogram").size()];
        for (MatchResult bar : all("<title>(\\d+): (\\d+)</title>", l0))
            histogram[Integer.parseInt(bar.group(1))] = Long.parseLong(bar.group(2));
        assertEquals(
                metrics.get("l0_histogram").toString(),
                Arrays.toString(histogram).replace(" ", ""));

        assertEquals(losses(metrics), result(cells.get("loss"), "text/plain"));
        assertEquals(losses(metrics.get("prompt")), result(cells.get("prompt-loss"), "text/plain"));
        for (String loss : losses(metrics).split("[=,\\]]"))
            if (loss.matches("[\\d.]+"))
                assertTrue(streams(cells.get("hooks")).contains(String.format("%.4f", Double.parseDouble(loss))), loss);

        assertEquals(candidates(metrics.get("prompt").get("top")), candidates(cells.get("prompt")));
        assertEquals(candidates(metrics.get("prompt").get("top_reconstructed")), candidates(cells.get("prompt-sae")));
        String prompt = result(cells.get("prompt"), "text/plain");
        assertTrue(printed.contains(prompt), prompt);
        for (String id : List.of("prompt", "prompt-sae")) {
            List<MatchResult> rows = all(
                    "<td>(?:<b>)?<code.*?</td><td>(\\d+)</td><td>(.*?)</td><td>(.*?)</td>",
                    result(cells.get(id), "text/html"));
            assertEquals(10, rows.size());
            for (MatchResult row : rows)
                assertTrue(
                        printed.replaceAll(" +", " ").contains("Logit: " + row.group(2) + " Prob: " + row.group(3)),
                        row.group());
        }

        List<String> features = new ArrayList<>();
        for (JsonNode feature : metrics.get("features"))
            features.add("feature " + feature.get("feature") + ": density "
                    + feature.get("density").asDouble() + ", max "
                    + (float) feature.get("max").asDouble());
        assertEquals(
                features,
                streams(cells.get("dashboards"))
                        .lines()
                        .filter(line -> line.startsWith("feature"))
                        .toList());
        assertTrue(printed.contains(result(cells.get("neuronpedia"), "text/plain")), printed);
        assertTrue(result(cells.get("dashboards"), "text/html").contains("<iframe sandbox=\"allow-scripts\""));
        assertTrue(result(cells.get("heatmap"), "text/html").startsWith("<svg"));
        assertTrue(streams(cells.get("tokens")).startsWith("2000 documents, "), streams(cells.get("tokens")));
        JsonNode progress = cells.get("tokens").get("outputs").get(0);
        assertTrue(joined(progress.get("data").get("text/plain")).startsWith("documents 2000, "), progress.toString());
    }

    private static String losses(JsonNode metrics) {
        return "DownstreamLoss[original=" + metrics.get("ce_orig").asDouble() + ", reconstructed="
                + metrics.get("ce_reconstr").asDouble() + ", zero="
                + metrics.get("ce_zero").asDouble() + "]";
    }

    private static List<String> candidates(JsonNode list) {
        if (!list.isArray()) { // a cell
            return all(
                            "Top \\d+th token. Logit: *([\\d.-]+) Prob: *([\\d.]+)% Token: \\|(.*)\\|",
                            result(list, "text/plain"))
                    .stream()
                    .map(found -> found.group(3) + " " + found.group(1) + " " + found.group(2))
                    .toList();
        }
        List<String> candidates = new ArrayList<>();
        for (JsonNode candidate : list)
            candidates.add(candidate.get("token").asString() + " "
                    + PythonText.fixed(candidate.get("logit").asDouble(), 2) + " "
                    + PythonText.percent(candidate.get("prob").asDouble(), 2).replace("%", ""));
        return candidates;
    }

    // ------------------------------------------------------------------------------------------ the kernel

    private record Cell(String code, boolean interrupt) {
        static Cell of(String code) {
            return new Cell(code, false);
        }
    }

    private List<JsonNode> results(List<Cell> cells) throws Exception {
        List<Cell> all = new ArrayList<>(List.of(Cell.of(JARS_CELL), Cell.of("""
            import io.github.panascope.lens.*;
            import io.github.panascope.notebook.*;
            import io.github.panascope.torch.*;
            import java.nio.file.*;
            """)));
        all.addAll(cells);
        Path in = folder.resolve("cells.json");
        Path out = folder.resolve("results.json");
        JSON.writeValue(in.toFile(), all);
        run(List.of(python, "tests/notebook/run_cells.py", in.toString(), out.toString()));
        JsonNode results = JSON.readTree(out.toFile());
        return StreamSupport.stream(results.spliterator(), false)
                .skip(all.size() - cells.size())
                .toList();
    }

    private static final Cell MODEL =
            Cell.of("""
                var model = Notebook.keep(
                        "model", () -> HookedTransformer.fromPretrained("%s"));
                Tensor tokens = model.toTokens("When John and Mary went to the shops");
                """.formatted(Path.of("src/demo/bundle/model").toAbsolutePath()));

    @Test
    void anInterruptStopsACellAndTheNextOneWorks() throws Exception {
        List<JsonNode> results = results(List.of(
                MODEL,
                new Cell("""
                    System.out.println("at work");
                    while (true) model.forward(tokens).logits();
                    """, true),
                Cell.of("""
                    long start = System.nanoTime();
                    boolean working() {
                        return Thread.getAllStackTraces().entrySet().stream()
                                .filter(entry -> entry.getKey() != Thread.currentThread())
                                .flatMap(entry -> Arrays.stream(entry.getValue()))
                                .anyMatch(frame -> frame.getClassName().startsWith("io.github.panascope."));
                    }
                    while (working() && System.nanoTime() - start < 5_000_000_000L) Thread.sleep(10);
                    System.out.println((System.nanoTime() - start) / 1e9);
                    """),
                Cell.of("System.out.println(model.forward(tokens).logits().shape())"),
                Cell.of("System.out.println(tokens.shape())")));
        JsonNode interrupted = results.get(1);
        assertNotNull(interrupted.get("error").asString(null), interrupted.toString());
        double seconds = interrupted.get("afterInterrupt").asDouble();
        double working =
                Double.parseDouble(results.get(2).get("text").asString().strip());
        System.out.printf("interrupt: the cell ended after %.3f s, its thread %.3f s later%n", seconds, working);
        assertTrue(seconds + working < 2, seconds + " s, then " + working + " s");
        assertNull(results.get(3).get("error").asString(null), results.get(3).toString());
        assertEquals("[1, 9, 50257]", results.get(3).get("text").asString().strip());
        assertEquals("[1, 9]", results.get(4).get("text").asString().strip());
    }

    @Test
    void theCellsOfThePageRun() throws Exception {
        List<Cell> cells = new ArrayList<>();
        for (MatchResult cell :
                all("(?s)```jshell\n(.*?)```", Files.readString(Path.of("src/site/markdown/notebook.md"))))
            cells.add(Cell.of(cell.group(1)));
        assertEquals(3, cells.size());
        List<JsonNode> results = results(cells);
        for (JsonNode result : results) assertNull(result.get("error").asString(null), result.toString());
        String tensor = results.get(1).get("html").asString();
        assertTrue(tensor.contains("Tensor [1, 9, 96], float32, cpu"), tensor);
        assertTrue(
                results.get(2).get("text").asString().contains("] 20/20, "),
                results.get(2).toString());
    }

    /** A variable, a result without a name, and a model, each made again by its cell. */
    @Test
    void memoryDoesNotGrowWhenACellRunsAgain() throws Exception {
        List<Cell> cells = new ArrayList<>(List.of(MODEL));
        Cell memory = Cell.of("""
            for (int i = 0; i < 5; i++) { System.gc(); Thread.sleep(100); }
            System.out.println(TensorScope.collected());
            System.out.println(Files.readString(Path.of("/proc/self/status"))
                    .lines().filter(line -> line.startsWith("VmRSS")).findFirst().get().replaceAll("\\\\D", ""));
            """);
        List<Cell> again = List.of(
                Cell.of("Tensor large = Tensor.zeros(DType.FLOAT32, Shape.of(50, 1000, 1000)); large.add_(large)"),
                Cell.of("Tensor.zeros(DType.FLOAT32, Shape.of(50, 1000, 1000))"),
                Cell.of("var cache = model.runWithCache(tokens, name -> true).cache(); cache"),
                MODEL);
        cells.addAll(again);
        cells.addAll(again);
        cells.add(memory);
        for (int i = 0; i < 6; i++) cells.addAll(again);
        cells.add(memory);
        List<JsonNode> results = results(cells);
        for (JsonNode result : results) assertNull(result.get("error").asString(null), result.toString());
        String[] before =
                results.get(1 + 2 * again.size()).get("text").asString().strip().split("\n");
        String[] after = results.getLast().get("text").asString().strip().split("\n");
        System.out.println("memory: " + String.join(", ", before) + " kB; after six more runs "
                + String.join(", ", after) + " kB");
        assertEquals(before[0], after[0]);
        long grown = (Long.parseLong(after[1]) - Long.parseLong(before[1])) >> 10;
        assertTrue(grown < 150, "six runs, each of which makes 400 MB of tensors, left " + grown + " MB");
    }
}
