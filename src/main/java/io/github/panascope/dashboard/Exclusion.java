package io.github.panascope.dashboard;

import java.util.Arrays;
import java.util.BitSet;
import java.util.Set;

/**
 * Which positions count as zero for every feature, by the rules of a {@link DashboardConfig}: its tokens, its positions
 * in the row, and activations whose norm is above a multiple of the row's median (torch.median: the lower of the middle
 * two).
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

    /** Whether no position is ever excluded. */
    boolean isEmpty() {
        return tokens.isEmpty() && positions.isEmpty() && !usesNorms();
    }

    /** Whether the norms of activations have to be known. */
    boolean usesNorms() {
        return normMultiple != Double.POSITIVE_INFINITY;
    }

    /**
     * Adds the excluded positions of a row to a set.
     *
     * @param row      token ids
     * @param norms    of the activation at each position; not read unless {@link #usesNorms}
     * @param excluded the set
     * @param first    the set's bit of the row's first position
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
