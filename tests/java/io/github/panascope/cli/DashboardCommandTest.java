package io.github.panascope.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.LeakCheck;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.Safetensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** {@code panascope dashboard} and {@code merge} as a user has them, on the demo. */
@ExtendWith(LeakCheck.class)
class DashboardCommandTest {
    @TempDir
    private Path folder;

    @RegisterExtension
    private final CapturedOutput console = new CapturedOutput();

    private void dashboard(String... arguments) {
        List<String> all = new ArrayList<>(List.of("dashboard"));
        all.addAll(Arrays.asList(arguments));
        console.reset();
        assertEquals(0, Main.run(all.toArray(String[]::new)), console::complaint);
    }

    private void assertRefused(String part, String... arguments) {
        List<String> all = new ArrayList<>(List.of(
                "dashboard", "--out", folder.resolve("refused/page.html").toString()));
        all.addAll(Arrays.asList(arguments));
        console.reset();
        assertEquals(2, Main.run(all.toArray(String[]::new)), () -> String.join(" ", arguments) + " was not refused");
        String complaint = console.complaint();
        assertTrue(complaint.startsWith("panascope: ") && complaint.contains(part), complaint);
        assertEquals(1, complaint.lines().count(), complaint);
        assertFalse(Files.exists(folder.resolve("refused")), "something was written");
    }

    private String at(String name) {
        return folder.resolve(name).toString();
    }

    @Test
    void everyOutputIsWrittenAndRowsAreReadOnce() throws IOException {
        String[] all = {
            "--features",
            "0-4,9",
            "--rows",
            "24",
            "--out",
            at("page.html"),
            "--json",
            at("page.json"),
            "--neuronpedia",
            at("np"),
            "--table",
            at("features.parquet"),
            "--ablation",
            "--prompt",
            "When John and Mary"
        };
        dashboard(all);
        assertTrue(
                console.output().contains("(6 features, 24 rows)")
                        && console.output().contains("features are active"),
                console::output);
        for (String file : List.of("page.html", "page.json", "np/batch-0.json", "features.parquet"))
            assertTrue(Files.size(folder.resolve(file)) > 1000, file);
        JsonNode batch = JsonMapper.shared().readTree(Files.readString(folder.resolve("np/batch-0.json")));
        assertEquals(6, batch.get("features").size());
        byte[] first = Files.readAllBytes(folder.resolve("page.html"));
        dashboard(all);
        assertTrue(console.output().contains("24 of 24 rows are there already"), console::output);
        assertArrayEquals(first, Files.readAllBytes(folder.resolve("page.html")));
        all[3] = "32"; // more rows, for the same features
        dashboard(all);
        assertTrue(console.output().contains("24 of 32 rows are there already"), console::output);
    }

    @Test
    void rangesOfRowsAreMerged() throws IOException {
        dashboard("--features", "0-3", "--rows", "20", "--out", at("whole.html"), "--state", at("whole"));
        dashboard("--features", "0-3", "--rows", "0-7", "--out", at("part.html"), "--state", at("first"));
        dashboard("--features", "0-3", "--rows", "8-19", "--out", at("part.html"), "--state", at("second"));
        assertTrue(
                console.output().contains("Collected rows 8 to 19 in")
                        && console.output().contains("panascope merge"),
                console::output);
        assertEquals(0, Main.run("merge", at("merged"), at("first"), at("second")), console::complaint);
        dashboard("--features", "0-3", "--rows", "20", "--out", at("merged.html"), "--state", at("merged"));
        assertTrue(console.output().contains("20 of 20 rows are there already"), console::output);
        assertArrayEquals(
                Files.readAllBytes(folder.resolve("whole.html")), Files.readAllBytes(folder.resolve("merged.html")));
    }

    /** Whatever of an SAE changes, what was collected with it before is not taken for its own. */
    @Test
    void anotherSaeUnderTheSameNameIsNoticed() throws IOException {
        Path sae = Files.createDirectories(folder.resolve("sae"));
        for (String file : List.of("cfg.json", "sae_weights.safetensors"))
            Files.copy(DemoFixture.FOLDER.resolve("sae").resolve(file), sae.resolve(file));
        String[] arguments = {
            "--model",
            DemoFixture.model(),
            "--sae",
            sae.toString(),
            "--dataset",
            DemoFixture.dataset(),
            "--rows",
            "4",
            "--features",
            "0-2",
            "--out",
            at("page.html")
        };
        dashboard(arguments);
        try (TensorScope scope = TensorScope.open()) {
            Map<String, Tensor> weights = new LinkedHashMap<>();
            Safetensors file = Safetensors.open(sae.resolve("sae_weights.safetensors"), scope);
            for (String name : file.names())
                weights.put(
                        name,
                        name.equals("b_enc")
                                ? file.tensor(name).add(-100)
                                : file.tensor(name).copy());
            Safetensors.write(sae.resolve("sae_weights.safetensors"), weights);
        }
        dashboard(arguments);
        assertFalse(console.output().contains("are there already"), console::output);
    }

    /**
     * Equal weights under another config.json are another model, for a state that is resumed and for parts that are
     * merged.
     */
    @Test
    void anotherConfigurationIsNoticed() throws IOException {
        Path model = Files.createDirectories(folder.resolve("model"));
        for (String file : List.of("config.json", "model.safetensors"))
            Files.copy(DemoFixture.FOLDER.resolve("model").resolve(file), model.resolve(file));
        String config = Files.readString(model.resolve("config.json"));
        String[] first = {
            "--model",
            model.toString(),
            "--sae",
            DemoFixture.sae(),
            "--dataset",
            DemoFixture.dataset(),
            "--rows",
            "4",
            "--features",
            "0-2",
            "--state",
            at("state"),
            "--out",
            at("page.html")
        };
        dashboard(first);
        String[] second = first.clone();
        second[7] = "4-7";
        second[11] = at("second");
        Map<String, String> changes =
                Map.of("layer_norm_epsilon", "0.002", "scale_attn_by_inverse_layer_idx", "true", "n_head", "2");
        for (var change : changes.entrySet()) {
            ObjectNode other = (ObjectNode) JsonMapper.shared().readTree(config);
            other.set(change.getKey(), JsonMapper.shared().readTree(change.getValue()));
            Files.writeString(model.resolve("config.json"), other.toString());
            assertRefused("holds features of something else: model.", Arrays.copyOf(first, 12));
            dashboard(second);
            console.reset();
            assertEquals(2, Main.run("merge", at("merged"), at("state"), second[11]), change.getKey());
            assertTrue(console.complaint().contains("cannot be merged: model."), console::complaint);
            second[11] = at("second-" + change.getKey());
        }
        Files.writeString(model.resolve("config.json"), config);
        dashboard(first);
        assertTrue(console.output().contains("4 of 4 rows are there already"), console::output);
    }

    /** Those that were not asked for are on the page too. */
    @Test
    void rowsOfTextThatIsNoLongerThereAreRefused() throws IOException {
        Path text = folder.resolve("text.txt");
        String[] lines = IntStream.range(0, 400)
                .mapToObj(i -> "The man number " + i + " went to town " + i * 7 + " and bought " + i * 13 + " things.")
                .toArray(String[]::new);
        Files.writeString(text, String.join("\n", lines));
        String[] arguments = {
            "--dataset",
            text.toString(),
            "--rows",
            "24",
            "--features",
            "0-2",
            "--context-size",
            "32",
            "--state",
            at("state"),
            "--out",
            at("page.html")
        };
        dashboard(arguments);
        assertTrue(console.output().contains("24 rows)"), console::output);
        byte[] page = Files.readAllBytes(folder.resolve("page.html"));
        arguments[3] = "8";
        dashboard(arguments);
        assertArrayEquals(page, Files.readAllBytes(folder.resolve("page.html")), "it is of all rows");
        String[] asked = Arrays.copyOf(arguments, 10);
        Files.writeString(text, String.join("\n", Arrays.copyOf(lines, 40)));
        assertRefused("holds other text: it has rows up to 23, and this text makes", asked);
        lines[30] = "Something else is here.";
        Files.writeString(text, String.join("\n", lines));
        assertRefused("holds other text: row ", asked);
        assertArrayEquals(page, Files.readAllBytes(folder.resolve("page.html")));
    }

    @Test
    void aPromptAtWhichNothingIsActiveShowsTheFeaturesAskedFor() throws IOException {
        Path sae = Files.createDirectories(folder.resolve("sae"));
        Files.copy(DemoFixture.FOLDER.resolve("sae/cfg.json"), sae.resolve("cfg.json"));
        try (TensorScope scope = TensorScope.open()) {
            Map<String, Tensor> weights = new LinkedHashMap<>();
            Safetensors file = Safetensors.open(DemoFixture.FOLDER.resolve("sae/sae_weights.safetensors"), scope);
            for (String name : file.names())
                weights.put(
                        name,
                        name.equals("b_enc")
                                ? file.tensor(name).add(-1000)
                                : file.tensor(name).copy());
            Safetensors.write(sae.resolve("sae_weights.safetensors"), weights);
        }
        String[] arguments = {
            "--model",
            DemoFixture.model(),
            "--sae",
            sae.toString(),
            "--dataset",
            DemoFixture.dataset(),
            "--rows",
            "4",
            "--prompt",
            "When John",
            "--features",
            "0-2",
            "--out",
            at("page.html")
        };
        dashboard(arguments);
        assertTrue(
                console.output().contains("No feature of the SAE is active at the prompt.")
                        && console.output().contains("(3 features, 4 rows)"),
                console::output);
        assertTrue(Files.size(folder.resolve("page.html")) > 1000);
        assertRefused(
                "no feature of the SAE is active at --prompt; --features names some", Arrays.copyOf(arguments, 10));
    }

    @Test
    void batchesOfAnEarlierRunAreNotLeft() throws IOException {
        dashboard("--features", "0-150", "--rows", "4", "--neuronpedia", at("np"), "--out", at("page.html"));
        assertTrue(Files.exists(folder.resolve("np/batch-1.json")));
        dashboard("--features", "0-1", "--rows", "4", "--neuronpedia", at("np"), "--out", at("page.html"));
        assertTrue(Files.exists(folder.resolve("np/batch-0.json")) && !Files.exists(folder.resolve("np/batch-1.json")));
    }

    @Test
    void aPromptChoosesTheFeatures() throws IOException {
        dashboard(
                "--prompt",
                "When John and Mary went to the shops",
                "--num-top-features",
                "3",
                "--rows",
                "8",
                "--out",
                at("page.html"));
        String[] words = console.output()
                .replaceAll("(?s).*tokens, (\\d+) features are active.*\\((\\d+) features.*", "$1 $2")
                .split(" ");
        assertEquals(words[0], words[1], "the dashboards are of the features that are active");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "--rows should be a number, or a range such as 1000-1999, not '1000-' | --rows | 1000-",
                "--rows 5-4 holds no row | --rows | 5-4",
                "--rows 0 holds no row | --rows | 0",
                "begins after them | --rows | 900000-900001",
                "--shard-rows should be at least 1 | --shard-rows | 0",
                "--threads should be at least 1 | --threads | 0",
                "--features: 1024 is outside the SAE's features 0 to 1023 | --features | 1024",
                "--features: the range 9-3 goes down | --features | 9-3",
                "--features should be numbers and ranges such as 0-9,14057, or all; 'x' is neither | --features | x",
                "--buffer should be 0 or more, or -1 for whole rows, not -2 | --buffer | -2",
                "--buffer 2147483647 leaves no position | --buffer | 2147483647",
                "should be at most 10000 | --n-quantiles | 2147483647",
                "--buffer 64 leaves no position in rows of 128 tokens | --buffer | 64",
                "should not be negative | --n-quantiles | -1",
                "--ignore-tokens: 50257 is outside 0 to 50256 | --ignore-tokens | 50257",
                "--ignore-positions: 128 is outside 0 to 127 | --ignore-positions | 128",
                "should be positive, not -2.0 | --ignore-high-activation-norm-multiple | -2",
                "--num-top-features should be at least 1 | --num-top-features | 0",
                "Invalid value for option '--correlated-features' | --correlated-features | none"
            })
    void aBadOptionIsRefused(String message, String option, String value) throws IOException {
        assertRefused(message, option, value);
    }

    @Test
    void anEmptyPromptIsRefused() throws IOException {
        assertRefused("--prompt should not be empty", "--prompt", "");
    }

    @Test
    void aPromptThatIsTooLongIsRefused() throws IOException {
        assertRefused(
                "--prompt has 301 tokens, more than the model's context of 256",
                "--prompt",
                "word" + " word".repeat(299));
    }

    @Test
    void oneFileForTwoOutputsIsRefused() throws IOException {
        assertRefused("is named for two outputs", "--json", at("same"), "--table", at("d/../same"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"--state", "--neuronpedia"})
    void aFileInPlaceOfAFolderIsRefused(String option) throws IOException {
        Path file = Files.writeString(folder.resolve("file"), "x");
        assertRefused("is a file, not a folder", option, file.toString());
    }

    @ParameterizedTest
    @ValueSource(strings = {"--json", "--table"})
    void aFolderInPlaceOfAFileIsRefused(String option) throws IOException {
        Path there = Files.createDirectories(folder.resolve("d"));
        assertRefused("is a folder", option, there.toString());
    }
}
