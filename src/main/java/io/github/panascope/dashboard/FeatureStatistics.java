package io.github.panascope.dashboard;

import io.github.panascope.dashboard.FeatureDashboard.Statistics;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;

/** Moments and quantiles of a feature's activations over all positions, zeros included, in double precision. */
final class FeatureStatistics {
    /** SAEDashboard's levels, finer towards 1. */
    private static final double[] QUANTILES = levels();
    /** Activations up to this value count as zero, as in SAEDashboard. */
    private static final double SMALLEST = 1e-6;

    private final int positions;
    private final int excluded;

    /**
     * @param positions the number of positions of all rows
     * @param excluded  the positions at which features count as zero
     */
    FeatureStatistics(int positions, BitSet excluded) {
        this.positions = positions;
        this.excluded = excluded.cardinality();
    }

    static double[] quantiles() {
        return QUANTILES.clone();
    }

    private static double[] levels() {
        List<Double> levels = new ArrayList<>();
        double[][] ranges = {{0, 0.95, 1e-3}, {0.95, 0.99, 1e-4}, {0.99, 1, 1e-5}};
        for (double[] range : ranges) {
            int count = (int) Math.round((range[1] - range[0]) / range[2]);
            for (int i = 0; i < count; i++) levels.add(range[0] + i * range[2]);
        }
        return levels.stream().mapToDouble(Double::doubleValue).toArray();
    }

    Statistics of(FeatureActivations column) {
        double n = positions;
        double sum = 0;
        long nonzero = 0;
        for (int i = 0; i < column.size; i++) {
            sum += column.values[i];
            if (column.values[i] > SMALLEST) nonzero++;
        }
        double mean = sum / n;
        double zeros = n - column.size;
        double second = zeros * mean * mean;
        double third = -zeros * mean * mean * mean;
        double fourth = zeros * mean * mean * mean * mean;
        for (int i = 0; i < column.size; i++) {
            double d = column.values[i] - mean;
            second += d * d;
            third += d * d * d;
            fourth += d * d * d * d;
        }
        double variance = second / n;
        double std = Math.sqrt(variance);
        return new Statistics(
                positions,
                excluded,
                column.size,
                nonzero / n,
                column.max(),
                mean,
                column.size == 0 ? 0 : sum / column.size,
                std,
                third / n / (variance * std),
                fourth / n / (variance * variance) - 3,
                quantileData(column));
    }

    private double[] quantileData(FeatureActivations column) {
        float[] sorted = Arrays.copyOf(column.values, column.size);
        Arrays.sort(sorted);
        long zeros = (long) positions - column.size;
        double[] levels = QUANTILES;
        double[] data = new double[levels.length];
        int leading = 0;
        for (int i = 0; i < levels.length; i++) {
            double rank = levels[i] * (positions - 1.0);
            long below = (long) rank;
            double low = valueAt(sorted, zeros, below);
            double high = valueAt(sorted, zeros, Math.min(below + 1, positions - 1));
            data[i] = Histogram.rounded(low + (rank - below) * (high - low), 6);
            if (leading == i && Math.abs(data[i]) <= SMALLEST) leading++;
        }
        return Arrays.copyOfRange(data, leading, data.length);
    }

    private static double valueAt(float[] sorted, long zeros, long rank) {
        return rank < zeros ? 0 : sorted[(int) (rank - zeros)];
    }
}
