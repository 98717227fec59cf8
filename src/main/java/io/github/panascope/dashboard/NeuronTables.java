package io.github.panascope.dashboard;

import io.github.panascope.dashboard.FeatureDashboard.Entry;
import java.util.Arrays;
import java.util.List;

/** The tables of dimensions of the activation ("neurons") that belong to a feature. */
final class NeuronTables {
    private final StoredActivations corpus;
    private final NeuronCorrelationSums neurons;
    private final int wanted;

    /** @param wanted the number of rows of a table */
    NeuronTables(StoredActivations corpus, NeuronCorrelationSums neurons, int wanted) {
        this.corpus = corpus;
        this.neurons = neurons;
        this.wanted = wanted;
    }

    /**
     * Returns the largest entries of a decoder direction: the entry, and the share of its absolute value in the sum of
     * absolute values.
     */
    List<Entry> alignment(float[] direction) {
        double l1 = 0;
        for (float value : direction) l1 += Math.abs(value);
        double sum = l1;
        return Arrays.stream(TopK.of(direction, wanted))
                .mapToObj(i -> new Entry(i, direction[i], Math.abs(direction[i]) / sum))
                .toList();
    }

    /**
     * Returns the dimensions with the largest Pearson correlation over all positions, and their cosines; none if the
     * feature never fires. SAEDashboard's correlation is (nΣxy − ΣxΣy) / (√((nΣx² − (Σx)²)(nΣy² − (Σy)²)) + 1e-6).
     */
    List<Entry> correlated(int feature) {
        int place = neurons.place(feature);
        int count = neurons.dIn();
        double[] pearson = new double[count];
        double[] cosine = new double[count];
        double n = corpus.positions;
        double x = corpus.sums[feature];
        double xx = corpus.squares[feature];
        if (xx == 0) return List.of();
        for (int j = 0; j < count; j++) {
            double xy = neurons.xy(place, j);
            double y = neurons.y(j);
            double yy = neurons.ySquared(j);
            pearson[j] =
                    (n * xy - x * y) / (corpus.spreads[feature] * corpus.spread(y, yy) + StoredActivations.EPSILON);
            cosine[j] = xy / (Math.sqrt(xx * yy) + StoredActivations.EPSILON);
        }
        return Arrays.stream(TopK.of(pearson, wanted))
                .mapToObj(j -> new Entry(j, pearson[j], cosine[j]))
                .toList();
    }
}
