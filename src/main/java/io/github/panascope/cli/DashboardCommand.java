package io.github.panascope.cli;

import io.github.panascope.dashboard.DashboardConfig;
import io.github.panascope.dashboard.DashboardPage;
import io.github.panascope.dashboard.Dashboards;
import io.github.panascope.dashboard.FeatureCollector;
import io.github.panascope.dashboard.FeatureDashboard;
import io.github.panascope.dashboard.FeatureStore;
import io.github.panascope.dashboard.NeuronpediaJson;
import io.github.panascope.dashboard.SaeDashboardJson;
import io.github.panascope.hub.Dataset;
import io.github.panascope.hub.InputException;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.TokenDataset;
import io.github.panascope.lens.Tokenization;
import io.github.panascope.sae.Neuronpedia;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Torch;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Dashboards of features: one pass over the text for all of them, then one page. */
@Command(name = "dashboard", mixinStandardHelpOptions = true, sortOptions = false,
        description = "Shows what features do: runs the model over rows of text once, keeping what all features were, then writes one page with the dashboards of those asked for. "
                + "A run that was ended goes on where it was; more rows add to those that are there.")
final class DashboardCommand implements Callable<Integer> {
    private static final int DEFAULT_CONTEXT = 128, BATCH = 128, END_OF_TEXT = 50256;

    @Mixin private InputOptions input;
    @Mixin private DatasetOptions dataset;
    @Mixin private FeatureOptions features;

    @Option(names = "--rows", paramLabel = "N|A-B", defaultValue = "1000", description = "rows of text: the first N, or from A to B-1, to be merged with others (default: ${DEFAULT-VALUE})")
    private String rows;

    @Option(names = "--tokenization", paramLabel = "character-chunks|whitespace-chunks|per-document", defaultValue = "character-chunks", description = "TransformerLens's algorithm until 2.17 (default), of 2.18, or of later 3.x")
    private String tokenization;

    @Option(names = "--context-size", paramLabel = "N", description = "tokens in a row (default: the SAE's)")
    private Integer contextSize;

    @Option(names = "--out", paramLabel = "FILE", defaultValue = "panascope-out/demo_feature_dashboards.html", description = "the page (default: ${DEFAULT-VALUE})")
    private Path out;

    @Option(names = "--state", paramLabel = "DIR", description = "where features are kept between runs (default: features beside the page)")
    private Path state;

    @Option(names = "--json", paramLabel = "FILE", description = "writes the dashboards as SAEDashboard's save_json does")
    private Path json;

    @Option(names = "--neuronpedia", paramLabel = "DIR", description = "writes batch-N.json as Neuronpedia takes them")
    private Path neuronpedia;

    @Option(names = "--ablation", description = "runs the model again without the feature for each sequence: what that does to the loss of each token, and to which logits")
    private boolean ablation;

    @Option(names = "--correlated-features", paramLabel = "all|chosen", defaultValue = "all", description = "among which correlated features are looked for (default: ${DEFAULT-VALUE}; SAEDashboard: chosen)")
    private DashboardConfig.Among correlated;

    @Option(names = "--ignore-bos", description = "features count as zero at <|endoftext|>")
    private boolean ignoreBos;

    @Option(names = "--ignore-tokens", paramLabel = "ID", split = ",", description = "features count as zero at these tokens")
    private List<Integer> ignoreTokens;

    @Option(names = "--ignore-positions", paramLabel = "N", split = ",", description = "features count as zero at these positions")
    private List<Integer> ignorePositions;

    @Option(names = "--ignore-high-activation-norm-multiple", paramLabel = "X", description = "features count as zero where the activation's norm is more than X times its row's median")
    private Double normMultiple;

    @Option(names = "--buffer", paramLabel = "N", defaultValue = "5", description = "tokens shown on both sides; -1 for whole rows (default: ${DEFAULT-VALUE})")
    private int buffer;

    @Option(names = "--n-quantiles", paramLabel = "N", defaultValue = "10", description = "intervals of activation (default: ${DEFAULT-VALUE})")
    private int nQuantiles;

    @Option(names = "--top-acts-group-size", paramLabel = "N", defaultValue = "20", description = "sequences of the highest activations (default: ${DEFAULT-VALUE})")
    private int topActsGroupSize;

    @Option(names = "--quantile-group-size", paramLabel = "N", defaultValue = "5", description = "sequences of an interval (default: ${DEFAULT-VALUE})")
    private int quantileGroupSize;

    @Option(names = "--seed", paramLabel = "N", defaultValue = "0", description = "of the draw of sequences (default: ${DEFAULT-VALUE})")
    private long seed;

    @Option(names = "--shard-rows", paramLabel = "N", defaultValue = "256", description = "rows after which a run can go on when it was ended (default: ${DEFAULT-VALUE})")
    private int shardRows;

    @Option(names = "--threads", paramLabel = "N", description = "default: as many as libtorch takes")
    private Integer threads;

    @Option(names = "--open", description = "opens the page in a browser")
    private boolean open;

    private long firstRow, endRow;

    @Override
    public Integer call() {
        parseRows();
        if (shardRows < 1) throw new InputException("--shard-rows should be at least 1, not " + shardRows + ".");
        if (threads != null && threads < 1) throw new InputException("--threads should be at least 1, not " + threads + ".");
        Tokenization algorithm = Tokenizations.of(tokenization);
        Device device = input.chooseDevice();
        try (var _ = TensorScope.open(); Sae loaded = input.loadSae(device); HookedTransformer model = input.loadModel(device, loaded)) {
            loaded.requireFits(model);
            int[] chosen = features.of(loaded.config().dSae());
            boolean folds = !loaded.config().architecture().equals("topk") || loaded.config().rescaleActsByDecoderNorm();
            if (!folds) input.print("A topk SAE's features are shown as they are: scaling them by decoder norms would change which are the k largest.");
            try (Sae sae = folds ? loaded.foldWDecNorm() : null) {
                run(model, folds ? sae : loaded, chosen, algorithm);
            }
        }
        return 0;
    }

    private void parseRows() {
        if (!rows.matches("\\d{1,9}(-\\d{1,9})?")) throw new InputException("--rows should be a number, or a range such as 1000-1999, not '" + rows + "'.");
        String[] ends = rows.split("-");
        firstRow = ends.length == 1 ? 0 : Long.parseLong(ends[0]);
        endRow = ends.length == 1 ? Long.parseLong(ends[0]) : Long.parseLong(ends[1]) + 1;
        if (endRow <= firstRow) throw new InputException("--rows " + rows + " holds no row.");
    }

    private void run(HookedTransformer model, Sae sae, int[] chosen, Tokenization algorithm) {
        int context = contextSize != null ? contextSize : Math.min(sae.config().contextSize() > 0 ? sae.config().contextSize() : DEFAULT_CONTEXT, model.config().nCtx());
        if (context < 2 || context > model.config().nCtx()) throw new InputException("--context-size should lie between 2 and the model's n_ctx of " + model.config().nCtx() + ", not at " + context + ".");
        DashboardConfig config = config(model, context);
        Path folder = state != null ? state : out.toAbsolutePath().resolveSibling("features");
        Dataset documents = dataset.open(input.defaultDataset(), input.hub());
        TokenDataset tokens = tokenize(documents, model, sae, algorithm, context);
        if (tokens.rows() <= firstRow) throw new InputException("the dataset has only " + tokens.rows() + " rows of " + context + " tokens; --rows " + rows + " begins after them.");
        if (tokens.rows() < endRow) input.print("The dataset has " + tokens.rows() + " rows of " + context + " tokens, fewer than asked for.");
        endRow = Math.min(endRow, tokens.rows());
        String name = !dataset.isNamed() && input.demo() ? "demo" : documents.name();
        String text = name + ", " + (documents.isTokenized() ? "pre-tokenized" : algorithm) + (sae.config().prependBos() ? "" : ", without <|endoftext|>");
        int workers = threads != null ? threads : Torch.threads();
        int[] sorted = java.util.Arrays.stream(chosen).sorted().toArray();
        try (FeatureStore store = FeatureStore.open(folder, FeatureCollector.identity(model, sae, text, context), sorted, sae.config().dIn())) {
            store.requireSameText(row -> tokens.row((int) row), tokens.rows());
            long missing = store.missing(firstRow, endRow).stream().mapToLong(gap -> gap[1] - gap[0]).sum(), here = endRow - firstRow - missing;
            if (here > 0) input.print(here + " of " + (endRow - firstRow) + " rows are there already, in " + folder);
            try (Progress progress = new Progress("Collecting features, rows", input.quiet())) {
                FeatureCollector.collect(model, sae, store, row -> tokens.row((int) row), firstRow, endRow, context, shardRows, workers, done -> progress.update(done, missing));
            }
            if (firstRow > 0) {
                input.print("Collected rows " + firstRow + " to " + (endRow - 1) + " in " + folder + "; `panascope merge` joins them with the others.");
                return;
            }
            write(model, sae, store, config, chosen, workers, name, text);
        }
        if (open) Browser.open(out.toUri(), input);
    }

    private DashboardConfig config(HookedTransformer model, int context) {
        if (nQuantiles < 0 || topActsGroupSize < 0 || quantileGroupSize < 0) throw new InputException("--n-quantiles, --top-acts-group-size and --quantile-group-size should not be negative.");
        if (buffer >= 0 && 2 * buffer + 1 >= context) throw new InputException("--buffer " + buffer + " leaves no position in rows of " + context + " tokens: -1 shows whole rows.");
        if (normMultiple != null && !(normMultiple > 0)) throw new InputException("--ignore-high-activation-norm-multiple should be positive, not " + normMultiple + ".");
        Set<Integer> ignored = FeatureOptions.numbers("--ignore-tokens", ignoreTokens, model.config().dVocab());
        if (ignoreBos) ignored.add(END_OF_TEXT);
        return DashboardConfig.DEFAULT.ignoring(ignored, FeatureOptions.numbers("--ignore-positions", ignorePositions, context), normMultiple == null ? Double.POSITIVE_INFINITY : normMultiple)
                .correlatedFeatures(correlated).performAblationExperiments(ablation).buffer(buffer).groups(nQuantiles, topActsGroupSize, quantileGroupSize).seed(seed);
    }

    private TokenDataset tokenize(Dataset documents, HookedTransformer model, Sae sae, Tokenization algorithm, int context) {
        try (Progress progress = new Progress("Tokenizing documents", input.quiet())) {
            long[] done = {0};
            if (documents.isTokenized()) return TokenDataset.ofTokens(documents::forEachTokens, model.config().dVocab(), context, endRow);
            return TokenDataset.tokenizeAndConcatenate(consumer -> documents.forEach(document -> {
                consumer.accept(document);
                progress.update(++done[0], 0);
            }), model.tokenizer(), algorithm, context, sae.config().prependBos(), endRow);
        }
    }

    private void write(HookedTransformer model, Sae sae, FeatureStore store, DashboardConfig config, int[] chosen, int workers, String name, String text) {
        Dashboards dashboards = Dashboards.of(model, sae, store, config);
        Map<String, String> facts = new LinkedHashMap<>();
        facts.put("Model", input.modelName(sae));
        facts.put("SAE", input.saeName() + ", " + sae.config().architecture() + ", " + sae.config().dSae() + " features at " + sae.config().hookName());
        facts.put("Text", text);
        facts.put("Rows", dashboards.rows() + " of " + dashboards.context() + " tokens");
        facts.put("Excluded", excluded(config, dashboards));
        facts.put("Activations", "after folding decoder norms into the encoder (fold_W_dec_norm)");
        facts.put("Correlated features", config.correlatedFeatures() == DashboardConfig.Among.ALL ? "among all features of the SAE" : "among the features shown");
        facts.put("Ablation", config.performAblationExperiments() ? "loss effects are exact, by running the model again without the feature; blue helps, red hurts" : "not asked for (--ablation)");
        facts.put("Made by", "panascope " + Version.number());
        List<FeatureDashboard> batch = new ArrayList<>();
        int[] batches = {0};
        try (DashboardPage page = new DashboardPage(new DashboardPage.Header("Features of " + input.saeName(), facts, Neuronpedia.featurePages(sae.config()).orElse(null)), model.tokenizer());
                Progress progress = new Progress("Dashboards, features", input.quiet())) {
            if (json == null && neuronpedia == null) {
                dashboards.forEach(chosen, workers, page::pack, packed -> {
                    page.add(packed);
                    progress.update(page.size(), chosen.length);
                });
            } else {
                Consumer<FeatureDashboard> each = dashboard -> {
                    page.add(dashboard);
                    if (neuronpedia != null) {
                        batch.add(dashboard);
                        if (batch.size() == BATCH) writeBatch(sae, model, dashboards, name, batch, batches[0]++);
                    }
                    progress.update(page.size(), chosen.length);
                };
                if (json == null) dashboards.forEach(chosen, workers, each);
                else SaeDashboardJson.write(json, consumer -> dashboards.forEach(chosen, workers, each.andThen(consumer)));
            }
            if (!batch.isEmpty()) writeBatch(sae, model, dashboards, name, batch, batches[0]);
            page.write(out);
        }
        input.print("Wrote " + out + " (" + chosen.length + " features, " + dashboards.rows() + " rows)" + (json == null ? "" : ", " + json) + (neuronpedia == null ? "" : ", " + neuronpedia));
    }

    private void writeBatch(Sae sae, HookedTransformer model, Dashboards dashboards, String name, List<FeatureDashboard> batch, int number) {
        NeuronpediaJson.write(neuronpedia.resolve("batch-" + number + ".json"), sae.config(), model.tokenizer(), dashboards.rows(), dashboards.context(), name, batch);
        batch.clear();
    }

    private static String excluded(DashboardConfig config, Dashboards dashboards) {
        List<String> rules = new ArrayList<>();
        if (!config.ignoreTokens().isEmpty()) rules.add("tokens " + new java.util.TreeSet<>(config.ignoreTokens()));
        if (!config.ignorePositions().isEmpty()) rules.add("positions " + new java.util.TreeSet<>(config.ignorePositions()));
        if (config.ignoreHighActivationNormMultiple() != Double.POSITIVE_INFINITY) rules.add("norms above " + config.ignoreHighActivationNormMultiple() + " times the row's median");
        return rules.isEmpty() ? "no position; the first token of each row counts too (--ignore-bos)" : dashboards.excluded() + " positions: " + String.join(", ", rules) + "; correlations are over all positions";
    }
}
