package io.github.panascope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Every command that runs a model prints on a GPU what it prints on the CPU, word for word, the device's name aside. Numbers are the same but for rounding: more rows run together
 * there, and a product's rounding depends on its shape.
 */
@OnEachDevice
@ExtendWith(LeakCheck.class)
class EachDeviceTest {
    private static final String NUMBER = "-?\\d+\\.\\d+([eE]-?\\d+)?";
    /** What a loss in bfloat16 may differ by: differences of two are printed too. */
    private static final double LOSS_IN_BFLOAT16 = 2e-3;

    @TempDir private Path folder;
    private final PrintStream out = System.out;

    @BeforeEach
    void useTheDemo() {
        assumeFalse(TestDevice.DEVICE.isCpu(), "there is nothing to compare");
        System.setProperty("panascope.demo", Path.of("src/demo/bundle").toString());
    }

    @AfterEach
    void release() {
        System.setOut(out);
        System.clearProperty("panascope.demo");
    }

    private String printed(String device, List<String> command) {
        List<String> arguments = new ArrayList<>();
        for (String argument : command) arguments.add(argument.replace("FOLDER", folder.resolve(device).toString()));
        arguments.addAll(List.of("--device", device));
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
        try {
            Files.createDirectories(folder.resolve(device));
            assertEquals(0, Main.run(arguments.toArray(String[]::new)), printed.toString(StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        } finally {
            System.setOut(out);
        }
        return printed.toString(StandardCharsets.UTF_8).replace(folder.resolve(device).toString(), "FOLDER").replace("Device: " + device, "Device:");
    }

    @ParameterizedTest
    @CsvSource({
        "tutorial --rows 16 --dashboard-rows 8 --rows-at-once 8 --out FOLDER/out, 1e-6",
        "tutorial --rows 8 --dashboard-rows 0 --exact --out FOLDER/out, 1e-6",
        "tutorial --rows 8 --dashboard-rows 0 --dtype bfloat16 --out FOLDER/out, 5e-3",
        "check-sae, 0", "prompt, 1e-6", "prompt --exact, 1e-6", "prompt --dtype bfloat16, 1e-6",
        "eval --batch-size-prompts 2 --n-eval-reconstruction-batches 2, 1e-5",
        "eval --batch-size-prompts 2 --n-eval-reconstruction-batches 1 --dtype bfloat16, 3e-2",
        "dashboard --rows 30 --rows-at-once 16 --json FOLDER/d.json --out FOLDER/d.html, 0",
        "dashboard --rows 12 --rows-at-once 8 --exact --ablation --n-quantiles 1 --top-acts-group-size 3 --quantile-group-size 1 --json FOLDER/d.json --out FOLDER/d.html, 0",
        "dashboard --rows 12 --rows-at-once 8 --n-quantiles 2 --top-acts-group-size 3 --prompt Mary --json FOLDER/d.json --out FOLDER/d.html, 0"})
    void printsTheSame(String command, double relative) throws IOException {
        List<String> arguments = Arrays.asList(command.split(" "));
        compare(printed("cpu", arguments), printed("cuda", arguments), relative, command.contains("bfloat16") ? LOSS_IN_BFLOAT16 : 0);
        Path json = folder.resolve("cpu/d.json");
        if (Files.exists(json)) compare(Files.readString(json), Files.readString(folder.resolve("cuda/d.json")), 1e-4, 5e-6);
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
            String where = "'" + a + "' and '" + b + "' after " + String.join("", wanted.subList(Math.max(0, i - 12), i));
            assertTrue(numbers, where);
            double difference = Math.abs(Double.parseDouble(a) - Double.parseDouble(b));
            // The last digit that is printed may be rounded up on one side and down on the other.
            double lastDigit = 1.01 * Math.max(new BigDecimal(a).ulp().doubleValue(), new BigDecimal(b).ulp().doubleValue());
            double allowed = Math.max(Math.max(absolute, lastDigit), relative * Math.abs(Double.parseDouble(a)));
            assertTrue(difference <= allowed, where);
            differ++;
        }
        assertEquals(wanted.size(), words.size());
        assertTrue(wanted.size() > 3 && differ <= wanted.size() / 2, differ + " of " + wanted.size());
    }

    private static List<String> words(String text) {
        return Arrays.asList(text.split("(?<=[^-\\w.])|(?=[^-\\w.])"));
    }
}
