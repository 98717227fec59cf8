package io.github.panascope.dashboard;

import io.github.panascope.dashboard.FeatureDashboard.Entry;
import io.github.panascope.dashboard.FeatureDashboard.LogitsTable;
import io.github.panascope.dashboard.FeatureDashboard.Tables;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Torch;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.function.Function;

/**
 * Makes dashboards: reads the activations of features from a {@link FeatureStore} and computes SAEDashboard's
 * statistics feature by feature. The dashboard of a feature does not depend on the number of threads, nor on the other
 * features for which dashboards are made, except with {@link DashboardConfig.CorrelationScope#CHOSEN}.
 *
 * <p>This example collects 64 rows of a dataset and writes a page with three features:
 *
 * <pre>{@code
 * int[] features = {0, 1, 14057};
 * try (var _ = TensorScope.open();
 *         var model = HookedTransformer.fromPretrained("gpt2-small");
 *         var published = Sae.fromPretrained("gpt2-small-res-jb/blocks.8.hook_resid_pre");
 *         var sae = published.foldWDecNorm()) {
 *     TextDataset texts = TextDataset.of("NeelNanda/pile-10k", Hub.fromEnvironment());
 *     TokenDataset tokens = TokenDataset.tokenizeAndConcatenate(texts::forEach,
 *             model.tokenizer(), ChunkingStrategy.CHARACTER_CHUNKS, 128, true, 64);
 *     StoreIdentity identity =
 *             StoreIdentity.of(model, sae, texts.name() + ", character-chunks", 128);
 *     DashboardPage.Header header = new DashboardPage.Header(
 *             "Features of " + sae.name(), Map.of("Model", model.name()), null);
 *     try (FeatureStore store =
 *             FeatureStore.open(Path.of("features"), identity, features, sae.config().dIn())) {
 *         FeatureCollector.into(store, model, sae)
 *                 .collect(row -> tokens.row((int) row), 0, tokens.rows());
 *         Dashboards dashboards = Dashboards.of(model, sae, store, DashboardConfig.DEFAULT);
 *         try (DashboardPage page = DashboardPage.open(
 *                 Path.of("dashboards.html"), header, model.tokenizer())) {
 *             dashboards.forEach(features, 4, page);
 *         }
 *     }
 * }
 * }</pre>
 */
public final class Dashboards {
    static final String MAKING = "making dashboards";

    final Sae sae;
    final DashboardConfig config;
    final StoredActivations corpus;
    private final BitSet excluded;
    private final int[] summed;
    private final Function<int[], NeuronCorrelationSums> neurons;
    private final FeatureStatistics statistics;
    final CorrelatedFeatures correlated;
    private final Sequences sequences;
    final DecoderDirections directions;
    final Ablations ablations;
    private final int dSae;

    private Dashboards(HookedTransformer model, Sae sae, FeatureStore store, DashboardConfig config) {
        if (config.correlatedFeatures() == DashboardConfig.CorrelationScope.ALL
                && !store.identity().keepsAll()) {
            throw new IllegalArgumentException(
                    "the folder keeps the chosen features alone: correlated ones can be looked for among these");
        }
        this.sae = sae;
        this.config = config;
        this.dSae = sae.config().dSae();
        this.corpus = new StoredActivations(store, dSae);
        this.excluded = corpus.excluded(config);
        this.summed = store.features();
        this.neurons = store.sumsByFeatures();
        this.statistics = new FeatureStatistics(corpus.positions, excluded);
        this.correlated = new CorrelatedFeatures(corpus, config.nRows());
        this.sequences = new Sequences(corpus, excluded, config);
        this.directions = new DecoderDirections(model, sae);
        this.ablations = config.performAblationExperiments()
                ? new Ablations(model, sae, directions, config.topLogitsHoverdata())
                : null;
    }

    /**
     * Reads the shards of a store.
     *
     * @param model  the model that filled the store; it must stay open as long as the result is used
     * @param sae    the SAE that filled the store; it must stay open as long as the result is used
     * @param store  the store, which holds all rows from 0 to its last one
     * @param config the contents of the dashboards
     * @return the maker of dashboards
     * @throws io.github.panascope.InputException          if the store lacks rows before its last one, holds more than
     *     2^31 - 1 positions or is damaged, or if the SAE does not fit the model
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted
     * @throws IllegalArgumentException                    if the configuration looks for correlated features among all,
     *     but the store keeps only chosen features
     */
    public static Dashboards of(HookedTransformer model, Sae sae, FeatureStore store, DashboardConfig config) {
        sae.requireFits(model);
        return new Dashboards(model, sae, store, config);
    }

    /** {@return the number of rows in the store} */
    public int rows() {
        return corpus.rows;
    }

    /** {@return the number of tokens in a row} */
    public int context() {
        return corpus.context;
    }

    /** {@return the number of positions at which features count as zero} */
    public int excluded() {
        return excluded.cardinality();
    }

    /**
     * {@return the number of positions at which each feature of the SAE is not zero [d_sae], excluded positions
     * included; a new array}
     */
    public int[] counts() {
        return corpus.counts.clone();
    }

    /**
     * {@return the levels of {@link FeatureDashboard.Statistics#quantileData}: SAEDashboard's 2,350 levels from 0 to
     * just below 1, finer towards 1; a new array}
     */
    public static double[] quantiles() {
        return FeatureStatistics.quantiles();
    }

    /**
     * Makes the dashboards of features in ascending order, passes them to a sink and completes the sink. May be called
     * by several threads at once, with a sink for each.
     *
     * @param features the features, in any order; repetitions are ignored. The store must have been opened for all of
     *     them
     * @param threads  the number of features that are worked on at once, at least 1
     * @param sink     the receiver of the dashboards; the caller closes it
     * @throws io.github.panascope.InputException          if the sink cannot write its output
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted
     * @throws IndexOutOfBoundsException                   if the SAE has no such feature
     * @throws IllegalArgumentException                    if the store was not opened for a feature, or {@code threads}
     *     is less than 1
     */
    public void forEach(int[] features, int threads, DashboardSink sink) {
        forEach(features, features, threads, sink);
    }

    /**
     * Makes the dashboards of a group of chosen features, as {@link #forEach(int[], int, DashboardSink)} makes them of
     * all chosen features. The dashboards of all groups, made on any number of machines, are therefore those of one run
     * of all chosen features, also with {@link DashboardConfig.CorrelationScope#CHOSEN}.
     *
     * @param group    the features whose dashboards are made, in any order; repetitions are ignored. The store must
     *     have been opened for all of them
     * @param chosen   all features whose dashboards are made, in this call or elsewhere, in any order; the group is
     *     among them
     * @param threads  the number of features that are worked on at once, at least 1
     * @param sink     the receiver of the group's dashboards; the caller closes it
     * @throws io.github.panascope.InputException          if the sink cannot write its output
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted
     * @throws IndexOutOfBoundsException                   if the SAE has no such feature
     * @throws IllegalArgumentException                    if a feature of the group is not chosen, the store was not
     *     opened for it, or {@code threads} is less than 1
     */
    public void forEach(int[] group, int[] chosen, int threads, DashboardSink sink) {
        if (threads < 1) throw new IllegalArgumentException("there should be at least 1 thread, not " + threads);
        int[] all = Arrays.stream(chosen).distinct().sorted().toArray();
        for (int feature : all)
            if (feature < 0 || feature >= dSae)
                throw new IndexOutOfBoundsException(
                        "feature " + feature + " is outside the SAE's features 0 to " + (dSae - 1));
        int[] wanted = Arrays.stream(group).distinct().sorted().toArray();
        for (int feature : wanted) {
            if (Arrays.binarySearch(all, feature) < 0)
                throw new IllegalArgumentException(
                        "feature " + feature + " of the group is not among the chosen features");
            if (Arrays.binarySearch(summed, feature) < 0)
                throw new IllegalArgumentException("the store was not opened for feature " + feature);
        }
        NeuronTables tables = new NeuronTables(corpus, neurons.apply(wanted), config.nRows());
        try (var _ = Torch.singleThreaded();
                DashboardRun run = new DashboardRun(this, wanted, all, tables, threads, sink)) {
            run.run();
        }
        sink.complete();
    }

    /**
     * Makes the dashboard of a feature, without ablations.
     *
     * @param neurons the tables of neurons of the feature's run
     * @param logits the logits of the feature's direction [d_vocab]; null if it has none
     */
    FeatureDashboard dashboard(
            FeatureActivations column,
            NeuronTables neurons,
            List<Entry> correlatedFeatures,
            float[] direction,
            float[] logits) {
        Tables tables =
                new Tables(neurons.alignment(direction), neurons.correlated(column.feature), correlatedFeatures);
        FeatureActivations counted = column.without(excluded);
        return new FeatureDashboard(
                column.feature,
                statistics.of(counted),
                tables,
                Histogram.of(counted.values, counted.size, config.nBins()),
                logits == null ? null : Histogram.of(logits, logits.length, config.nBins()),
                logits == null ? null : logitsTable(logits),
                sequences.of(counted, logits));
    }

    private LogitsTable logitsTable(float[] logits) {
        int[] top = TopK.of(logits, config.nLogits());
        int[] bottom = TopK.lowest(logits, config.nLogits());
        return new LogitsTable(top, at(logits, top), bottom, at(logits, bottom));
    }

    private static float[] at(float[] values, int[] indices) {
        float[] found = new float[indices.length];
        for (int i = 0; i < found.length; i++) found[i] = values[indices[i]];
        return found;
    }

    /** {@return a description with the numbers of rows, tokens and features} */
    @Override
    public String toString() {
        return "Dashboards(" + rows() + " rows of " + context() + " tokens, " + dSae + " features)";
    }
}
