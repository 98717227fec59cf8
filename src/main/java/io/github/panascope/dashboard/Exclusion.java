package io.github.panascope.dashboard;

import java.util.Arrays;
import java.util.BitSet;
import java.util.Set;

/**
 * The positions that count as zero for every feature, by the rules of a {@link DashboardConfig}: certain tokens,
 * certain positions in the row, and activations whose norm is above a multiple of the row's median. The median is that
 * of torch.median, the lower of the middle two. {@link FeatureCollector} (on a device {@link DeviceCollector}) computes
 * the norms of rows, and {@link PromptDashboard} those of a prompt.
 */
final class Exclusion {
    private final Set<Integer> tokens;
    private final Set<Integer> positions;
    private final double normMultiple;

    Exclusion(DashboardConfig config) {
        this.tokens = config.ignoreTokens();
        this.positions = config.ignorePositions();
        this.normMultiple = config.ignoreHighActivationNormMultiple();
    }

    /** {@return whether no position is ever excluded} */
    boolean isEmpty() {
        return tokens.isEmpty() && positions.isEmpty() && !usesNorms();
    }

    /** {@return whether the rules need the norms of activations} */
    boolean usesNorms() {
        return normMultiple != Double.POSITIVE_INFINITY;
    }

    /**
     * Adds the excluded positions of a row to a set.
     *
     * @param excluded the set
     * @param first    the index in the set of the row's first position
     * @param row      the token ids of the row
     * @param norms    the norms of the activations at each position; not read unless {@link #usesNorms}
     */
    void addTo(BitSet excluded, int first, int[] row, float[] norms) {
        double limit = Double.POSITIVE_INFINITY;
        if (usesNorms()) {
            float[] sorted = norms.clone();
            Arrays.sort(sorted);
            limit = normMultiple * sorted[(sorted.length - 1) / 2];
        }
        for (int i = 0; i < row.length; i++)
            if (positions.contains(i) || tokens.contains(row[i]) || usesNorms() && norms[i] > limit)
                excluded.set(first + i);
    }
}
