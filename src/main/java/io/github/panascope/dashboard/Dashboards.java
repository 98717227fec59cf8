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

/**
 * Makes dashboards of features from a {@link FeatureStore}, one after the other, with SAEDashboard's statistics. What
 * comes out for a feature does not depend on the others that are asked for (but with
 * {@link DashboardConfig.CorrelationScope#CHOSEN}), nor on the number of threads.
 */
public final class Dashboards {
    static final String MAKING = "making dashboards";

    final Sae sae;
    final DashboardConfig config;
    final StoredActivations corpus;
    private final BitSet excluded;
    private final NeuronCorrelationSums neurons;
    private final FeatureStatistics statistics;
    private final NeuronTables neuronTables;
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
        this.neurons = store.sums();
        this.statistics = new FeatureStatistics(corpus.positions, excluded);
        this.neuronTables = new NeuronTables(corpus, neurons, config.nRows());
        this.correlated = new CorrelatedFeatures(corpus, config.nRows());
        this.sequences = new Sequences(corpus, excluded, config);
        this.directions = new DecoderDirections(model, sae);
        this.ablations = config.performAblationExperiments()
                ? new Ablations(model, sae, directions, config.topLogitsHoverdata())
                : null;
    }

    /**
     * Reads a store's shards. The model and the SAE are those that filled it, and live as long as this.
     *
     * @throws io.github.panascope.InputException if the store lacks rows between its first and its last
     */
    public static Dashboards of(HookedTransformer model, Sae sae, FeatureStore store, DashboardConfig config) {
        sae.requireFits(model);
        return new Dashboards(model, sae, store, config);
    }

    /** Rows of the store. */
    public int rows() {
        return corpus.rows;
    }

    /** Tokens in a row. */
    public int context() {
        return corpus.context;
    }

    /** How many positions do not count. */
    public int excluded() {
        return excluded.cardinality();
    }

    /** How often each feature of the SAE is not zero, over all positions. */
    public int[] counts() {
        return corpus.counts.clone();
    }

    /** Where features' activations are listed by quantile: SAEDashboard's 2,350 levels, finer towards 1. */
    public static double[] quantiles() {
        return FeatureStatistics.quantiles();
    }

    /**
     * Makes dashboards, by ascending number of the feature, and completes the sink.
     *
     * @param features those wanted; each must be among those that the store was opened for
     * @param threads  features that are worked on at once
     * @param sink     gets the dashboards; the caller closes it
     * @throws io.github.panascope.RunInterruptedException if the thread was interrupted
     * @throws IndexOutOfBoundsException                   if the SAE has no such feature
     * @throws IllegalArgumentException                    if the store was not opened for a feature, or there is no
     *     thread
     */
    public void forEach(int[] features, int threads, DashboardSink sink) {
        if (threads < 1) throw new IllegalArgumentException("there should be at least 1 thread, not " + threads);
        int[] wanted = Arrays.stream(features).distinct().sorted().toArray();
        for (int feature : wanted) {
            if (feature < 0 || feature >= dSae)
                throw new IndexOutOfBoundsException(
                        "feature " + feature + " is outside the SAE's features 0 to " + (dSae - 1));
            if (neurons.place(feature) < 0)
                throw new IllegalArgumentException("the store was not opened for feature " + feature);
        }
        try (var _ = Torch.singleThreaded();
                DashboardRun run = new DashboardRun(this, wanted, threads, sink)) {
            run.run();
        }
        sink.complete();
    }

    /** What is shown of a feature, without ablations. {@code logits} may be null. */
    FeatureDashboard dashboard(
            FeatureActivations column, List<Entry> correlatedFeatures, float[] direction, float[] logits) {
        Tables tables = new Tables(
                neuronTables.alignment(direction), neuronTables.correlated(column.feature), correlatedFeatures);
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

    /** What they are made of. */
    @Override
    public String toString() {
        return "Dashboards(" + rows() + " rows of " + context() + " tokens, " + dSae + " features)";
    }
}
