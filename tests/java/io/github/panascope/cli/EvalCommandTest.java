package io.github.panascope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.LeakCheck;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** {@code panascope eval} as a user has it. */
@ExtendWith(LeakCheck.class)
class EvalCommandTest {
    @TempDir
    private Path folder;

    @RegisterExtension
    private final CapturedOutput console = new CapturedOutput();

    private JsonNode json(String name) throws IOException {
        return JsonMapper.shared().readTree(Files.readString(folder.resolve(name)));
    }

    /** As Python's json writes what is no number. */
    @Test
    void evalWritesWhatAuthorsSayOfTheirSae() throws IOException {
        Path sae = Files.createDirectories(folder.resolve("sae"));
        Files.copy(DemoFixture.FOLDER.resolve("sae/sae_weights.safetensors"), sae.resolve("sae_weights.safetensors"));
        Files.writeString(
                sae.resolve("cfg.json"),
                Files.readString(DemoFixture.FOLDER.resolve("sae/cfg.json"))
                        .replaceFirst("\"l0\": *[0-9.]+", "\"l0\": NaN"));
        assertEquals(
                0,
                Main.run(
                        "eval",
                        "--model",
                        DemoFixture.FOLDER.resolve("model").toString(),
                        "--sae",
                        sae.toString(),
                        "--dataset",
                        DemoFixture.FOLDER.resolve("dataset.parquet").toString(),
                        "--n-eval-reconstruction-batches",
                        "1",
                        "--n-eval-sparsity-variance-batches",
                        "1",
                        "--batch-size-prompts",
                        "2",
                        "--json",
                        folder.resolve("nan.json").toString()),
                console::complaint);
        assertTrue(Files.readString(folder.resolve("nan.json")).contains("\"l0\" : NaN"));
    }

    /** One run, of which several things are looked at. */
    @Nested
    class OnTheDemo {
        private static JsonNode result;
        private static List<String> lines;
        private static String output;

        @BeforeAll
        static void run(@TempDir Path folder) throws IOException {
            Path csv = folder.resolve("evals.csv");
            try (CapturedOutput console = CapturedOutput.start()) {
                assertEquals(
                        0,
                        Main.run(
                                "eval",
                                "--n-eval-reconstruction-batches",
                                "1",
                                "--batch-size-prompts",
                                "4",
                                "--json",
                                folder.resolve("evals.json").toString(),
                                "--csv",
                                csv.toString()),
                        console::complaint);
                output = console.output();
            }
            result = JsonMapper.shared().readTree(Files.readString(folder.resolve("evals.json")));
            lines = Files.readAllLines(csv);
        }

        @Test
        void theFileHasTheFieldsOfSaeLens() {
            assertEquals(
                    List.of("unique_id", "sae_set", "sae_id", "eval_cfg", "metrics", "feature_metrics", "sae_cfg"),
                    List.copyOf(result.propertyNames()));
            assertEquals(
                    List.of(
                            "model_behavior_preservation",
                            "model_performance_preservation",
                            "reconstruction_quality",
                            "shrinkage",
                            "sparsity",
                            "token_stats"),
                    List.copyOf(result.get("metrics").propertyNames()));
        }

        @Test
        void theFiguresAreMeaningful() {
            assertTrue(result.get("metrics")
                            .get("model_performance_preservation")
                            .get("ce_loss_score")
                            .doubleValue()
                    > 0.9);
            assertEquals(
                    1024, result.get("feature_metrics").get("feature_density").size());
            assertEquals(
                    512.0,
                    result.get("metrics")
                            .get("token_stats")
                            .get("total_tokens_eval_reconstruction")
                            .doubleValue());
        }

        @Test
        void theTableHasOneRowUnderItsNames() {
            assertEquals(2, lines.size());
            assertEquals(lines.get(0).split(",").length, lines.get(1).split(",").length);
            assertTrue(lines.get(0).contains(",metrics.sparsity.l0,"), lines.get(0));
        }

        @Test
        void metricsArePrinted() {
            assertTrue(output.contains("explained_variance_legacy"), output);
        }
    }

    @Test
    void aContextOfOneTokenIsRefused() {
        assertEquals(2, Main.run("eval", "--context-size", "1"));
    }

    @Test
    void moreBatchesForSparsityThanForReconstructionAreRefused() {
        assertEquals(
                2, Main.run("eval", "--n-eval-reconstruction-batches", "1", "--n-eval-sparsity-variance-batches", "2"));
    }
}
