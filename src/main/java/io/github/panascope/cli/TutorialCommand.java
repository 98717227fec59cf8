package io.github.panascope.cli;

import io.github.panascope.InputException;
import io.github.panascope.Panascope;
import io.github.panascope.dashboard.DashboardConfig;
import io.github.panascope.dashboard.FeatureStore;
import io.github.panascope.internal.AtomicFile;
import io.github.panascope.internal.PythonText;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.lens.TestPrompt;
import io.github.panascope.metrics.DownstreamLoss;
import io.github.panascope.metrics.TutorialMetrics;
import io.github.panascope.model.HookPoint;
import io.github.panascope.sae.Neuronpedia;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Torch;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The command {@code tutorial}, which runs the steps of SAELens's tutorial notebook. */
@Command(
        name = "tutorial",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = "Walks SAELens's tutorial: loads an SAE and its model, tokenizes, L0 and its histogram, the three"
                + " losses, test_prompt with and without the SAE, Neuronpedia, dashboards of features.")
final class TutorialCommand implements Callable<Integer> {
    private static final int TOP_K = 10;
    /** The number of rows on which another dtype is compared with float32. */
    private static final int ERROR_ROWS = 4;

    private static final String DASHBOARDS = "demo_feature_dashboards.html";
    private static final String HISTOGRAM = "l0_histogram.html";
    private static final String METRICS = "metrics.json";
    private static final String REPORT = "index.html";

    @Mixin
    private InputOptions input;

    @Mixin
    private RowOptions text;

    @Mixin
    private PromptOptions prompt;

    @Mixin
    private FeatureOptions features;

    @Option(
            names = "--rows",
            paramLabel = "N",
            defaultValue = "32",
            description = "rows of the dataset for L0 and the losses (default: ${DEFAULT-VALUE})")
    private int rows;

    @Option(
            names = "--dashboard-rows",
            paramLabel = "N",
            defaultValue = "1000",
            description = "rows for the dashboards of --features; the notebook takes 10000; 0 for none (default:"
                    + " ${DEFAULT-VALUE})")
    private int dashboardRows;

    @Option(
            names = "--out",
            paramLabel = "DIR",
            defaultValue = "panascope-out",
            description = "for index.html, which shows everything, and what it links (default: ${DEFAULT-VALUE})")
    private Path out;

    @Option(names = "--json", paramLabel = "FILE", description = "writes metrics.json here too")
    private Path json;

    @Option(
            names = "--correlated-features",
            paramLabel = "all|chosen",
            defaultValue = "all",
            description = "among which correlated features are looked for in the dashboards (default: ${DEFAULT-VALUE};"
                    + " SAEDashboard: chosen, which need not encode the others)")
    private DashboardConfig.CorrelationScope correlated;

    @Option(names = "--open", description = "opens index.html in a browser")
    private boolean open;

    private final Map<String, Double> seconds = new LinkedHashMap<>();

    @Override
    public Integer call() {
        checkOptions();
        Outputs.requireUnread("--json", json, text.check(input), null);
        Torch.version(); // loads libtorch, which counts as startup
        long begun = System.nanoTime();
        seconds.put("startup", 0.0); // the value is known at the end, but its entry comes first
        Device device = input.chooseDevice();
        try (var _ = TensorScope.open();
                Sae sae = timed("load_sae", () -> input.loadSae(device));
                HookedTransformer model = timed("load_model", () -> input.loadModel(device, sae))) {
            sae.requireFits(model);
            prompt.check(model);
            int[] chosen = features.of(sae.config().dSae());
            RowOptions.Rows all = timed("tokenize", () -> text.read(input, model, sae, Math.max(rows, dashboardRows)));
            TokenDataset tokens = all.tokens();
            int used = Math.min(rows, tokens.rows());
            input.print("Tokenized " + tokens.documents() + " documents into " + tokens.rowsInAll() + " rows of "
                    + all.context() + " tokens (" + all.how() + ")"
                    + (used < rows ? "; fewer than the " + rows + " rows asked for" : ""));
            TutorialMetrics evaluation = timed("metrics", () -> evaluate(model, sae, all, used));
            MetricsFile.DTypeError error = sae.dtype() == DType.FLOAT32
                    ? null
                    : timed("dtype_error", () -> dtypeError(device, model, sae, tokens, Math.min(used, ERROR_ROWS)));
            MetricsFile.Prompt result = timed("prompt", () -> prompt(model, sae));
            String list = neuronpedia(sae, Arrays.stream(chosen).boxed().toList());
            List<MetricsFile.Feature> shown =
                    dashboardRows == 0 ? List.of() : timed("dashboards", () -> dashboards(model, sae, all, chosen));
            double total = ManagementFactory.getRuntimeMXBean().getUptime() / 1e3;
            seconds.put("startup", total - (System.nanoTime() - begun) / 1e9);
            seconds.put("total", total);
            MetricsFile metrics = new MetricsFile(
                    input.modelName(sae),
                    input.saeName(),
                    sae.config().hookName(),
                    device.toString().replace(":0", ""),
                    sae.dtype().toString(),
                    error,
                    used,
                    all.context(),
                    all.how(),
                    tokens.rowsInAll(),
                    evaluation.l0().mean(),
                    evaluation.l0().histogram(),
                    evaluation.loss().original(),
                    evaluation.loss().reconstructed(),
                    evaluation.loss().zero(),
                    result,
                    list,
                    Math.min(dashboardRows, tokens.rows()),
                    shown,
                    versions(),
                    seconds);
            write(metrics, evaluation, facts(metrics, sae, all));
        }
        if (open) Browser.open(out.resolve(REPORT).toUri(), input);
        return 0;
    }

    // ------------------------------------------------------------------------------------------------- the steps

    private TutorialMetrics evaluate(HookedTransformer model, Sae sae, RowOptions.Rows text, int used) {
        TutorialMetrics evaluation;
        try (var _ = TensorScope.open();
                Progress progress = new Progress("L0 and losses, rows", input.quiet())) {
            evaluation = TutorialMetrics.run(
                    model, sae, text.tokens().batch(0, used), text.atOnce(), done -> progress.update(done, used));
        }
        input.print("average l0 " + evaluation.l0().mean());
        printLosses(evaluation.loss());
        input.print("CE loss score " + PythonText.fixed(evaluation.loss().score(), 4));
        return evaluation;
    }

    /** Compares the metrics in this dtype with those in float32, by running both on the first few rows. */
    private MetricsFile.DTypeError dtypeError(
            Device device, HookedTransformer model, Sae sae, TokenDataset tokens, int few) {
        try (var _ = TensorScope.open();
                Sae exactSae = input.saeIn(DType.FLOAT32, device);
                HookedTransformer exactModel = input.modelIn(DType.FLOAT32, device, sae)) {
            Tensor batch = tokens.batch(0, few);
            MetricsFile.DTypeError error = MetricsFile.DTypeError.of(
                    few, TutorialMetrics.run(model, sae, batch), TutorialMetrics.run(exactModel, exactSae, batch));
            input.print(String.format(
                    Locale.ROOT,
                    "%s against float32 on %d rows: average l0 %+.3f, Orig %+.5f, reconstr %+.5f, Zero %+.5f",
                    sae.dtype(),
                    few,
                    error.l0Mean(),
                    error.ceOrig(),
                    error.ceReconstr(),
                    error.ceZero()));
            return error;
        }
    }

    private MetricsFile.Prompt prompt(HookedTransformer model, Sae sae) {
        List<String> answer = List.of(prompt.answer);
        TestPrompt plain = TestPrompt.run(model, prompt.prompt, answer, Hooks.NONE, TOP_K);
        input.print(plain.format());
        try (var _ = TensorScope.open()) {
            Tensor tokens = model.toTokens(prompt.prompt);
            DownstreamLoss loss = TutorialMetrics.run(model, sae, tokens).loss();
            printLosses(loss);
            input.print("");
            TestPrompt reconstructed = TestPrompt.run(
                    reconstructing(model, sae, tokens, plain.positions().size()),
                    prompt.prompt,
                    answer,
                    Hooks.NONE,
                    TOP_K);
            input.print(reconstructed.format());
            return MetricsFile.Prompt.of(prompt, tokens.toLongs(), plain, loss, reconstructed);
        }
    }

    /**
     * Returns a view of the model that replaces activations by their reconstruction. As in the last cell of the
     * notebook, the reconstruction of the prompt replaces the activation of prompt and answer, which is a position
     * longer. This requires that everything after the hook point depends only on this activation, as for the residual
     * stream, and an answer of a single token. In other cases prompt and answer are reconstructed.
     */
    private HookedTransformer reconstructing(HookedTransformer model, Sae sae, Tensor tokens, int answerTokens) {
        String hook = sae.config().hookName();
        if (!HookPoint.of(hook).orElseThrow().isBottleneck()
                || !hook.equals(sae.config().hookNameOut())
                || answerTokens > 1) {
            input.print("Reconstructing prompt and answer: the notebook's way, the prompt alone, fits a residual stream"
                    + " and an answer of one token.");
            return model.with(sae.attachment(false));
        }
        var cached = model.forward(tokens).caching(hook::equals);
        cached.lossPerToken();
        Tensor activation = cached.cache().get(hook);
        Tensor reconstruction = sae.reconstruct(activation).to(activation.dtype());
        return model.with(Hooks.at(hook, (whole, name) -> reconstruction));
    }

    private String neuronpedia(Sae sae, List<Integer> chosen) {
        String list =
                Neuronpedia.quickList(sae.config(), chosen, "temporary_list").orElse(null);
        input.print(
                list != null
                        ? list
                        : "No Neuronpedia list: the SAE's configuration has no neuronpedia_id. Features: " + chosen);
        return list;
    }

    private List<MetricsFile.Feature> dashboards(HookedTransformer model, Sae sae, RowOptions.Rows text, int[] chosen) {
        List<MetricsFile.Feature> shown = new ArrayList<>();
        DashboardConfig config =
                DashboardConfig.builder().correlatedFeatures(correlated).build();
        try (DashboardWriter writer = new DashboardWriter(input, model, sae, text, null);
                FeatureStore store = writer.open(null, out.resolve("features"), chosen, config)) {
            writer.collect(store, 0, Math.min(dashboardRows, text.tokens().rows()), text.inShard(model.device()));
            writer.write(
                    store,
                    config,
                    chosen,
                    new OutputFiles(out.resolve(DASHBOARDS), null, null, null),
                    null,
                    dashboard -> shown.add(MetricsFile.Feature.of(dashboard, model.tokenizer())));
        }
        return shown;
    }

    private static Map<String, String> facts(MetricsFile metrics, Sae sae, RowOptions.Rows text) {
        Map<String, String> facts = new LinkedHashMap<>();
        facts.put("Model", metrics.model());
        facts.put(
                "SAE",
                metrics.sae() + ", " + sae.config().architecture() + ", "
                        + sae.config().dSae() + " features at " + metrics.hook());
        facts.put("Device", metrics.device() + ", " + metrics.dtype());
        facts.put(
                "Text",
                text.name() + ", " + metrics.rows() + " of " + metrics.nRowsTotal() + " rows of "
                        + metrics.contextSize() + " tokens, " + metrics.tokenization());
        facts.put(
                "Made by",
                metrics.versions().entrySet().stream()
                        .map(version -> version.getKey() + " " + version.getValue())
                        .collect(Collectors.joining(", ")));
        facts.put(
                "Seconds",
                metrics.seconds().entrySet().stream()
                        .map(step -> step.getKey().replace('_', ' ') + " " + PythonText.fixed(step.getValue(), 1))
                        .collect(Collectors.joining(", ")));
        return facts;
    }

    private void write(MetricsFile metrics, TutorialMetrics evaluation, Map<String, String> facts) {
        AtomicFile.write(out.resolve(METRICS), metrics.toJson());
        AtomicFile.write(out.resolve(HISTOGRAM), L0Page.of(evaluation.l0(), metrics.sae(), metrics.hook()));
        AtomicFile.write(
                out.resolve(REPORT),
                ReportPage.of(
                        metrics,
                        evaluation.l0(),
                        facts,
                        dashboardRows == 0 ? null : DASHBOARDS,
                        List.of(METRICS, HISTOGRAM)));
        if (json != null) AtomicFile.write(json, metrics.toJson());
        input.print("Wrote " + out.resolve(REPORT) + ", which shows everything, " + out.resolve(METRICS) + ", "
                + out.resolve(HISTOGRAM) + (json == null ? "" : ", " + json));
    }

    // ------------------------------------------------------------------------------------------------- the rest

    private void printLosses(DownstreamLoss loss) {
        input.print("Orig " + loss.original());
        input.print("reconstr " + loss.reconstructed());
        input.print("Zero " + loss.zero());
    }

    private void checkOptions() {
        if (rows < 1) throw new InputException("--rows should be at least 1, not " + rows + ".");
        if (dashboardRows < 0)
            throw new InputException("--dashboard-rows should be 0 or more, not " + dashboardRows + ".");
        Outputs.requireFolder("--out", out);
        Outputs.requireFile("--json", json);
    }

    private static Map<String, String> versions() {
        Map<String, String> versions = new LinkedHashMap<>();
        versions.put("panascope", Panascope.version());
        versions.put("libtorch", Torch.version());
        versions.put("java", Runtime.version().toString());
        return versions;
    }

    private <T> T timed(String step, Supplier<T> work) {
        long start = System.nanoTime();
        T result = work.get();
        seconds.put(step, (System.nanoTime() - start) / 1e9);
        return result;
    }
}
