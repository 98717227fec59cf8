package io.github.panascope.plot;

import io.github.panascope.internal.AtomicFile;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Objects;

/**
 * How often each count occurs, as bars in SVG, with a line at the mean: the L0 of positions, for instance. The tooltip
 * of a bar shows its numbers. Of more than 130 counts, neighbours share bars, so that there are at most 130. Immutable.
 *
 * <pre>{@code
 * static void write(L0 l0) {
 *     CountHistogram.of(l0.histogram())
 *             .title("L0")
 *             .axes("active features", "positions")
 *             .write(Path.of("l0.svg"));
 * }
 * }</pre>
 */
public final class CountHistogram {
    private static final int WIDTH = 520;
    private static final int HEIGHT = 220;
    private static final int LEFT = 62;
    private static final int TOP = 48;
    private static final int RIGHT = 20;
    private static final int BOTTOM = 48;
    private static final int FONT = 12;
    /** More counts than this share bars. */
    private static final int MOST_BARS = 130;

    private final long[] occurrences;
    private final String title, countName, occurrenceName;

    private CountHistogram(long[] occurrences, String title, String countName, String occurrenceName) {
        this.occurrences = occurrences;
        this.title = title;
        this.countName = countName;
        this.occurrenceName = occurrenceName;
    }

    /**
     * Makes a histogram without title and names of axes.
     *
     * @param occurrences how often the count i occurs, at each index i; copied
     * @return the histogram
     * @throws IllegalArgumentException if a number is negative
     */
    public static CountHistogram of(long[] occurrences) {
        for (int i = 0; i < occurrences.length; i++)
            if (occurrences[i] < 0)
                throw new IllegalArgumentException(
                        "the count " + i + " should occur 0 times or more, not " + occurrences[i]);
        return new CountHistogram(occurrences.clone(), "", "", "");
    }

    /**
     * Returns a histogram like this one with a title.
     *
     * @param text the title, above the bars
     * @return the new histogram
     * @throws NullPointerException if the title is null
     */
    public CountHistogram title(String text) {
        Objects.requireNonNull(text, "the title should not be null; it may be empty");
        return new CountHistogram(occurrences, text, countName, occurrenceName);
    }

    /**
     * Returns a histogram like this one with other names of its axes.
     *
     * @param counts what is counted, below the bars, such as {@code active features}
     * @param of     what has these counts, beside the bars, such as {@code positions}
     * @return the new histogram
     * @throws NullPointerException if a name is null
     */
    public CountHistogram axes(String counts, String of) {
        Objects.requireNonNull(counts, "the name of the counts should not be null; it may be empty");
        Objects.requireNonNull(of, "the name of what has the counts should not be null; it may be empty");
        return new CountHistogram(occurrences, title, counts, of);
    }

    /** {@return the mean count; NaN if there is none} */
    public double mean() {
        double sum = 0;
        double all = 0;
        for (int count = 0; count < occurrences.length; count++) {
            sum += (double) count * occurrences[count];
            all += occurrences[count];
        }
        return sum / all;
    }

    /**
     * Writes the histogram to an SVG file, and makes the folders above it that are missing; an older file is replaced
     * only when all is written.
     *
     * @param file the file to write
     * @throws io.github.panascope.InputException if the file cannot be written
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted; an older file is then unchanged
     */
    public void write(Path file) {
        AtomicFile.write(file, svg());
    }

    /** {@return the histogram as the text of an SVG document} */
    public String svg() {
        int counts = Math.max(1, occurrences.length);
        int together = (counts + MOST_BARS - 1) / MOST_BARS;
        int bars = (counts + together - 1) / together;
        long[] heights = new long[bars];
        for (int count = 0; count < occurrences.length; count++) heights[count / together] += occurrences[count];
        long highest = 1;
        for (long height : heights) highest = Math.max(highest, height);
        long step = niceStep(highest, 4);
        double top = Math.ceil((double) highest / step) * step;
        int shownCounts = bars * together;
        StringBuilder svg = new StringBuilder(String.format(
                Locale.ROOT,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"%s\""
                        + " font-family=\"sans-serif\" font-size=\"%d\">%n<rect width=\"100%%\" height=\"100%%\""
                        + " fill=\"white\"/>%n",
                LEFT + WIDTH + RIGHT,
                TOP + HEIGHT + BOTTOM,
                Svg.escaped(title),
                FONT));
        svg.append(Svg.text(LEFT, 22, "start", 0, "font-size=\"15\" font-weight=\"bold\"", title));
        svg.append(Svg.text(LEFT + WIDTH / 2, TOP + HEIGHT + BOTTOM - 10, "middle", 0, "", countName));
        svg.append(Svg.text(14, TOP + HEIGHT / 2, "middle", -90, "", occurrenceName));
        for (long mark = 0; mark <= top; mark += step) {
            double y = TOP + HEIGHT * (1 - mark / top);
            svg.append(line(LEFT, y, LEFT + WIDTH, y, mark == 0 ? "#444" : "#ddd", ""));
            svg.append(Svg.text(LEFT - 6, (int) Math.round(y) + 4, "end", 0, "", Long.toString(mark)));
        }
        for (int bar = 0; bar < bars; bar++)
            if (heights[bar] > 0) svg.append(bar(bar, bars, together, heights[bar], HEIGHT * heights[bar] / top));
        long countStep = niceStep(shownCounts, 10);
        for (long mark = 0; mark < shownCounts; mark += countStep)
            svg.append(Svg.text(
                    (int) Math.round(x(mark, shownCounts)), TOP + HEIGHT + 16, "middle", 0, "", Long.toString(mark)));
        double mean = mean();
        if (!Double.isNaN(mean)) {
            double x = x(mean, shownCounts);
            svg.append(line(x, TOP - 8, x, TOP + HEIGHT, "#b2182b", " stroke-dasharray=\"4 3\""));
            svg.append(Svg.text(
                    (int) Math.round(x),
                    TOP - 12,
                    x < LEFT + WIDTH / 4.0 ? "start" : x > LEFT + WIDTH * 0.75 ? "end" : "middle",
                    0,
                    "fill=\"#b2182b\"",
                    String.format(Locale.ROOT, "mean %.2f", mean)));
        }
        return svg.append(String.format("</svg>%n")).toString();
    }

    /** {@return the title, and the mean count} */
    @Override
    public String toString() {
        return "CountHistogram(" + (title.isEmpty() ? "" : title + ", ") + "mean " + mean() + ")";
    }

    /** Returns the place of a count, in the middle of its share of the width. */
    private static double x(double count, int counts) {
        return LEFT + WIDTH * (count + 0.5) / counts;
    }

    private String bar(int bar, int bars, int together, long occurrences, double height) {
        int first = bar * together;
        String counts = together == 1 ? Integer.toString(first) : first + " to " + (first + together - 1);
        double width = (double) WIDTH / bars;
        return String.format(
                Locale.ROOT,
                "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"#2166ac\"><title>%s:"
                        + " %d</title></rect>%n",
                LEFT + bar * width,
                TOP + HEIGHT - height,
                Math.max(1, width - 1),
                height,
                counts,
                occurrences);
    }

    private static String line(double x, double y, double toX, double toY, String colour, String more) {
        return String.format(
                Locale.ROOT,
                "<line x1=\"%.2f\" y1=\"%.2f\" x2=\"%.2f\" y2=\"%.2f\" stroke=\"%s\"%s/>%n",
                x,
                y,
                toX,
                toY,
                colour,
                more);
    }

    /** Returns a step of 1, 2 or 5 times a power of ten that makes at most so many marks. */
    private static long niceStep(long range, int marks) {
        for (long power = 1; ; power *= 10)
            for (long step : new long[] {power, 2 * power, 5 * power}) if (range <= step * marks) return step;
    }
}
