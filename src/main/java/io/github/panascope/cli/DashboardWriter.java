package io.github.panascope.cli;

import io.github.panascope.InputException;
import io.github.panascope.dashboard.DashboardConfig;
import io.github.panascope.dashboard.DashboardFacts;
import io.github.panascope.dashboard.DashboardPage;
import io.github.panascope.dashboard.DashboardSink;
import io.github.panascope.dashboard.DashboardSinks;
import io.github.panascope.dashboard.Dashboards;
import io.github.panascope.dashboard.FeatureCollector;
import io.github.panascope.dashboard.FeatureDashboard;
import io.github.panascope.dashboard.FeatureStore;
import io.github.panascope.dashboard.FeatureTable;
import io.github.panascope.dashboard.NeuronpediaBatches;
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
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;

/** Collects features at rows of text and writes their dashboards, for the commands that show dashboards. */
final class DashboardWriter implements AutoCloseable {
    private final InputOptions input;
    private final HookedTransformer model;
    private final Sae sae, folded;
    private final RowOptions.Rows rows;
    private final int threads;
    private final String text;

    /**
     * Makes a copy of the SAE with decoder norms folded in, because dashboards show features on that scale.
     *
     * @param threads the number of threads; null for the number of libtorch's threads
     */
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
                + TokenizationOptions.withoutBos(sae, model.tokenizer());
    }

    @Override
    public void close() {
        if (folded != null) folded.close();
    }

    /**
     * A prompt to be shown on the page.
     *
     * @param dashboard the features at the prompt
     * @param shown     the number of features listed for each token
     */
    record Prompt(PromptDashboard dashboard, int shown) {}

    /**
     * Runs the model over a prompt.
     *
     * @param alone true if only the features that are active at the prompt are shown
     * @throws InputException if the prompt is too long, or if {@code alone} is true and no feature is active
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

    /** {@return the device on which features are collected} */
    Device device() {
        return model.device();
    }

    /**
     * Opens a folder of features.
     *
     * @param named the folder to open; null for a folder within {@code parent} that suits the features
     */
    FeatureStore open(Path named, Path parent, int[] features, DashboardConfig config) {
        int[] sorted = Arrays.stream(features).sorted().toArray();
        // Unless all features are correlated, only the shown features are encoded.
        StoreIdentity all = StoreIdentity.of(model, sae, text, rows.context(), rows.atOnce());
        StoreIdentity identity =
                config.correlatedFeatures() == DashboardConfig.CorrelationScope.ALL ? all : all.ofChosen(sorted);
        return named != null
                ? FeatureStore.open(named, identity, sorted, sae.config().dIn())
                : FeatureStore.openWithin(parent, identity, sorted, sae.config().dIn());
    }

    /** Collects the rows of a range that the folder lacks. */
    void collect(FeatureStore store, long first, long end, int shardRows) {
        TokenDataset there = rows.first(store.end()); // dashboards show all rows of the folder, not only the range
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
     * Writes the dashboards of some features.
     *
     * @param prompt a prompt to be shown on the page, or null
     * @param other  a sink that also receives each dashboard, or null
     */
    void write(
            FeatureStore store,
            DashboardConfig config,
            int[] features,
            OutputFiles files,
            Prompt prompt,
            DashboardSink other) {
        Dashboards dashboards = Dashboards.of(model, sae, store, config);
        DashboardFacts about =
                new DashboardFacts(input.modelName(sae), input.saeName(), sae.config(), text, folded != null, config);
        Map<String, String> facts = about.of(dashboards.rows(), dashboards.context(), dashboards.excluded());
        try (DashboardSinks sinks = new DashboardSinks()) {
            if (other != null) sinks.add(other);
            if (prompt != null) sinks.add(prompt.dashboard);
            if (files.table() != null) sinks.add(FeatureTable.open(files.table(), model.tokenizer(), facts));
            if (files.json() != null) sinks.add(SaeDashboardJson.open(files.json()));
            if (files.neuronpedia() != null)
                sinks.add(NeuronpediaBatches.open(
                        files.neuronpedia(), sae.config(), model.tokenizer(), dashboards, rows.name()));
            DashboardPage.Header header = new DashboardPage.Header(
                    about.title(), facts, Neuronpedia.featurePages(sae.config()).orElse(null));
            DashboardPage page = sinks.add(DashboardPage.open(files.page(), header, model.tokenizer()));
            if (prompt != null) page.prompt(prompt.dashboard, prompt.shown);
            sinks.add(new ProgressSink(new Progress("Dashboards, features", input.quiet()), features.length));
            dashboards.forEach(features, threads, sinks);
        }
        input.print("Wrote " + files.list() + " (" + features.length + " features, " + dashboards.rows() + " rows)");
    }

    /** A sink that shows the number of finished dashboards in a progress bar. */
    private static final class ProgressSink implements DashboardSink {
        private final Progress progress;
        private final int wanted;
        private int made;

        ProgressSink(Progress progress, int wanted) {
            this.progress = progress;
            this.wanted = wanted;
        }

        @Override
        public void accept(FeatureDashboard dashboard) {
            progress.update(++made, wanted);
        }

        /** Returns a task that holds no reference to the dashboard, so that the dashboard can be freed. */
        @Override
        public Runnable prepare(FeatureDashboard dashboard) {
            return () -> progress.update(++made, wanted);
        }

        @Override
        public void close() {
            progress.close();
        }
    }
}
