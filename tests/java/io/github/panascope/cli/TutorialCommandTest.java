package io.github.panascope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** {@code panascope tutorial} as a user has it: what it prints and writes. */
@ExtendWith(LeakCheck.class)
class TutorialCommandTest {
    @TempDir
    private Path folder;

    @RegisterExtension
    private final CapturedOutput console = new CapturedOutput();

    private JsonNode json(String name) throws IOException {
        return JsonMapper.shared().readTree(Files.readString(folder.resolve(name)));
    }

    /** One run on the demo, of which several things are looked at. */
    @Nested
    class OnTheDemo {
        private static JsonNode metrics, copy, expected;
        private static String output;

        @BeforeAll
        static void run(@TempDir Path folder) throws IOException {
            try (CapturedOutput console = CapturedOutput.start()) {
                assertEquals(
                        0,
                        Main.run(
                                "tutorial",
                                "--tokenization",
                                "whitespace-chunks",
                                "--out",
                                folder.toString(),
                                "--json",
                                folder.resolve("copy.json").toString()),
                        console::complaint);
                output = console.output();
            }
            metrics = JsonMapper.shared().readTree(Files.readString(folder.resolve("metrics.json")));
            copy = JsonMapper.shared().readTree(Files.readString(folder.resolve("copy.json")));
            expected = JsonMapper.shared().readTree(Files.readString(DemoFixture.FOLDER.resolve("expected.json")));
        }

        @Test
        void theFileOfMetricsHasItsFieldsInOrder() {
            assertEquals(
                    List.of(
                            "model",
                            "sae",
                            "hook",
                            "device",
                            "dtype",
                            "rows",
                            "context_size",
                            "tokenization",
                            "n_rows_total",
                            "l0_mean",
                            "l0_histogram",
                            "ce_orig",
                            "ce_reconstr",
                            "ce_zero",
                            "prompt",
                            "neuronpedia_quick_list",
                            "dashboard_rows",
                            "features",
                            "versions",
                            "seconds"),
                    List.copyOf(metrics.propertyNames()));
            assertEquals(
                    List.of(
                            "text",
                            "answer",
                            "tokens",
                            "rank",
                            "ce_orig",
                            "ce_reconstr",
                            "ce_zero",
                            "top",
                            "top_reconstructed"),
                    List.copyOf(metrics.get("prompt").propertyNames()));
            assertEquals(
                    List.of(
                            "startup",
                            "load_sae",
                            "load_model",
                            "tokenize",
                            "metrics",
                            "prompt",
                            "dashboards",
                            "total"),
                    List.copyOf(metrics.get("seconds").propertyNames()));
        }

        @Test
        void theFiguresEqualThePeers() {
            assertEquals(
                    expected.get("n_rows_total").intValue(),
                    metrics.get("n_rows_total").intValue());
            assertEquals(
                    expected.get("l0_mean").doubleValue(),
                    metrics.get("l0_mean").doubleValue(),
                    0.02);
            for (String loss : List.of("ce_orig", "ce_reconstr", "ce_zero"))
                assertEquals(expected.get(loss).doubleValue(), metrics.get(loss).doubleValue(), 1e-4, loss);
            assertTrue(output.contains(expected.get("test_prompt").stringValue()), output);
        }

        @Test
        void metricsAreWrittenToASecondFileToo() {
            assertEquals(metrics, copy);
        }

        @Test
        void theReconstructionKeepsTheLossAndFewFeaturesAreActive() {
            double orig = metrics.get("ce_orig").doubleValue();
            double reconstr = metrics.get("ce_reconstr").doubleValue();
            double zero = metrics.get("ce_zero").doubleValue();
            assertTrue(orig < reconstr && reconstr < zero && (zero - reconstr) / (zero - orig) >= 0.9);
            assertTrue(metrics.get("l0_mean").doubleValue() >= 8
                    && metrics.get("l0_mean").doubleValue() <= 80);
        }

        @Test
        void theAnswerIsOnTopWithAndWithoutTheReconstruction() {
            for (String top : List.of("top", "top_reconstructed"))
                assertEquals(
                        " Mary",
                        metrics.get("prompt").get(top).get(0).get("token").stringValue());
        }
    }

    @Test
    void thePageIsSelfContained() throws IOException {
        assertEquals(0, Main.run("tutorial", "--rows", "2", "--out", folder.toString(), "--quiet"), console::complaint);
        assertEquals("", console.output());
        String page = Files.readString(folder.resolve("l0_histogram.html"));
        assertTrue(page.contains("Number of SAE features active per token (L0 count)")
                && page.contains("Token positions in sampled batch"));
        assertTrue(page.contains("default-src 'none'") && page.contains("uPlot"));
        assertFalse(page.matches("(?s).*<(script|link|img)[^>]*(src|href)=.*"), "something is fetched");
        assertFalse(page.contains("$COUNTS") || page.contains("$MEAN"));
        assertEquals(
                List.of("demo_feature_dashboards.html", "features", "index.html", "l0_histogram.html", "metrics.json"),
                files());
    }

    private List<String> files() throws IOException {
        try (var list = Files.list(folder)) {
            return list.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }

    @Test
    void aNamedModelAndSaeComeFromTheHubCache() throws IOException {
        Golden golden = Golden.standardA();
        assertEquals(
                0,
                Main.run(
                        "tutorial",
                        "--model",
                        golden.model().toString(),
                        "--sae",
                        golden.folder().resolve("sae").toString(),
                        "--dataset",
                        golden.folder().resolve("dataset.parquet").toString(),
                        "--tokenization",
                        "whitespace-chunks",
                        "--features",
                        "0,1,2,3,4,5,6,7,8,9,57",
                        "--out",
                        folder.toString()),
                console::complaint);
        JsonNode metrics = json("metrics.json");
        assertEquals(golden.number("l0_mean"), metrics.get("l0_mean").doubleValue(), 0.02);
        assertEquals(
                golden.text("neuronpedia_quick_list"),
                metrics.get("neuronpedia_quick_list").stringValue());
        assertTrue(console.output().contains("This SAE has non-empty model_from_pretrained_kwargs"), console::output);
        assertTrue(console.output().contains(golden.text("test_prompt")), console::output);
    }

    /** Where the notebook's last cell does not fit, its results still come out. */
    @ParameterizedTest
    @CsvSource({"blocks.2.hook_mlp_out,", "blocks.2.mlp.hook_in,", "blocks.2.hook_resid_pre,Mary went away"})
    void eachHookPointAndAnswerGivesResults(String hook, String answer) throws IOException {
        List<String> all = new ArrayList<>(List.of(
                "tutorial",
                "--model",
                DemoFixture.model(),
                "--sae",
                DemoFixture.changedText(folder, "sae", "cfg.json", "blocks.2.hook_resid_pre", hook),
                "--dataset",
                "tests/resources/datasets/texts.jsonl",
                "--rows",
                "2",
                "--out",
                folder.toString()));
        if (answer != null) all.addAll(List.of("--answer", answer));
        assertEquals(0, Main.run(all.toArray(String[]::new)), console::complaint);
        assertTrue(console.output().contains("Reconstructing prompt and answer"), console::output);
        assertEquals(
                10, json("metrics.json").get("prompt").get("top_reconstructed").size());
    }

    @Test
    void tokenizedRowsNeedNoTokenizer() throws IOException {
        String line = "{\"tokens\":" + Collections.nCopies(130, 11) + "}\n";
        Path rows = Files.writeString(folder.resolve("rows.jsonl"), line.repeat(5));
        assertEquals(
                0,
                Main.run("tutorial", "--dataset", rows.toString(), "--rows", "3", "--out", folder.toString()),
                console::complaint);
        JsonNode metrics = json("metrics.json");
        assertEquals("pre-tokenized", metrics.get("tokenization").stringValue());
        assertEquals(
                List.of(3, 5),
                List.of(
                        metrics.get("rows").intValue(),
                        metrics.get("n_rows_total").intValue()));
    }

    @Test
    void bfloat16SaysWhatItChanges() throws IOException {
        assertEquals(
                0,
                Main.run(
                        "tutorial",
                        "--rows",
                        "4",
                        "--dashboard-rows",
                        "0",
                        "--dtype",
                        "bfloat16",
                        "--out",
                        folder.toString()),
                console::complaint);
        assertTrue(console.output().contains("bfloat16 against float32 on 4 rows: average l0 "), console::output);
        JsonNode error = json("metrics.json").get("dtype_error");
        assertEquals(4, error.get("rows").intValue());
        double measured = json("metrics.json").get("ce_orig").doubleValue();
        assertEquals(
                0,
                Main.run("tutorial", "--rows", "4", "--dashboard-rows", "0", "--out", folder.toString()),
                console::complaint);
        assertFalse(json("metrics.json").has("dtype_error"));
        assertEquals(
                measured - json("metrics.json").get("ce_orig").doubleValue(),
                error.get("ce_orig").doubleValue(),
                1e-9);
    }
}
