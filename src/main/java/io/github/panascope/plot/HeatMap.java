package io.github.panascope.plot;

import io.github.panascope.internal.AtomicFile;
import io.github.panascope.torch.Tensor;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;

/**
 * A table of numbers as coloured cells, in SVG: blue below zero, white at zero, red above, on one scale. The tooltip of
 * a cell shows its number. Immutable.
 *
 * <pre>{@code
 * try (var _ = TensorScope.open()) {
 *     Tensor effects = Tensor.of(new float[] {-1, 0, 0.5f, 1, 0.25f, -0.5f}, Shape.of(2, 3));
 *     HeatMap.of(effects)
 *             .title("effect of each head")
 *             .rows("layer", List.of("0", "1"))
 *             .columns("head", List.of("0", "1", "2"))
 *             .write(Path.of("heads.svg"));
 * }
 * }</pre>
 */
public final class HeatMap {
    private static final int CELL = 22;
    private static final int FONT = 12;
    private static final int TOP = 52;
    private static final int RIGHT = 110;
    /** Longer tables have smaller cells, down to this size. */
    private static final int SMALLEST_CELL = 4;

    private static final int LARGEST_SIDE = 1400;

    private static final int[] BELOW = {33, 102, 172};
    private static final int[] ZERO = {247, 247, 247};
    private static final int[] ABOVE = {178, 24, 43};

    private final double[][] values;
    private final String title, rowName, columnName;
    private final List<String> rowLabels, columnLabels;

    private HeatMap(
            double[][] values,
            String title,
            String rowName,
            List<String> rowLabels,
            String columnName,
            List<String> columnLabels) {
        if (rowLabels.size() != values.length || columnLabels.size() != values[0].length) {
            throw new IllegalArgumentException(rowLabels.size() + " row labels and " + columnLabels.size()
                    + " column labels for a table of " + values.length + " by " + values[0].length);
        }
        this.values = values;
        this.title = title;
        this.rowName = rowName;
        this.columnName = columnName;
        this.rowLabels = List.copyOf(rowLabels);
        this.columnLabels = List.copyOf(columnLabels);
    }

    /**
     * Makes a heat map of a tensor, with indices as labels and without a title.
     *
     * @param table [rows, columns], of any dtype and device, not empty
     * @return a heat map of a copy of the values
     * @throws IllegalArgumentException if the tensor is empty or does not have two dimensions
     */
    public static HeatMap of(Tensor table) {
        if (table.shape().rank() != 2 || table.shape().elements() == 0)
            throw new IllegalArgumentException("a heat map needs a tensor [rows, columns], not " + table.shape());
        int rows = (int) table.size(0);
        int columns = (int) table.size(1);
        double[] all = table.toDoubles();
        double[][] values = IntStream.range(0, rows)
                .mapToObj(row -> Arrays.copyOfRange(all, row * columns, (row + 1) * columns))
                .toArray(double[][]::new);
        return new HeatMap(values, "", "", numbers(rows), "", numbers(columns));
    }

    private static List<String> numbers(int count) {
        return IntStream.range(0, count).mapToObj(Integer::toString).toList();
    }

    /**
     * Returns a heat map like this one with a title.
     *
     * @param text the title, above the table
     * @return the new heat map
     */
    public HeatMap title(String text) {
        return new HeatMap(values, text, rowName, rowLabels, columnName, columnLabels);
    }

    /**
     * Returns a heat map like this one with other labels of rows.
     *
     * @param name   what the rows are, such as {@code layer}
     * @param labels one label per row
     * @return the new heat map
     * @throws IllegalArgumentException if the number of labels is not that of the rows
     */
    public HeatMap rows(String name, List<String> labels) {
        return new HeatMap(values, title, name, labels, columnName, columnLabels);
    }

    /**
     * Returns a heat map like this one with other labels of columns.
     *
     * @param name   what the columns are, such as {@code head}
     * @param labels one label per column
     * @return the new heat map
     * @throws IllegalArgumentException if the number of labels is not that of the columns
     */
    public HeatMap columns(String name, List<String> labels) {
        return new HeatMap(values, title, rowName, rowLabels, name, labels);
    }

    /**
     * Writes the heat map to an SVG file; an older file is replaced only when all is written.
     *
     * @param file the file to write
     * @throws io.github.panascope.InputException if the file cannot be written
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted; an older file is then unchanged
     */
    public void write(Path file) {
        AtomicFile.write(file, svg());
    }

    /** {@return the heat map as the text of an SVG document} */
    public String svg() {
        int longest = Math.max(values.length, values[0].length);
        int cell = Math.max(SMALLEST_CELL, Math.min(CELL, LARGEST_SIDE / longest));
        int left = 30 + 7 * rowLabels.stream().mapToInt(String::length).max().orElse(0);
        int bottom =
                34 + 7 * columnLabels.stream().mapToInt(String::length).max().orElse(0);
        int width = cell * values[0].length;
        int height = cell * values.length;
        double largest = Arrays.stream(values)
                .flatMapToDouble(Arrays::stream)
                .filter(Double::isFinite)
                .map(Math::abs)
                .max()
                .orElse(0);
        StringBuilder svg = new StringBuilder(String.format(
                Locale.ROOT,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"%s\""
                        + " font-family=\"sans-serif\" font-size=\"%d\">%n<rect width=\"100%%\" height=\"100%%\""
                        + " fill=\"white\"/>%n",
                Math.max(left + width + RIGHT, left + 8 * title.length()),
                TOP + height + bottom,
                Svg.escaped(title),
                FONT));
        svg.append(Svg.text(left, 22, "start", 0, "font-size=\"15\" font-weight=\"bold\"", title));
        svg.append(Svg.text(14, TOP + height / 2, "middle", -90, "", rowName));
        svg.append(Svg.text(left + width / 2, TOP + height + bottom - 8, "middle", 0, "", columnName));
        // Labels that would overlap are left out.
        int every = Math.max(1, (FONT + 1 + cell) / cell - (cell >= FONT ? 1 : 0));
        for (int row = 0; row < values.length; row += every)
            svg.append(Svg.text(left - 5, TOP + row * cell + cell / 2 + 4, "end", 0, "", rowLabels.get(row)));
        for (int column = 0; column < values[0].length; column += every)
            svg.append(Svg.text(
                    left + column * cell + cell / 2 + 4, TOP + height + 6, "end", -90, "", columnLabels.get(column)));
        for (int row = 0; row < values.length; row++)
            for (int column = 0; column < values[row].length; column++) {
                double value = values[row][column];
                svg.append(String.format(
                        Locale.ROOT,
                        "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\"><title>%s, %s:"
                                + " %s</title></rect>%n",
                        left + column * cell,
                        TOP + row * cell,
                        cell,
                        cell,
                        colour(value, largest),
                        Svg.escaped(rowLabels.get(row)),
                        Svg.escaped(columnLabels.get(column)),
                        String.format(Locale.ROOT, "%.4g", value)));
            }
        svg.append(scale(left + width + 20, Math.min(height, 160), largest)).append(String.format("</svg>%n"));
        return svg.toString();
    }

    /** {@return the title, and the numbers of rows and columns} */
    @Override
    public String toString() {
        return "HeatMap(" + (title.isEmpty() ? "" : title + ", ") + values.length + " x " + values[0].length + ")";
    }

    private static String scale(int x, int height, double largest) {
        StringBuilder scale = new StringBuilder();
        int steps = 40;
        for (int step = 0; step < steps; step++) {
            double value = largest * (1 - 2.0 * step / (steps - 1));
            scale.append(String.format(
                    Locale.ROOT,
                    "<rect x=\"%d\" y=\"%.1f\" width=\"14\" height=\"%.1f\" fill=\"%s\"/>%n",
                    x,
                    TOP + (double) step * height / steps,
                    (double) height / steps + 0.5,
                    colour(value, largest)));
        }
        for (double share : new double[] {1, 0, -1}) {
            scale.append(Svg.text(
                    x + 19,
                    (int) Math.round(TOP + (1 - share) / 2 * height) + 4,
                    "start",
                    0,
                    "",
                    String.format(Locale.ROOT, "%.3g", share * largest)));
        }
        return scale.toString();
    }

    /** Returns the colour of a value; grey where it is not a finite number. */
    private static String colour(double value, double largest) {
        if (!Double.isFinite(value)) return "#999999";
        double share = largest == 0 ? 0 : Math.abs(value) / largest;
        int[] end = value < 0 ? BELOW : ABOVE;
        int[] mixed = IntStream.range(0, 3)
                .map(i -> (int) Math.round(ZERO[i] + share * (end[i] - ZERO[i])))
                .toArray();
        return String.format("#%02x%02x%02x", mixed[0], mixed[1], mixed[2]);
    }
}
