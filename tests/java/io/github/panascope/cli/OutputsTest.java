package io.github.panascope.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.LeakCheck;
import io.github.panascope.demo.DemoBundle;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Places that a command should not write to, and arguments that are none, told before anything runs. */
@ExtendWith(LeakCheck.class)
class OutputsTest {
    private static final String LOST = " is a file that this run reads, and would be lost: name another one.";

    @TempDir
    private Path folder;

    @RegisterExtension
    private final CapturedOutput console = new CapturedOutput();

    private void run(int status, String command, String... arguments) {
        List<String> all = new ArrayList<>(List.of(command));
        all.addAll(Arrays.asList(arguments));
        console.reset();
        assertEquals(status, Main.run(all.toArray(String[]::new)), console::complaint);
    }

    private void assertRefused(String message, String command, String... arguments) {
        run(2, command, arguments);
        assertEquals("panascope: " + message + "\n", console.complaint());
    }

    private String at(String name) {
        return folder.resolve(name).toString();
    }

    private static String[] with(String[] some, String... more) {
        String[] all = Arrays.copyOf(some, some.length + more.length);
        System.arraycopy(more, 0, all, some.length, more.length);
        return all;
    }

    @Test
    void anOutputIsNoFileOfTheDataset() throws IOException {
        Path texts = Files.writeString(folder.resolve("texts.json"), "[{\"text\":\"a\"}]");
        Files.createSymbolicLink(folder.resolve("link.json"), texts);
        byte[] before = Files.readAllBytes(texts);
        for (String name : List.of("texts.json", "x/../texts.json", "link.json")) {
            Files.createDirectories(folder.resolve("x"));
            for (String option : List.of("--json", "--csv"))
                assertRefused(option + " " + at(name) + LOST, "eval", "--dataset", texts.toString(), option, at(name));
            for (String option : List.of("--json", "--table", "--out"))
                assertRefused(
                        option + " " + at(name) + LOST, "dashboard", "--dataset", texts.toString(), option, at(name));
            assertRefused(
                    "--json " + at(name) + LOST,
                    "tutorial",
                    "--dataset",
                    texts.toString(),
                    "--out",
                    at("out"),
                    "--json",
                    at(name));
        }
        assertArrayEquals(before, Files.readAllBytes(texts));
    }

    @Test
    void anOutputIsNoFileOfTheModelOrTheSae() throws IOException {
        Path model = Files.createDirectories(folder.resolve("model"));
        Path sae = Files.createDirectories(folder.resolve("sae"));
        for (String name : List.of("config.json", "tokenizer_config.json", "model.safetensors", "notes.json"))
            Files.writeString(model.resolve(name), "{}");
        Files.writeString(sae.resolve("cfg.json"), "{}");
        String[] named = {"--model", model.toString(), "--sae", sae.toString()};
        for (Path file : List.of(
                model.resolve("config.json"),
                model.resolve("tokenizer_config.json"),
                model.resolve("model.safetensors"),
                sae.resolve("cfg.json")))
            assertRefused("--json " + file + LOST, "eval", with(named, "--json", file.toString()));
        String[] asFile = {"--model", model.resolve("model.safetensors").toString(), "--sae", sae.toString()};
        assertRefused(
                "--csv " + model.resolve("config.json") + LOST, "eval", with(asFile, "--csv", at("model/config.json")));
        run(2, "eval", with(named, "--json", at("model/notes.json"))); // which goes on to the SAE
        assertFalse(console.complaint().contains("would be lost"));
        Path demo = Path.of(DemoBundle.find().dataset());
        assertRefused("--table " + demo + LOST, "dashboard", "--out", at("a.html"), "--table", demo.toString());
    }

    @Test
    void anOutputIsNoFileOfTheState() throws IOException {
        Path state = Files.createDirectories(folder.resolve("state"));
        for (String name : List.of("manifest.json", "lock", "rows-00000000-00000008-ab.bin"))
            assertRefused(
                    "--json " + state.resolve(name)
                            + " has the name of a file of --state: name another one, or another folder.",
                    "dashboard",
                    "--out",
                    at("a.html"),
                    "--state",
                    state.toString(),
                    "--json",
                    state.resolve(name).toString());
    }

    @Test
    void namesThatAreEmptyOrTheSameAreRefused() {
        for (String option : List.of("--state", "--out", "--json", "--table", "--neuronpedia"))
            assertRefused(option + " should not be empty.", "dashboard", option, "");
        for (String option : List.of("--json", "--csv"))
            assertRefused(option + " should not be empty.", "eval", option, "");
        assertRefused(
                at("a") + " is named for two outputs: one would be lost.", "eval", "--json", at("a"), "--csv", at("a"));
        assertRefused("--out should not be empty.", "tutorial", "--out", "");
        assertRefused("TO should not be empty.", "merge", "", at("part"));
        assertRefused("FROM should not be empty.", "merge", at("whole"), "");
    }

    @Test
    void valuesWithoutAUseAreRefused() {
        int most = Math.max(64, 4 * Runtime.getRuntime().availableProcessors());
        assertRefused(
                "--threads should be at most " + most + " here, not " + (most + 1) + ".",
                "dashboard",
                "--out",
                at("a.html"),
                "--threads",
                String.valueOf(most + 1));
        assertRefused(
                "--features , names no feature.", "dashboard", "--out", at("a.html"), "--features", ",", "--quiet");
    }

    /** What rows are made of is told apart where it is not the usual: it says which features may be used again. */
    @Test
    void theColumnAndTheSplitBelongToTheText() throws IOException {
        Path set = Files.createDirectories(folder.resolve("set"));
        String line = "{\"text\": \"One two three four.\", \"body\": \"Five six seven eight.\"}\n".repeat(200);
        Files.writeString(set.resolve("train.jsonl"), line);
        Files.writeString(set.resolve("test.jsonl"), line);
        String[] few = {"--features", "0", "--rows", "2", "--quiet", "--out", at("page.html"), "--dataset"};
        String file = set.resolve("train.jsonl").toString();
        assertEquals(
                set + ", character-chunks", text(with(few, set.toString(), "--state", at("a"), "--split", "train")));
        assertEquals(
                set + ", character-chunks, column body, split test",
                text(with(few, set.toString(), "--state", at("b"), "--split", "test", "--column", "body")));
        assertEquals(file + ", character-chunks", text(with(few, file, "--state", at("c"), "--split", "test")));
        assertTrue(Files.exists(folder.resolve("page.html")));
    }

    private String text(String... arguments) throws IOException {
        run(0, "dashboard", arguments);
        String state = arguments[List.of(arguments).indexOf("--state") + 1];
        JsonNode manifest = JsonMapper.shared().readTree(Files.readString(Path.of(state, "manifest.json")));
        return manifest.findValue("text").stringValue();
    }
}
