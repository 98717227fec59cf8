package io.github.panascope.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.data.TextDataset;
import io.github.panascope.demo.DemoBundle;
import io.github.panascope.tokens.Tokenizer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;
import picocli.CommandLine.Model.OptionSpec;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The options of the command line for spark-submit, and what it says of mistakes. */
@Tag("spark")
@ExtendWith(Cluster.class)
class MainTest {
    /** Options whose descriptions speak of one machine, or of many. */
    private static final Set<String> DESCRIBED_APART = Set.of(
            "--model", "--sae", "--device", "--debug", "--dataset", "--column", "--json", "--out", "--rows-at-once");

    @TempDir
    Path folder;

    private record Printed(int status, String out, String err) {}

    private static Printed run(String... arguments) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        PrintStream before = System.out;
        PrintStream beforeErr = System.err;
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
        try {
            return new Printed(
                    Main.run(arguments), out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
        } finally {
            System.setOut(before);
            System.setErr(beforeErr);
        }
    }

    private static Map<String, OptionSpec> options(CommandLine line, String command) {
        Map<String, OptionSpec> found = new TreeMap<>();
        for (OptionSpec option :
                line.getSubcommands().get(command).getCommandSpec().options()) found.put(option.longestName(), option);
        return found;
    }

    /**
     * Checks that options which the one-machine command has too have its defaults and words.
     *
     * @param more the options that it lacks
     * @param less its options that are lacking
     */
    private static void assertLikeOneMachine(String command, String other, Set<String> more, Set<String> less)
            throws ClassNotFoundException {
        Map<String, OptionSpec> theirs = options(new CommandLine(Class.forName("io.github.panascope.cli.Main")), other);
        Map<String, OptionSpec> ours = options(new CommandLine(Main.class), command);
        ours.forEach((name, option) -> {
            OptionSpec theirOption = theirs.get(name);
            if (theirOption == null || name.equals("--out")) return;
            assertEquals(theirOption.defaultValue(), option.defaultValue(), name);
            assertEquals(theirOption.arity(), option.arity(), name);
            if (DESCRIBED_APART.contains(name)) return;
            assertEquals(List.of(theirOption.description()), List.of(option.description()), name);
            assertEquals(theirOption.paramLabel(), option.paramLabel(), name);
        });
        assertEquals(more, without(ours, theirs));
        assertEquals(less, without(theirs, ours));
    }

    private static Set<String> without(Map<String, ?> some, Map<String, ?> others) {
        Set<String> names = new TreeSet<>(some.keySet());
        names.removeAll(others.keySet());
        return names;
    }

    @Test
    void optionsAreThoseOfOneMachine() throws ClassNotFoundException {
        assertLikeOneMachine(
                "features",
                "dashboard",
                Set.of("--order-by", "--unit-rows"),
                Set.of(
                        "--num-top-features",
                        "--open",
                        "--prompt",
                        "--registry",
                        "--rows",
                        "--shard-rows",
                        "--state",
                        "--threads"));
        assertLikeOneMachine(
                "evals",
                "eval",
                Set.of("--by", "--order-by", "--tokenization"),
                Set.of("--csv", "--n-eval-reconstruction-batches", "--n-eval-sparsity-variance-batches", "--registry"));
    }

    @Test
    void mistakesAreRefusedBeforeAnythingIsComputed() {
        assertRefused("--model is given without --sae: name the SAE that belongs to it.", "--model", "gpt2");
        assertRefused("--dtype should be float32 or bfloat16, not 'int8'.", "--dtype", "int8");
        assertRefused("--device should be auto, cpu or cuda (or cuda:1), not 'tpu'.", "--device", "tpu");
        assertRefused(
                "--tokenization should be character-chunks, whitespace-chunks, per-document, not 'words'.",
                "--tokenization",
                "words");
        assertRefused("--dataset is needed with a model other than the demo's.", "--sae", "a/b");
        assertRefused("--unit-rows should lie between 1 and 32768, not at 0.", "--unit-rows", "0");
        assertRefused("--rows-at-once should be at least 1, not 0.", "--rows-at-once", "0");
        assertRefused("--order-by is for a table: the demo's documents have no other column.", "--order-by", "id");
    }

    @Test
    void mistakesThatDependOnTheSaeAreRefusedInASentence() {
        Cluster.session();
        assertRefused("--features: the range 5-3 goes down.", "--features", "5-3");
        assertRefused("--features: 1024 is outside the SAE's features 0 to 1023.", "--features", "1024");
        assertRefused(
                "--context-size should lie between 2 and the model's n_ctx of 256, not at 1.", "--context-size", "1");
        assertRefused("--buffer 70 leaves no position in rows of 128 tokens: -1 shows whole rows.", "--buffer", "70");
        assertRefused(
                "dataset NeelNanda/pile-10k does not exist: there is no file:"
                        + Path.of("NeelNanda/pile-10k").toAbsolutePath()
                        + ". A dataset of the hub is not fetched here: put its files into a folder that all machines"
                        + " see.",
                "--dataset",
                "NeelNanda/pile-10k");
        assertRefused(
                "--order-by is for a table of Spark's catalog: the files of " + folder
                        + " are read in the order of their names.",
                "--dataset",
                folder.toString(),
                "--order-by",
                "id");
        assertRefused(
                "SAE folder " + folder.resolve("sae") + " does not exist.",
                "--dataset",
                "x",
                "--sae",
                folder.resolve("sae").toString());
    }

    private void assertRefused(String sentence, String... options) {
        String[] arguments = new String[options.length + 4];
        System.arraycopy(new String[] {"features", "--quiet", "--out", folder.toString()}, 0, arguments, 0, 4);
        System.arraycopy(options, 0, arguments, 4, options.length);
        Printed printed = run(arguments);
        assertEquals("panascope: " + sentence, printed.err.strip(), Arrays.toString(options));
        assertEquals(2, printed.status, printed.err);
        assertEquals("", printed.out);
    }

    /** The commands of the page have options that exist, and each command is shown. */
    @Test
    void everyCommandOfThePageIsUnderstood() throws IOException {
        String page = Files.readString(Path.of("src/site/markdown/many-machines.md"));
        Set<String> shown = new TreeSet<>();
        Matcher command =
                Pattern.compile("panascope-spark-[\\d.]+\\.jar (.+)").matcher(page.replaceAll("\\\\\n *", ""));
        while (command.find()) {
            String[] words = command.group(1).split(" +");
            new CommandLine(Main.class)
                    .setCaseInsensitiveEnumValuesAllowed(true)
                    .parseArgs(words);
            shown.add(words[0]);
        }
        assertEquals(Set.of("activations", "evals", "features"), shown);
    }

    /** Documents of two sources, with numbers and texts. */
    private Path sources() throws IOException {
        List<String> texts = TextDataset.of(DemoBundle.find().dataset()).documents();
        StringBuilder lines = new StringBuilder();
        for (int i = 0; i < 12; i++)
            lines.append(JsonMapper.shared()
                            .createObjectNode()
                            .put("id", "d" + i)
                            .put("source", i % 3 == 0 ? "a" : "b")
                            .put("text", texts.get(i)))
                    .append('\n');
        return Files.writeString(folder.resolve("sources.jsonl"), lines);
    }

    @Test
    void documentsAreEvaluatedBySource() throws IOException {
        Cluster.session();
        Path json = folder.resolve("by.json");
        Printed printed = run("evals", "--dataset", sources().toString(), "--by", "source", "--json", json.toString());
        assertEquals(0, printed.status, printed.err);
        assertTrue(
                printed.out.contains("source: documents, positions, l0, ce_loss_score, explained_variance, the worst"),
                printed.out);
        Map<String, JsonNode> groups = new TreeMap<>();
        for (String line : Files.readAllLines(json)) {
            JsonNode group = JsonMapper.shared().readTree(line);
            groups.put(group.get("source").asString(), group);
        }
        assertEquals(Set.of("a", "b"), groups.keySet());
        assertEquals(4, groups.get("a").get("documents").asInt());
        assertEquals(8, groups.get("b").get("documents").asInt());
        assertTrue(
                printed.out.contains("a: 4, " + groups.get("a").get("positions").asInt() + ", "), printed.out);
    }

    @Test
    void activationsCarryColumnsAlong() throws IOException {
        SparkSession spark = Cluster.session();
        Path out = folder.resolve("activations");
        Printed printed = run(
                "activations",
                "--dataset",
                sources().toString(),
                "--features",
                "all",
                "--id",
                "id",
                "--columns",
                "source",
                "--out",
                out.toString());
        assertEquals(0, printed.status, printed.err);
        Dataset<Row> table = spark.read().parquet(out.toString());
        assertEquals(12, table.select("document").distinct().count());
        assertEquals(
                4, table.filter("source = 'a'").select("document").distinct().count());
        Printed again = run("activations", "--out", out.toString(), "--quiet");
        assertEquals(
                "panascope: file:" + out + " exists already: use another folder, or delete it.", again.err.strip());
        assertEquals(
                "panascope: --columns needs --id, the column that names a document: Spark reads files with their"
                        + " columns in no order.",
                run("activations", "--columns", "source").err.strip());
    }

    @Test
    void aTableOfTheCatalogIsReadInTheOrderOfAColumn() throws IOException {
        SparkSession spark = Cluster.session();
        spark.read().json(sources().toString()).repartition(3).createOrReplaceTempView("corpus");
        Path out = folder.resolve("activations");
        Printed printed = run(
                "activations",
                "--dataset",
                "corpus",
                "--features",
                "all",
                "--order-by",
                "id",
                "--out",
                out.toString(),
                "--quiet");
        assertEquals(0, printed.status, printed.err);
        String third = TextDataset.of(DemoBundle.find().dataset()).documents().get(10); // after d0, d1, as text
        Tokenizer tokenizer = Tokenizer.gpt2();
        assertEquals(
                tokenizer.tokens(tokenizer.encode(third)).subList(0, 5),
                spark.read()
                        .parquet(out.toString())
                        .filter("document = 2 and row = 0 and position between 1 and 5")
                        .groupBy("position")
                        .agg(functions.first("token").as("token"))
                        .orderBy("position")
                        .select("token")
                        .as(Encoders.STRING())
                        .collectAsList());
    }

    @Test
    void wrongCommandsSayWhereHelpIs() {
        assertEquals(2, run().status);
        Printed wrong = run("feature");
        assertEquals(2, wrong.status);
        assertTrue(wrong.err.startsWith("panascope: ") && wrong.err.contains("panascope-spark --help"), wrong.err);
    }
}
