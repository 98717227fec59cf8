package io.github.panascope.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;
import picocli.CommandLine.Model.OptionSpec;

/** The options of the command line for spark-submit, and what it says of mistakes. */
@Tag("spark")
@ExtendWith(Cluster.class)
class MainTest {
    /** Options whose descriptions speak of one machine, or of many. */
    private static final Set<String> DESCRIBED_APART =
            Set.of("--model", "--sae", "--device", "--debug", "--dataset", "--column", "--out", "--rows-at-once");

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

    /** The option names, defaults and words are those of the one-machine command line. */
    @Test
    void optionsAreThoseOfOneMachine() throws ClassNotFoundException {
        CommandLine one = new CommandLine(Class.forName("io.github.panascope.cli.Main"));
        Map<String, OptionSpec> theirs = options(one, "dashboard");
        Map<String, OptionSpec> ours = options(new CommandLine(Main.class), "features");
        ours.forEach((name, option) -> {
            OptionSpec other = theirs.get(name);
            if (other == null || name.equals("--out")) return;
            assertEquals(other.defaultValue(), option.defaultValue(), name);
            assertEquals(other.arity(), option.arity(), name);
            if (!DESCRIBED_APART.contains(name)) {
                assertEquals(List.of(other.description()), List.of(option.description()), name);
                assertEquals(other.paramLabel(), option.paramLabel(), name);
            }
        });
        Set<String> more = new TreeSet<>(ours.keySet());
        more.removeAll(theirs.keySet());
        assertEquals(Set.of("--order-by", "--unit-rows"), more);
        Set<String> less = new TreeSet<>(theirs.keySet());
        less.removeAll(ours.keySet());
        assertEquals(
                Set.of(
                        "--num-top-features",
                        "--open",
                        "--prompt",
                        "--registry",
                        "--rows",
                        "--shard-rows",
                        "--state",
                        "--threads"),
                less);
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
        assertRefused("--unit-rows should lie between 1 and 65536, not at 0.", "--unit-rows", "0");
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

    @Test
    void wrongCommandsSayWhereHelpIs() {
        assertEquals(2, run().status);
        Printed wrong = run("feature");
        assertEquals(2, wrong.status);
        assertTrue(wrong.err.startsWith("panascope: ") && wrong.err.contains("panascope-spark --help"), wrong.err);
    }
}
