package io.github.panascope.dashboard;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.ArrayList;
import java.util.List;

/**
 * Counts of values in bars of equal width, from the smallest to the largest value. They are counted as torch.histc
 * counts in float32; the last bar includes the largest value.
 *
 * @param heights the counts
 * @param values  the middles of the bars, rounded to 5 decimals
 * @param ticks   positions of marks on an axis: three on the longer side of 0, and as many as fit on the other side
 */
public record Histogram(int[] heights, double[] values, double[] ticks) {
    private static final int BLOCK = 1024;
    private static final Histogram EMPTY = new Histogram(new int[0], new double[0], new double[0]);

    /** {@return the histogram of the first {@code count} values, which may be in any order; empty for no values} */
    static Histogram of(float[] data, int count, int bins) {
        if (count == 0) return EMPTY;
        float min = Float.POSITIVE_INFINITY;
        float max = Float.NEGATIVE_INFINITY;
        for (int i = 0; i < count; i++) {
            min = Math.min(min, data[i]);
            max = Math.max(max, data[i]);
        }
        float low = min == max ? min - 1 : min;
        float high = min == max ? max + 1 : max;
        int[] heights = new int[bins];
        // Three arrays, because neighbouring values often fall into one bar, whose updates would wait for each other.
        int[] second = new int[bins];
        int[] third = new int[bins];
        int[] found = new int[Math.min(count, BLOCK)];
        for (int start = 0; start < count; start += BLOCK) {
            int size = Math.min(BLOCK, count - start);
            int i = 0;
            for (int j = 0; j < size; j++)
                found[j] = (int) ((data[start + j] - low)
                        * bins
                        / (high - low)); // a separate loop, so that the compiler vectorizes it
            for (; i + 3 <= size; i += 3) {
                heights[Math.min(found[i], bins - 1)]++;
                second[Math.min(found[i + 1], bins - 1)]++;
                third[Math.min(found[i + 2], bins - 1)]++;
            }
            for (; i < size; i++) heights[Math.min(found[i], bins - 1)]++;
        }
        for (int bin = 0; bin < bins; bin++) heights[bin] += second[bin] + third[bin];
        double[] values = new double[bins];
        double width = ((double) max - min) / bins;
        for (int bin = 0; bin < bins; bin++)
            values[bin] = rounded(linspace(min, max, bins + 1, bin) + (float) (width / 2), 5);
        return new Histogram(heights, values, ticks(min, max));
    }

    /** Computes an element of torch.linspace in float32, which goes from both ends to the middle. */
    static float linspace(float start, float end, int steps, int i) {
        float step = (end - start) / (steps - 1);
        return i < steps / 2 ? start + step * i : end - step * (steps - i - 1);
    }

    private static final double[] POWERS = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};

    /** Rounds to at most 6 decimals, half to even of the exact value, as Python's round does. */
    static double rounded(double value, int decimals) {
        double scaled = value * POWERS[decimals];
        double whole = Math.rint(scaled);
        // The product is off by at most half a unit in its last place. Unless it is that close to the middle between
        // two integers, the nearest integer is certain, and its quotient is the double nearest to the result.
        if (Math.abs(scaled) < 0x1p40 && Math.abs(Math.abs(scaled - whole) - 0.5) > 0x1p-12)
            return (whole + 0.0) / POWERS[decimals]; // no -0
        return Double.isFinite(value)
                ? new BigDecimal(value)
                        .setScale(decimals, RoundingMode.HALF_EVEN)
                        .doubleValue()
                : value;
    }

    /**
     * Computes SAEDashboard's marks. If the longer side is less than 0.3, SAEDashboard's rule results in hundreds of
     * thousands of marks; this method then uses a finer step.
     */
    private static double[] ticks(double min, double max) {
        boolean mirrored = max <= -min;
        double longer = mirrored ? -min : max;
        double shorter = mirrored ? max : -min;
        if (!(longer > 0)) return new double[] {0};
        double step = 0.1 * (int) (1e-4 + longer / 0.3) + 1e-6;
        int decimals = 1;
        if (longer < 0.3) {
            double magnitude = Math.pow(10, Math.floor(Math.log10(longer / 3)));
            step = magnitude * (int) (1e-4 + longer / 3 / magnitude);
            decimals = (int) Math.max(1, -Math.floor(Math.log10(magnitude)));
        }
        List<Double> ticks = new ArrayList<>();
        int more = Math.max(0, (int) (shorter / step));
        for (int i = -(mirrored ? 3 : more); i <= (mirrored ? more : 3); i++) ticks.add(rounded(i * step, decimals));
        return ticks.stream().mapToDouble(tick -> tick == 0 ? 0 : tick).toArray();
    }
}
