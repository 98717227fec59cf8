package io.github.panascope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.LeakCheck;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Commands as a user has them: what they print. */
@ExtendWith(LeakCheck.class)
class CommandLineTest {
    @TempDir
    private Path folder;

    @RegisterExtension
    private final CapturedOutput console = new CapturedOutput();

    @Test
    void promptPrintsWhatItTokenizesAndReconstructs() {
        assertEquals(
                0,
                Main.run(
                        "prompt",
                        "--prompt",
                        "After Mary and John went to the park, Mary gave the ball to",
                        "--answer",
                        "John",
                        "--top-k",
                        "3"),
                console::complaint);
        assertTrue(
                console.output().contains("Tokenized answer: [' John']")
                        && console.output().contains("Under the reconstruction at blocks.2.hook_resid_pre"),
                console::output);
    }

    @Test
    void anAnswerMayBeASpace() {
        assertEquals(0, Main.run("prompt", "--answer", " "), console::complaint);
        assertTrue(console.output().contains("Tokenized answer: [' ']"), console::output);
    }

    @Test
    void doctorPrintsWhatTheMachineHas() {
        assertEquals(0, Main.run("doctor"), console::complaint);
        for (String part : List.of("libtorch", "MKL", "CUDA", "threads", "a matrix product is right"))
            assertTrue(console.output().contains(part), part);
        for (String part : List.of("platform +linux-\\w+", "glibc +2\\.\\d+ \\(", "libstdc\\+\\+ +6\\.0\\.\\d+ \\("))
            assertTrue(console.output().matches("(?s).*(ok|--)  +" + part + ".*"), console::output);
    }

    @Test
    void doctorNamesTheModelThatItMeasures() {
        assertEquals(2, Main.run("doctor", "--bench", "gpt2-nano"));
        assertTrue(console.complaint().contains("--bench should be gpt2-small"), console::complaint);
    }

    @Test
    void theVersionIsPrinted() {
        assertEquals(0, Main.run("--version"));
        assertTrue(console.output().matches("(?s).*panascope \\d+\\.\\d+.*"), console::output);
    }

    @Test
    void fetchNeedsAName() {
        assertEquals(2, Main.run("fetch"));
    }

    /** Texts that are null stand at both ends, so that one is also met where reading stops before the file ends. */
    @ParameterizedTest
    @CsvSource({
        "2 documents, check-sae --rows 2",
        "1 document, eval --batch-size-prompts 2 --n-eval-reconstruction-batches 1",
        "2 documents, tutorial --rows 2 --out FOLDER"
    })
    void textsThatAreNullAreSkippedWithALine(String skipped, String command) throws IOException {
        StringBuilder lines = new StringBuilder("{\"text\":null}\n");
        for (int i = 0; i < 3000; i++) lines.append("{\"text\":\"once upon a time there was a number " + i + "\"}\n");
        Path texts = Files.writeString(folder.resolve("texts.jsonl"), lines.append("{\"text\":null}\n"));
        List<String> all = new ArrayList<>();
        for (String argument : command.split(" "))
            all.add(argument.replace("FOLDER", folder.resolve("tutorial").toString()));
        all.addAll(List.of("--dataset", texts.toString(), "--context-size", "16"));
        Main.run(all.toArray(String[]::new));
        assertTrue(
                console.output().contains("Skipped " + skipped + " whose text is null"),
                () -> console.output() + console.complaint());
    }

    @Test
    void debugShowsTheStack() {
        runWithDebug();
        assertTrue(console.complaint().contains("at io.github.panascope.cli.PromptOptions"), console::complaint);
    }

    @Test
    void debugNamesTheSkippedKeys() {
        runWithDebug();
        assertTrue(console.complaint().contains("skipped in the SAE cfg.json: "), console::complaint);
    }

    private void runWithDebug() {
        assertEquals(
                2,
                Main.run(
                        "tutorial",
                        "--debug",
                        "--prompt",
                        "",
                        "--out",
                        folder.resolve("out").toString()));
    }
}
