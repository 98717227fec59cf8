package io.github.panascope.notebook;

import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** What is shown for a tensor: shape, dtype and device, and a table of its first numbers. */
final class TensorTable {
    private static final int ROWS = 6;
    private static final int COLUMNS = 8;
    private static final String MORE = "…";

    private TensorTable() {}

    static String html(Tensor tensor) {
        Shape shape = tensor.shape();
        String about = Html.paragraph("Tensor " + shape + ", " + tensor.dtype() + ", " + tensor.device());
        if (shape.elements() == 0) return about;
        String which = shape.rank() > 2 ? Html.paragraph("at " + "0, ".repeat(shape.rank() - 2) + ":, :") : "";
        return about + which + table(tensor);
    }

    /** Returns a table of the first rows and columns of the first matrix. Only these are read from the device. */
    private static String table(Tensor tensor) {
        int rank = tensor.shape().rank();
        long columns = rank == 0 ? 1 : tensor.size(-1);
        long rows = rank < 2 ? 1 : tensor.size(-2);
        int shownColumns = (int) Math.min(columns, COLUMNS);
        int shownRows = (int) Math.min(rows, ROWS);
        boolean exact = !tensor.dtype().isFloatingPoint();
        double[] numbers = {};
        long[] whole = {}; // which may be larger than what doubles represent
        try (var _ = TensorScope.open()) {
            Tensor first = tensor;
            for (int dimension = 0; dimension < rank - 2; dimension++) first = first.slice(dimension, 0, 1);
            if (rank > 1) first = first.slice(-2, 0, shownRows);
            if (rank > 0) first = first.slice(-1, 0, shownColumns);
            if (exact) whole = first.toLongs();
            else numbers = first.toDoubles();
        }
        double largest = Arrays.stream(numbers)
                .filter(Double::isFinite)
                .map(Math::abs)
                .max()
                .orElse(0);
        List<List<String>> cells = new ArrayList<>();
        for (int row = 0; row < shownRows; row++) {
            List<String> shown = new ArrayList<>();
            if (rank > 1) shown.add("<b>" + row + "</b>");
            for (int column = 0; column < shownColumns; column++) {
                int at = row * shownColumns + column;
                shown.add(exact ? Long.toString(whole[at]) : number(numbers[at], largest));
            }
            if (columns > shownColumns) shown.add(MORE);
            cells.add(shown);
        }
        if (rows > shownRows) cells.add(List.of(MORE));
        return Html.table(rank == 0 ? null : head(rank, shownColumns, columns), cells);
    }

    private static List<String> head(int rank, int shown, long columns) {
        List<String> head = new ArrayList<>();
        if (rank > 1) head.add("");
        for (int column = 0; column < shown; column++) head.add(Integer.toString(column));
        if (columns > shown) head.add(MORE);
        return head;
    }

    /** Returns a number with four decimals, or in exponents if the table's numbers are very large or small. */
    private static String number(double number, double largest) {
        if (!Double.isFinite(number)) return Double.toString(number);
        boolean plain = largest == 0 || largest >= 1e-3 && largest < 1e6;
        return String.format(Locale.ROOT, plain ? "%.4f" : "%.4e", number);
    }
}
