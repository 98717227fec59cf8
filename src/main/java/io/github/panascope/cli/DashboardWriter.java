package io.github.panascope.cli;

import io.github.panascope.InputException;
import io.github.panascope.dashboard.DashboardConfig;
import io.github.panascope.dashboard.DashboardPage;
import io.github.panascope.dashboard.Dashboards;
import io.github.panascope.dashboard.FeatureCollector;
import io.github.panascope.dashboard.FeatureDashboard;
import io.github.panascope.dashboard.FeatureStore;
import io.github.panascope.dashboard.FeatureTable;
import io.github.panascope.dashboard.NeuronpediaJson;
import io.github.panascope.dashboard.PromptDashboard;
import io.github.panascope.dashboard.SaeDashboardJson;
import io.github.panascope.dashboard.StoreIdentity;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Architecture;
import io.github.panascope.sae.Neuronpedia;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Torch;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Collects what features are at rows of text, and writes their dashboards; for the commands that do. */
final class DashboardWriter implements AutoCloseable {
    private static final int NEURONPEDIA_BATCH = 128;

    /**
     * Where dashboards go.
     *
     * @param page        the HTML page
     * @param json        SAEDashboard's JSON, or null
     * @param neuronpedia a folder for Neuronpedia's batches, or null
     * @param table       a Parquet file with a row for each feature, or null
     */
    record Places(Path page, Path json, Path neuronpedia, Path table) {
        void require() {
            Outputs.requireFile("--out", page);
            Outputs.requireFile("--json", json);
            Outputs.requireFolder("--neuronpedia", neuronpedia);
            Outputs.requireFile("--table", table);
            Outputs.requireDifferent(page, json, table);
        }

        /** That none of them is read: files of the model, the SAE and the dataset, and of the folder of features. */
        void requireUnread(List<Path> read, Path state) {
            Outputs.requireUnread("--out", page, read, state);
            Outputs.requireUnread("--json", json, read, state);
            Outputs.requireUnread("--table", table, read, state);
        }

        private String list() {
            return Stream.of(page, json, neuronpedia, table)
                    .filter(Objects::nonNull)
                    .map(Path::toString)
                    .collect(Collectors.joining(", "));
        }
    }

    private final InputOptions input;
    private final HookedTransformer model;
    private final Sae sae, folded;
    private final RowOptions.Rows rows;
    private final int threads;
    private final String text;

    /** Makes a copy of the SAE with decoder norms folded in, as dashboards show it. */
    DashboardWriter(InputOptions input, HookedTransformer model, Sae sae, RowOptions.Rows rows, Integer threads) {
        this.input = input;
        this.model = model;
        this.rows = rows;
        this.threads = threads != null ? threads : Torch.threads();
        boolean folds =
                sae.config().architecture() != Architecture.TOPK || sae.config().rescaleActsByDecoderNorm();
        if (!folds)
            input.print(
                    "A topk SAE's features are shown as they are: scaling them by decoder norms would change which are"
                            + " the k largest.");
        this.folded = folds ? sae.foldWDecNorm() : null;
        this.sae = folds ? folded : sae;
        this.text = rows.name() + ", " + rows.how() + rows.selection()
                + (sae.config().prependBos() ? "" : ", without <|endoftext|>");
    }

    @Override
    public void close() {
        if (folded != null) folded.close();
    }

    /**
     * What is shown of a prompt.
     *
     * @param shown features of each token
     */
    record Prompt(PromptDashboard dashboard, int shown) {}

    /**
     * Runs the model over a prompt.
     *
     * @param alone whether there is nothing to show but the features that are active at it
     * @throws InputException if then there are none
     */
    PromptDashboard prompt(String prompt, DashboardConfig config, boolean alone) {
        int length = model.tokenizer().encode(prompt).length + (sae.config().prependBos() ? 1 : 0);
        if (length > model.config().nCtx())
            throw new InputException("--prompt has " + length + " tokens, more than the model's context of "
                    + model.config().nCtx() + ".");
        try (var _ = TensorScope.open()) {
            int[] tokens = Arrays.stream(
                            model.toTokens(prompt, sae.config().prependBos()).toLongs())
                    .mapToInt(token -> (int) token)
                    .toArray();
            PromptDashboard found = PromptDashboard.of(model, sae, tokens, config);
            int active = found.features().length;
            if (active == 0 && alone)
                throw new InputException(
                        "no feature of the SAE is active at --prompt; --features names some to show all the same.");
            input.print(
                    active == 0
                            ? "No feature of the SAE is active at the prompt."
                            : "At the prompt's " + tokens.length + " tokens, " + active + " features are active.");
            return found;
        }
    }

    /** Where features are collected. */
    Device device() {
        return model.device();
    }

    /** The folder named, or else one for these features among those of {@code parent}. */
    FeatureStore open(Path named, Path parent, int[] features, DashboardConfig config) {
        int[] sorted = Arrays.stream(features).sorted().toArray();
        // What nobody will look into need not be encoded.
        StoreIdentity all = StoreIdentity.of(model, sae, text, rows.context(), rows.atOnce());
        StoreIdentity identity =
                config.correlatedFeatures() == DashboardConfig.CorrelationScope.ALL ? all : all.ofChosen(sorted);
        return named != null
                ? FeatureStore.open(named, identity, sorted, sae.config().dIn())
                : FeatureStore.openWithin(parent, identity, sorted, sae.config().dIn());
    }

    /** Adds the rows of a range that the folder lacks. */
    void collect(FeatureStore store, long first, long end, int shardRows) {
        TokenDataset there =
                rows.first(store.end()); // dashboards show all rows of the folder, not those asked for alone
        store.requireSameText(row -> there.row((int) row), there.rowsInAll());
        long missing = store.missing(first, end).stream()
                .mapToLong(gap -> gap[1] - gap[0])
                .sum();
        long here = end - first - missing;
        if (here > 0) input.print(here + " of " + (end - first) + " rows are there already, in " + store.folder());
        if (first == 0 && store.rows() > here)
            input.print("That folder holds " + store.rows()
                    + " rows: the dashboards are of all of them. Another --state would have " + end + ".");
        try (Progress progress = new Progress("Collecting features, rows", input.quiet())) {
            FeatureCollector.into(store, model, sae)
                    .shardRows(shardRows)
                    .threads(threads)
                    .progress(done -> progress.update(done, missing))
                    .collect(row -> rows.tokens().row((int) row), first, end);
        }
    }

    /**
     * Writes the dashboards of some features. {@code prompt} and {@code seen} may be null; the latter gets each
     * dashboard.
     */
    void write(
            FeatureStore store,
            DashboardConfig config,
            int[] features,
            Places files,
            Prompt prompt,
            Consumer<FeatureDashboard> seen) {
        Dashboards dashboards = Dashboards.of(model, sae, store, config);
        Map<String, String> facts = facts(dashboards, config);
        Batches batches = new Batches(files.neuronpedia, dashboards);
        DashboardPage.Header header = new DashboardPage.Header(
                "Features of " + input.saeName(),
                facts,
                Neuronpedia.featurePages(sae.config()).orElse(null));
        try (DashboardPage page = new DashboardPage(header, model.tokenizer());
                Progress progress = new Progress("Dashboards, features", input.quiet())) {
            boolean packedOnly = seen == null
                    && prompt == null
                    && files.json == null
                    && files.neuronpedia == null
                    && files.table == null;
            // Whoever else takes dashboards hands them on.
            SaeDashboardJson.Source source = consumer -> dashboards.forEach(
                    features,
                    threads,
                    dashboard -> new Made(page.pack(dashboard), packedOnly ? null : dashboard),
                    made -> {
                        page.add(made.packed);
                        if (!packedOnly) consumer.accept(made.dashboard);
                        progress.update(page.size(), features.length);
                    });
            SaeDashboardJson.Source listed = files.table == null
                    ? source
                    : consumer -> FeatureTable.write(
                            files.table, model.tokenizer(), facts, row -> source.forEach(row.andThen(consumer)));
            Consumer<FeatureDashboard> last = dashboard -> {
                if (seen != null) seen.accept(dashboard);
                if (prompt != null) prompt.dashboard.add(dashboard);
                if (files.neuronpedia != null) batches.accept(dashboard);
            };
            if (files.json == null) listed.forEach(last);
            else SaeDashboardJson.write(files.json, json -> listed.forEach(json.andThen(last)));
            batches.end();
            if (prompt != null) page.prompt(prompt.dashboard, prompt.shown);
            page.write(files.page);
        }
        input.print("Wrote " + files.list() + " (" + features.length + " features, " + dashboards.rows() + " rows)");
    }

    /** A dashboard as the page takes it, and itself if anything else takes it. */
    private record Made(DashboardPage.Packed packed, FeatureDashboard dashboard) {}

    /** Neuronpedia's batches, each written when it is full. */
    private final class Batches implements Consumer<FeatureDashboard> {
        private final Path folder;
        private final Dashboards dashboards;
        private final List<FeatureDashboard> batch = new ArrayList<>();
        private int written;

        Batches(Path folder, Dashboards dashboards) {
            this.folder = folder;
            this.dashboards = dashboards;
        }

        @Override
        public void accept(FeatureDashboard dashboard) {
            batch.add(dashboard);
            if (batch.size() == NEURONPEDIA_BATCH) flush();
        }

        /** Batches of an earlier run with more features would be taken for this one's. */
        void end() {
            flush();
            if (folder == null) return;
            try {
                for (int later = written; Files.deleteIfExists(folder.resolve("batch-" + later + ".json")); later++) {}
            } catch (IOException e) {
                throw new InputException(
                        folder + " holds batches of an earlier run that cannot be deleted: " + InputException.reason(e)
                                + ".",
                        e);
            }
        }

        private void flush() {
            if (batch.isEmpty()) return;
            NeuronpediaJson.write(
                    folder.resolve("batch-" + written++ + ".json"),
                    sae.config(),
                    model.tokenizer(),
                    dashboards.rows(),
                    dashboards.context(),
                    rows.name(),
                    batch);
            batch.clear();
        }
    }

    private Map<String, String> facts(Dashboards dashboards, DashboardConfig config) {
        Map<String, String> facts = new LinkedHashMap<>();
        facts.put("Model", input.modelName(sae));
        facts.put(
                "SAE",
                input.saeName() + ", " + sae.config().architecture() + ", "
                        + sae.config().dSae() + " features at " + sae.config().hookName());
        facts.put("Text", text);
        facts.put("Rows", dashboards.rows() + " of " + dashboards.context() + " tokens");
        facts.put("Excluded", excluded(config, dashboards));
        facts.put(
                "Activations",
                folded == null
                        ? "as the SAE gives them"
                        : "after folding decoder norms into the encoder (fold_W_dec_norm)");
        facts.put(
                "Correlated features",
                config.correlatedFeatures() == DashboardConfig.CorrelationScope.ALL
                        ? "among all features of the SAE"
                        : "among the features shown");
        facts.put(
                "Ablation",
                config.performAblationExperiments()
                        ? "loss effects are exact, by running the model again without the feature; blue helps, red"
                                + " hurts"
                        : "not asked for (--ablation)");
        facts.put("Made by", "panascope " + Version.number());
        return facts;
    }

    private static String excluded(DashboardConfig config, Dashboards dashboards) {
        List<String> rules = new ArrayList<>();
        if (!config.ignoreTokens().isEmpty()) rules.add("tokens " + new TreeSet<>(config.ignoreTokens()));
        if (!config.ignorePositions().isEmpty()) rules.add("positions " + new TreeSet<>(config.ignorePositions()));
        if (config.ignoreHighActivationNormMultiple() != Double.POSITIVE_INFINITY)
            rules.add("norms above " + config.ignoreHighActivationNormMultiple() + " times the row's median");
        return rules.isEmpty()
                ? "no position; the first token of each row counts too (--ignore-bos)"
                : dashboards.excluded() + " positions: " + String.join(", ", rules)
                        + "; correlations are over all positions";
    }
}
