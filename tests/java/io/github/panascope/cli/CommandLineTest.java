package io.github.panascope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The command line as a user has it: what it prints, writes and refuses. */
@ExtendWith(LeakCheck.class)
class CommandLineTest {
    private static final Path DEMO = Path.of("src/demo/bundle");

    @TempDir
    private Path folder;

    private final PrintStream out = System.out;
    private final PrintStream err = System.err;
    private final ByteArrayOutputStream printed = new ByteArrayOutputStream();
    private final ByteArrayOutputStream complained = new ByteArrayOutputStream();

    @BeforeEach
    void capture() {
        System.setProperty("panascope.demo", DEMO.toString());
        System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(complained, true, StandardCharsets.UTF_8));
    }

    @AfterEach
    void release() {
        System.setOut(out);
        System.setErr(err);
        System.clearProperty("panascope.demo");
    }

    private String output() {
        return printed.toString(StandardCharsets.UTF_8);
    }

    private String complaint() {
        return complained.toString(StandardCharsets.UTF_8);
    }

    private JsonNode json(String name) throws IOException {
        return JsonMapper.shared().readTree(Files.readString(folder.resolve(name)));
    }

    // ------------------------------------------------------------------------------------------------- what it does

    @Test
    void theTutorialOnTheDemoEqualsThePeersAndIsMeaningful() throws IOException {
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
                this::complaint);
        JsonNode metrics = json("metrics.json");
        JsonNode expected = JsonMapper.shared().readTree(Files.readString(DEMO.resolve("expected.json")));
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
                List.of("startup", "load_sae", "load_model", "tokenize", "metrics", "prompt", "dashboards", "total"),
                List.copyOf(metrics.get("seconds").propertyNames()));
        assertEquals(
                expected.get("n_rows_total").intValue(),
                metrics.get("n_rows_total").intValue());
        assertEquals(
                expected.get("l0_mean").doubleValue(), metrics.get("l0_mean").doubleValue(), 0.02);
        for (String loss : List.of("ce_orig", "ce_reconstr", "ce_zero"))
            assertEquals(expected.get(loss).doubleValue(), metrics.get(loss).doubleValue(), 1e-4, loss);
        assertTrue(output().contains(expected.get("test_prompt").stringValue()), this::output);
        assertEquals(metrics, json("copy.json"));

        double orig = metrics.get("ce_orig").doubleValue();
        double reconstr = metrics.get("ce_reconstr").doubleValue();
        double zero = metrics.get("ce_zero").doubleValue();
        assertTrue(orig < reconstr && reconstr < zero && (zero - reconstr) / (zero - orig) >= 0.9);
        assertTrue(metrics.get("l0_mean").doubleValue() >= 8
                && metrics.get("l0_mean").doubleValue() <= 80);
        for (String top : List.of("top", "top_reconstructed"))
            assertEquals(
                    " Mary", metrics.get("prompt").get(top).get(0).get("token").stringValue());
    }

    @Test
    void thePageIsSelfContained() throws IOException {
        assertEquals(0, Main.run("tutorial", "--rows", "2", "--out", folder.toString(), "--quiet"), this::complaint);
        assertEquals("", output());
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
                this::complaint);
        JsonNode metrics = json("metrics.json");
        assertEquals(golden.number("l0_mean"), metrics.get("l0_mean").doubleValue(), 0.02);
        assertEquals(
                golden.text("neuronpedia_quick_list"),
                metrics.get("neuronpedia_quick_list").stringValue());
        assertTrue(output().contains("This SAE has non-empty model_from_pretrained_kwargs"), this::output);
        assertTrue(output().contains(golden.text("test_prompt")), this::output);
    }

    /** Where the notebook's last cell does not fit, its results still come out. */
    @Test
    void eachHookPointAndAnswerGivesResults() throws IOException {
        String mlp = changedText("sae", "cfg.json", "blocks.2.hook_resid_pre", "blocks.2.hook_mlp_out");
        String in = changedText("sae", "cfg.json", "blocks.2.hook_resid_pre", "blocks.2.mlp.hook_in");
        for (List<String> arguments : List.of(
                List.of("--sae", mlp), List.of("--sae", in), List.of("--sae", sae(), "--answer", "Mary went away"))) {
            printed.reset();
            List<String> all = new ArrayList<>(List.of(
                    "tutorial",
                    "--model",
                    model(),
                    "--dataset",
                    "tests/resources/datasets/texts.jsonl",
                    "--rows",
                    "2",
                    "--out",
                    folder.toString()));
            all.addAll(arguments);
            assertEquals(0, Main.run(all.toArray(String[]::new)), this::complaint);
            assertTrue(output().contains("Reconstructing prompt and answer"), this::output);
            assertEquals(
                    10,
                    json("metrics.json").get("prompt").get("top_reconstructed").size());
        }
        assertEquals(0, Main.run("prompt", "--answer", " "), this::complaint);
        assertTrue(output().contains("Tokenized answer: [' ']"), this::output);
    }

    @Test
    void tokenizedRowsNeedNoTokenizer() throws IOException {
        String line = "{\"tokens\":" + Collections.nCopies(130, 11) + "}\n";
        Path rows = Files.writeString(folder.resolve("rows.jsonl"), line.repeat(5));
        assertEquals(
                0,
                Main.run("tutorial", "--dataset", rows.toString(), "--rows", "3", "--out", folder.toString()),
                this::complaint);
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
                this::complaint);
        assertTrue(output().contains("bfloat16 against float32 on 4 rows: average l0 "), this::output);
        JsonNode error = json("metrics.json").get("dtype_error");
        assertEquals(4, error.get("rows").intValue());
        double measured = json("metrics.json").get("ce_orig").doubleValue();
        assertEquals(
                0,
                Main.run("tutorial", "--rows", "4", "--dashboard-rows", "0", "--out", folder.toString()),
                this::complaint);
        assertFalse(json("metrics.json").has("dtype_error"));
        assertEquals(
                measured - json("metrics.json").get("ce_orig").doubleValue(),
                error.get("ce_orig").doubleValue(),
                1e-9);
    }

    @Test
    void promptAndDoctorPrint() {
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
                this::complaint);
        assertTrue(
                output().contains("Tokenized answer: [' John']")
                        && output().contains("Under the reconstruction at blocks.2.hook_resid_pre"),
                this::output);
        assertEquals(0, Main.run("doctor"), this::complaint);
        for (String part : List.of("libtorch", "MKL", "CUDA", "threads", "glibc", "a matrix product is right"))
            assertTrue(output().contains(part), part);
        assertEquals(0, Main.run("--version"));
        assertTrue(output().matches("(?s).*panascope \\d+\\.\\d+.*"), this::output);
    }

    @Test
    void anSaeIsCheckedAgainstWhatItsAuthorsSay() throws IOException {
        assertEquals(0, Main.run("check-sae"), this::complaint);
        assertTrue(output().contains("It fits."), this::output);
        assertEquals(
                1,
                Main.run(
                        "check-sae",
                        "--model",
                        model(),
                        "--sae",
                        changedText(
                                "sae",
                                "cfg.json",
                                "\"normalize_activations\": \"none\"",
                                "\"normalize_activations\": \"layer_norm\"")));
        assertTrue(
                complaint().contains("panascope: L0: expected about 18, got 4: wrong architecture or processing?"),
                this::complaint);
    }

    /** As Python's json writes what is no number. */
    @Test
    void evalWritesWhatAuthorsSayOfTheirSae() throws IOException {
        Path sae = Files.createDirectories(folder.resolve("sae"));
        Files.copy(DEMO.resolve("sae/sae_weights.safetensors"), sae.resolve("sae_weights.safetensors"));
        Files.writeString(
                sae.resolve("cfg.json"),
                Files.readString(DEMO.resolve("sae/cfg.json")).replaceFirst("\"l0\": *[0-9.]+", "\"l0\": NaN"));
        assertEquals(
                0,
                Main.run(
                        "eval",
                        "--model",
                        DEMO.resolve("model").toString(),
                        "--sae",
                        sae.toString(),
                        "--dataset",
                        DEMO.resolve("dataset.parquet").toString(),
                        "--n-eval-reconstruction-batches",
                        "1",
                        "--n-eval-sparsity-variance-batches",
                        "1",
                        "--batch-size-prompts",
                        "2",
                        "--json",
                        folder.resolve("nan.json").toString()),
                this::complaint);
        assertTrue(Files.readString(folder.resolve("nan.json")).contains("\"l0\" : NaN"));
    }

    /** Also where reading stops before the file ends. */
    @Test
    void textsThatAreNullAreSkippedWithALine() throws IOException {
        StringBuilder lines = new StringBuilder("{\"text\":null}\n");
        for (int i = 0; i < 3000; i++) lines.append("{\"text\":\"once upon a time there was a number " + i + "\"}\n");
        Path texts = Files.writeString(folder.resolve("texts.jsonl"), lines.append("{\"text\":null}\n"));
        List<List<String>> commands = List.of(
                List.of("check-sae", "--rows", "2"),
                List.of("eval", "--batch-size-prompts", "2", "--n-eval-reconstruction-batches", "1"),
                List.of(
                        "tutorial",
                        "--rows",
                        "2",
                        "--out",
                        folder.resolve("tutorial").toString()));
        for (List<String> command : commands) {
            printed.reset();
            List<String> all = new ArrayList<>(command);
            all.addAll(List.of("--dataset", texts.toString(), "--context-size", "16"));
            Main.run(all.toArray(String[]::new));
            String how = command.getFirst().equals("eval") ? "Skipped 1 document " : "Skipped 2 documents ";
            assertTrue(output().contains(how + "whose text is null"), () -> command + output() + complaint());
        }
    }

    @Test
    void aModelThatIsNamedIsLoadedAtItsOwnRevisionWithALine() throws IOException {
        String sae = changedText(
                "sae",
                "cfg.json",
                "{\"center_writing_weights\": true}",
                "{\"center_writing_weights\": true, \"checkpoint_value\": 1000, \"revision\": null}");
        Main.run("check-sae", "--rows", "1", "--model", model(), "--sae", sae);
        assertTrue(
                output().contains("This SAE's authors load its model with {checkpoint_value=1000}; --model " + model()
                        + " is loaded as it is named."),
                () -> output() + complaint());
    }

    @Test
    void everyMetricIsPrintedAndWrittenAsSaeLensDoes() throws IOException {
        Path csv = folder.resolve("evals.csv");
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
                this::complaint);
        JsonNode result = json("evals.json");
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
        assertTrue(result.get("metrics")
                        .get("model_performance_preservation")
                        .get("ce_loss_score")
                        .doubleValue()
                > 0.9);
        assertEquals(1024, result.get("feature_metrics").get("feature_density").size());
        assertEquals(
                512.0,
                result.get("metrics")
                        .get("token_stats")
                        .get("total_tokens_eval_reconstruction")
                        .doubleValue());
        List<String> lines = Files.readAllLines(csv);
        assertEquals(2, lines.size());
        assertEquals(lines.get(0).split(",").length, lines.get(1).split(",").length);
        assertTrue(
                lines.get(0).contains(",metrics.sparsity.l0,") && output().contains("explained_variance_legacy"),
                this::output);
        assertEquals(2, Main.run("eval", "--context-size", "1"));
        assertEquals(
                2, Main.run("eval", "--n-eval-reconstruction-batches", "1", "--n-eval-sparsity-variance-batches", "2"));
    }

    @Test
    void theRegistryIsListedAndSearched() throws IOException {
        assertEquals(0, Main.run("saes"), this::complaint);
        assertTrue(output().contains("170 releases, 13857 SAEs."), this::output);
        printed.reset();
        assertEquals(0, Main.run("saes", "--model", "gpt2-small", "res-jb", "blocks.8"), this::complaint);
        assertTrue(
                output().contains("gpt2-small-res-jb/blocks.8.hook_resid_pre")
                        && output().contains("gpt2-small/8-res-jb"),
                this::output);
        printed.reset();
        Path own = Files.writeString(
                folder.resolve("own.yaml"),
                "ours:\n"
                        + "  repo_id: me/mine\n"
                        + "  model: gpt2-small\n"
                        + "  saes:\n"
                        + "  - id: first\n"
                        + "    path: a/b\n"
                        + "    l0: 12.5\n");
        assertEquals(0, Main.run("saes", "--registry", own.toString(), "--json", "ours"), this::complaint);
        JsonNode line = JsonMapper.shared().readTree(output()).get(0);
        assertEquals("ours/first", line.get("sae").stringValue());
        assertEquals(12.5, line.get("l0").doubleValue());
        assertTrue(line.get("supported").booleanValue());
        assertEquals(2, Main.run("saes", "--model", "gpt2-smal"));
        assertTrue(complaint().contains("Did you mean 'gpt2-small'?"), this::complaint);
        assertEquals(2, Main.run("fetch"));
        assertEquals(2, Main.run("doctor", "--bench", "gpt2-nano"));
        assertTrue(complaint().contains("--bench should be gpt2-small"), this::complaint);
    }

    // ------------------------------------------------------------------------------------------------- what it refuses

    /** Exit code 2, one sentence, no stack trace, nothing written. */
    private void assertRefused(String part, String... arguments) throws IOException {
        List<String> all = new ArrayList<>(
                List.of("tutorial", "--out", folder.resolve("out").toString()));
        all.addAll(Arrays.asList(arguments));
        complained.reset();
        assertEquals(
                2,
                Main.run(all.toArray(String[]::new)),
                () -> String.join(" ", arguments) + " was not refused: " + complaint());
        assertTrue(complaint().startsWith("panascope: ") && complaint().contains(part), this::complaint);
        assertEquals(1, complaint().lines().count(), this::complaint);
        assertFalse(Files.exists(folder.resolve("out")), "something was written");
    }

    /** A copy of a demo folder in which one file is another. */
    private String changed(String part, String file, byte[] content) throws IOException {
        Path copy = Files.createTempDirectory(folder, part);
        try (var files = Files.list(DEMO.resolve(part))) {
            for (Path original : files.toList())
                Files.copy(original, copy.resolve(original.getFileName()), StandardCopyOption.REPLACE_EXISTING);
        }
        if (content == null) Files.delete(copy.resolve(file));
        else Files.write(copy.resolve(file), content);
        return copy.toString();
    }

    private String changedText(String part, String file, String from, String to) throws IOException {
        String text = Files.readString(DEMO.resolve(part).resolve(file));
        assertTrue(text.contains(from), from);
        return changed(part, file, text.replace(from, to).getBytes(StandardCharsets.UTF_8));
    }

    private static String model() {
        return DEMO.resolve("model").toString();
    }

    private static String sae() {
        return DEMO.resolve("sae").toString();
    }

    @Test
    void badModelsAreRefused() throws IOException {
        byte[] weights = Files.readAllBytes(DEMO.resolve("model/model.safetensors"));
        assertRefused(
                "has none of model.safetensors",
                "--sae",
                sae(),
                "--model",
                changed("model", "model.safetensors", null));
        assertRefused(
                "is truncated",
                "--sae",
                sae(),
                "--model",
                changed("model", "model.safetensors", Arrays.copyOf(weights, weights.length - 1000)));
        assertRefused(
                "'n_layer' should be a positive whole number",
                "--sae",
                sae(),
                "--model",
                changedText("model", "config.json", "\"n_layer\": 4", "\"n_layer\": \"4\""));
        assertRefused(
                "has no tensor 'transformer.h.4.ln_1.weight'",
                "--sae",
                sae(),
                "--model",
                changedText("model", "config.json", "\"n_layer\": 4", "\"n_layer\": 5"));
        assertRefused(
                "holds tensors that a GPT-2 of 3 layers does not have",
                "--sae",
                sae(),
                "--model",
                changedText("model", "config.json", "\"n_layer\": 4", "\"n_layer\": 3"));
        assertRefused(
                "has shape",
                "--sae",
                sae(),
                "--model",
                changedText("model", "config.json", "\"n_embd\": 96", "\"n_embd\": 48"));
        assertRefused(
                "'activation_function' should be 'gelu_new', not \"relu\"",
                "--sae",
                sae(),
                "--model",
                changedText("model", "config.json", "gelu_new", "relu"));
        assertRefused(
                "'model_type' should be 'gpt2'",
                "--sae",
                sae(),
                "--model",
                changedText("model", "config.json", "\"model_type\": \"gpt2\"", "\"model_type\": \"llama\""));
        assertRefused(
                "Did you mean 'n_layer'?",
                "--sae",
                sae(),
                "--model",
                changedText("model", "config.json", "\"n_layer\": 4", "\"n_layers\": 4"));
        assertRefused(
                "model 'gpt2-smal' is not known, and no file or folder of that name exists. Did you mean 'gpt2-small'?",
                "--sae",
                sae(),
                "--model",
                "gpt2-smal");
    }

    @Test
    void badSaesAreRefused() throws IOException {
        assertRefused(
                "Did you mean 'architecture'?",
                "--model",
                model(),
                "--sae",
                changedText("sae", "cfg.json", "\"architecture\"", "\"architekture\""));
        assertRefused(
                "holds tensors that an SAE of the architecture 'standard' does not have: sparsity",
                "--model",
                model(),
                "--sae",
                changed(
                        "sae",
                        "sae_weights.safetensors",
                        Files.readAllBytes(DEMO.resolve("sae/sparsity.safetensors"))));
        assertRefused(
                "was expected",
                "--model",
                model(),
                "--sae",
                changedText("sae", "cfg.json", "\"d_in\": 96", "\"d_in\": 95"));
        assertRefused(
                "has only 4 layers",
                "--model",
                model(),
                "--sae",
                changedText("sae", "cfg.json", "blocks.2.hook_resid_pre", "blocks.7.hook_resid_pre"));
        assertRefused(
                "is no hook point",
                "--model",
                model(),
                "--sae",
                changedText("sae", "cfg.json", "blocks.2.hook_resid_pre", "blocks.2.hook_resid_prr"));
        assertRefused(
                "width 384 at blocks.2.mlp.hook_post",
                "--model",
                model(),
                "--sae",
                changedText("sae", "cfg.json", "blocks.2.hook_resid_pre", "blocks.2.mlp.hook_post"));
        assertRefused(
                "the SAE's context_size of 300 should lie between 2 and the model's n_ctx of 256",
                "--model",
                model(),
                "--sae",
                changedText("sae", "cfg.json", "\"context_size\": 128", "\"context_size\": 300"));
        assertRefused(
                "Did you mean 'gpt2-small-res-jb'?",
                "--model",
                model(),
                "--sae",
                "gpt2-small-res-jbb/blocks.8.hook_resid_pre");
        assertRefused(
                "Did you mean 'blocks.8.hook_resid_pre'?",
                "--model",
                model(),
                "--sae",
                "gpt2-small-res-jb/blocks.8.hook_resid_prr");
        assertRefused("--model is given without --sae", "--model", model());
        assertRefused("cfg.json does not exist", "--model", model(), "--sae", folder.toString());
    }

    @Test
    void badOptionsAndDatasetsAreRefused() throws IOException {
        Path empty = Files.writeString(folder.resolve("empty.jsonl"), "");
        assertRefused("is empty", "--dataset", empty.toString());
        assertRefused(
                "is empty",
                "--dataset",
                Files.writeString(folder.resolve("blank.txt"), " \n ").toString());
        assertRefused(
                "does not exist", "--dataset", folder.resolve("absent.parquet").toString());
        assertRefused("--rows should be at least 1", "--rows", "0");
        assertRefused("Invalid value for option '--rows'", "--rows", "many");
        assertRefused("Unknown option: '--row=3'", "--row=3");
        assertRefused("--tokenization should be", "--tokenization", "words");
        assertRefused("--device should be auto, cpu, cuda (or cuda:1) or mps", "--device", "tpu");
        assertRefused("--device mps: device mps cannot be used", "--device", "mps");
        assertRefused("--dtype should be float32 or bfloat16", "--dtype", "float16");
        assertRefused("--features: 1024 is outside the SAE's features 0 to 1023", "--features", "0,1024");
        assertRefused("more than the model's context of 256", "--prompt", "word ".repeat(300));
        assertRefused("--prompt should not be empty", "--prompt", "");
        assertRefused("--answer should not be empty", "--answer", "");
        assertRefused("has no files of the split 'test'", "--dataset", folder.toString(), "--split", "test");
        assertRefused(
                "no field 'body'",
                "--dataset",
                Files.writeString(folder.resolve("texts.jsonl"), "{\"text\":\"x\"}")
                        .toString(),
                "--column",
                "body");
        assertRefused("is too short for this SAE", "--dataset", "tests/resources/datasets/tokens.parquet");
        assertEquals(2, Main.run("tutorial", "--out", empty.toString()));
        assertTrue(complaint().contains("is a file, not a folder"), this::complaint);
    }

    @Test
    void debugShowsTheStackAndTheSkippedKeys() {
        assertEquals(
                2,
                Main.run(
                        "tutorial",
                        "--debug",
                        "--prompt",
                        "",
                        "--out",
                        folder.resolve("out").toString()));
        assertTrue(complaint().contains("at io.github.panascope.cli.PromptOptions"), this::complaint);
        assertTrue(complaint().contains("skipped in the SAE cfg.json: "), this::complaint);
    }
}
