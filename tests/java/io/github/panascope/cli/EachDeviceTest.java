package io.github.panascope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Every command that runs a model prints on a GPU what it prints on the CPU, word for word, the device's name aside.
 * Numbers are the same but for rounding: more rows run together there, and a product's rounding depends on its shape.
 */
@OnEachDevice
@ExtendWith(LeakCheck.class)
class EachDeviceTest {
    private static final String NUMBER = "[-+]?\\d+\\.\\d+([eE]-?\\d+)?";
    /**
     * What a loss in bfloat16 may differ by: a token's is off by 0.019 (root of the mean square), the prompt has 15,
     * and both are off.
     */
    private static final double LOSS_IN_BFLOAT16 = 0.02;
    /** What a difference between two numbers up to 20, each within 5e-3 of itself, may differ by. */
    private static final double DIFFERENCE_IN_BFLOAT16 = 0.1;

    private static final Pattern TOKEN = Pattern.compile("Logit: *(\\S+) Prob: *(\\S+)% Token: \\|(.*)\\|");

    @TempDir
    private Path folder;

    @BeforeEach
    void needAnotherDevice() {
        assumeFalse(TestDevice.DEVICE.isCpu(), "there is nothing to compare");
    }

    private String printed(String device, List<String> command) {
        List<String> arguments = new ArrayList<>();
        for (String argument : command)
            arguments.add(argument.replace("FOLDER", folder.resolve(device).toString()));
        arguments.addAll(List.of("--device", device));
        try (CapturedOutput console = CapturedOutput.start()) {
            Files.createDirectories(folder.resolve(device));
            assertEquals(0, Main.run(arguments.toArray(String[]::new)), () -> console.output() + console.complaint());
            return console.output()
                    .replace(folder.resolve(device).toString(), "FOLDER")
                    .replace("Device: " + device, "Device:");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @ParameterizedTest
    @CsvSource({
        "tutorial --rows 16 --dashboard-rows 8 --rows-at-once 8 --out FOLDER/out, 1e-6",
        "tutorial --rows 8 --dashboard-rows 0 --exact --out FOLDER/out, 1e-6",
        "tutorial --rows 8 --dashboard-rows 0 --dtype bfloat16 --out FOLDER/out, 5e-3",
        "check-sae, 0",
        "prompt, 1e-6",
        "prompt --dtype bfloat16, 5e-3",
        "prompt --exact, 1e-6",
        "eval --batch-size-prompts 2 --n-eval-reconstruction-batches 2, 1e-5",
        "eval --batch-size-prompts 2 --n-eval-reconstruction-batches 1 --dtype bfloat16, 3e-2",
        "dashboard --rows 30 --rows-at-once 16 --json FOLDER/d.json --out FOLDER/d.html, 0",
        "dashboard --rows 12 --rows-at-once 8 --exact --ablation --n-quantiles 1 --top-acts-group-size 3"
                + " --quantile-group-size 1 --json FOLDER/d.json --out FOLDER/d.html, 0",
        "dashboard --rows 12 --rows-at-once 8 --n-quantiles 2 --top-acts-group-size 3 --prompt Mary --json"
                + " FOLDER/d.json --out FOLDER/d.html, 0"
    })
    void printsTheSame(String command, double relative) throws IOException {
        List<String> arguments = Arrays.asList(command.split(" "));
        String expected = printed("cpu", arguments);
        String found = printed("cuda", arguments);
        if (command.contains("bfloat16")) compareInBFloat16(expected, found, relative);
        else compare(expected, found, relative, 0);
        Path json = folder.resolve("cpu/d.json");
        if (Files.exists(json))
            compare(Files.readString(json), Files.readString(folder.resolve("cuda/d.json")), 1e-4, 5e-6);
    }

    /**
     * Between two ways to round in bfloat16 tokens of nearly one logit change places. What is said of a token that both
     * name has to agree.
     */
    private static void compareInBFloat16(String expected, String found, double relative) {
        List<MatchResult> wanted = TOKEN.matcher(expected).results().toList();
        List<MatchResult> tokens = TOKEN.matcher(found).results().toList();
        assertEquals(wanted.size(), tokens.size());
        int block = 11; // the answer's line and ten of the most likely
        int common = 0;
        for (int at = 0; at < wanted.size(); at++) {
            for (MatchResult token : tokens.subList(at / block * block, at / block * block + block)) {
                if (!token.group(3).equals(wanted.get(at).group(3))) continue;
                double logit = Double.parseDouble(wanted.get(at).group(1));
                double step = Math.scalb(1.0, Math.getExponent(logit) - 7); // from one number to the next, with 8 bits
                assertEquals(logit, Double.parseDouble(token.group(1)), 2 * step, token.group());
                double probability = Double.parseDouble(wanted.get(at).group(2));
                assertEquals(
                        probability,
                        Double.parseDouble(token.group(2)),
                        Math.max(0.011, probability * Math.expm1(2 * step)),
                        token.group());
                common++;
            }
        }
        assertTrue(common >= wanted.size() * 9 / 10, common + " of " + wanted.size());
        String[] lines = TOKEN.matcher(expected).replaceAll("").split("\n");
        String[] others = TOKEN.matcher(found).replaceAll("").split("\n");
        assertEquals(lines.length, others.length);
        for (int i = 0; i < lines.length; i++) {
            if (lines[i].startsWith("bfloat16 against float32"))
                compare(lines[i], others[i], 0, DIFFERENCE_IN_BFLOAT16);
            else compare(lines[i], others[i], relative, LOSS_IN_BFLOAT16);
        }
    }

    /** Words, and what is between them, are the same; numbers with a point nearly. */
    private static void compare(String expected, String found, double relative, double absolute) {
        List<String> wanted = words(expected);
        List<String> words = words(found);
        int differ = 0;
        for (int i = 0; i < Math.min(wanted.size(), words.size()); i++) {
            String a = wanted.get(i);
            String b = words.get(i);
            if (a.equals(b)) continue;
            boolean numbers = a.matches(NUMBER) && b.matches(NUMBER);
            String where =
                    "'" + a + "' and '" + b + "' after " + String.join("", wanted.subList(Math.max(0, i - 12), i));
            assertTrue(numbers, where);
            double difference = Math.abs(Double.parseDouble(a) - Double.parseDouble(b));
            // The last digit that is printed may be rounded up on one side and down on the other.
            double lastDigit = 1.01
                    * Math.max(
                            new BigDecimal(a).ulp().doubleValue(),
                            new BigDecimal(b).ulp().doubleValue());
            double allowed = Math.max(Math.max(absolute, lastDigit), relative * Math.abs(Double.parseDouble(a)));
            assertTrue(difference <= allowed, where);
            differ++;
        }
        assertEquals(wanted.size(), words.size());
        assertTrue(differ <= wanted.size() / 2, differ + " of " + wanted.size());
    }

    private static List<String> words(String text) {
        return Arrays.asList(text.split("(?<=[^-+\\w.])|(?=[^-+\\w.])"));
    }
}
