package io.github.panascope.torch;

import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.ArrayList;
import java.util.List;
import java.util.function.DoubleFunction;
import java.util.function.LongFunction;
import java.util.stream.DoubleStream;
import java.util.stream.LongStream;
import java.util.stream.Stream;

/**
 * The text of a tensor, in PyTorch's layout with its default print options. Only the elements that are printed are
 * copied to the host.
 */
final class TensorText {
    private static final String PREFIX = "tensor(";
    private static final int COLUMNS = 80;
    /** Tensors of more elements are summarised. */
    private static final int THRESHOLD = 1000;
    /** Elements at each end of a dimension that a summary shows. */
    private static final int EDGE = 3;
    /** A summary of many small dimensions can still be long; beyond this, no element is printed. */
    private static final int MOST = 100_000;

    private static final int DIGITS = 4;

    /** The sizes of what is shown: up to 2 * EDGE where a dimension is summarised. */
    private final int[] sizes;

    private final boolean[] summarised;
    /** The elements that are shown, row by row. */
    private final List<String> texts;
    /** The width that columns have; a text that is longer is not cut. */
    private final int width;

    private final StringBuilder out = new StringBuilder(PREFIX);

    private TensorText(int[] sizes, boolean[] summarised, List<String> texts, int width) {
        this.sizes = sizes;
        this.summarised = summarised;
        this.texts = texts;
        this.width = width;
    }

    /** {@return the text; the tensor's description if even a summary of its elements would be too long} */
    static String of(Tensor tensor) {
        Shape shape = tensor.shape();
        boolean isLong = shape.elements() > THRESHOLD;
        int[] sizes = new int[shape.rank()];
        boolean[] summarised = new boolean[shape.rank()];
        long shown = 1;
        for (int d = 0; d < sizes.length; d++) {
            summarised[d] = isLong && shape.size(d) > 2 * EDGE;
            long size = summarised[d] ? 2 * EDGE : shape.size(d);
            shown *= size;
            if (shown > MOST) return tensor.describe();
            sizes[d] = (int) size;
        }
        TensorText text;
        try (var _ = TensorScope.open()) {
            text = written(shown == 0 ? tensor : shown(tensor, summarised), sizes, summarised);
        }
        if (shown == 0) text.out.append("[]");
        else text.append(0, 0, PREFIX.length());
        text.property("shape=" + shape);
        text.property("dtype=" + tensor.dtype());
        text.property("device=" + tensor.device());
        return text.out.append(')').toString();
    }

    /** Returns a view of the elements that are shown; a summarised dimension becomes two: ends, and places in them. */
    private static Tensor shown(Tensor tensor, boolean[] summarised) {
        Tensor view = tensor;
        List<Integer> order = new ArrayList<>();
        int rank = summarised.length;
        for (int d = 0; d < summarised.length; d++) {
            order.add(d);
            if (!summarised[d]) continue;
            // Windows of EDGE elements, so far apart that there are two: the view's last dimension goes through one.
            view = TensorOps.UNFOLD.tensor(view, d, EDGE, tensor.size(d) - EDGE);
            order.add(rank++);
        }
        return rank == summarised.length
                ? view
                : view.permute(order.stream().mapToInt(Integer::intValue).toArray());
    }

    private static TensorText written(Tensor shown, int[] sizes, boolean[] summarised) {
        DType dtype = shown.dtype();
        if (dtype.isFloatingPoint()) {
            double[] values = dtype == DType.FLOAT64 ? shown.toDoubles() : widened(shown.toFloats());
            Numbers numbers = Numbers.of(values);
            List<String> texts =
                    DoubleStream.of(values).mapToObj(numbers.format).toList();
            return new TensorText(sizes, summarised, texts, numbers.width);
        }
        LongFunction<String> format = dtype == DType.BOOL ? value -> value == 0 ? "False" : "True" : Long::toString;
        List<String> texts = LongStream.of(shown.toLongs()).mapToObj(format).toList();
        return new TensorText(sizes, summarised, texts, longest(texts.stream()));
    }

    private static double[] widened(float[] floats) {
        double[] values = new double[floats.length];
        for (int i = 0; i < floats.length; i++) values[i] = floats[i];
        return values;
    }

    private static int longest(Stream<String> texts) {
        return texts.mapToInt(String::length).max().orElse(0);
    }

    /**
     * How the numbers of a tensor are written: alike, as those that are finite and not zero demand.
     *
     * @param format writes a number
     * @param width  the width of the longest of those numbers
     */
    private record Numbers(DoubleFunction<String> format, int width) {
        static Numbers of(double[] values) {
            double[] telling = DoubleStream.of(values)
                    .filter(value -> value != 0 && Double.isFinite(value))
                    .toArray();
            if (telling.length == 0) return new Numbers(Numbers::whole, 1);
            double most = DoubleStream.of(telling).map(Math::abs).max().orElseThrow();
            double least = DoubleStream.of(telling).map(Math::abs).min().orElseThrow();
            boolean whole = DoubleStream.of(telling).allMatch(value -> value == Math.rint(value));
            boolean exponent = most / least > 1000 || most > 1e8 || !whole && least < 1e-4;
            DoubleFunction<String> format = exponent ? Numbers::scientific : whole ? Numbers::whole : Numbers::fixed;
            return new Numbers(format, longest(DoubleStream.of(telling).mapToObj(format)));
        }

        private static String whole(double value) {
            return Double.isFinite(value) ? decimal(value, 0) + "." : special(value);
        }

        private static String fixed(double value) {
            return Double.isFinite(value) ? decimal(value, DIGITS) : special(value);
        }

        /** Rounds the exact binary value half to even, as C does. */
        private static String decimal(double value, int digits) {
            return sign(value)
                    + new BigDecimal(Math.abs(value))
                            .setScale(digits, RoundingMode.HALF_EVEN)
                            .toPlainString();
        }

        private static String scientific(double value) {
            if (!Double.isFinite(value)) return special(value);
            if (value == 0) return sign(value) + "0." + "0".repeat(DIGITS) + "e+00";
            BigDecimal rounded =
                    new BigDecimal(Math.abs(value)).round(new MathContext(DIGITS + 1, RoundingMode.HALF_EVEN));
            int exponent = rounded.precision() - rounded.scale() - 1;
            BigDecimal mantissa = rounded.movePointLeft(exponent).setScale(DIGITS, RoundingMode.UNNECESSARY);
            return sign(value)
                    + mantissa.toPlainString()
                    + (exponent < 0 ? "e-" : "e+")
                    + (Math.abs(exponent) < 10 ? "0" : "")
                    + Math.abs(exponent);
        }

        private static String sign(double value) {
            return Double.doubleToRawLongBits(value) < 0 ? "-" : "";
        }

        private static String special(double value) {
            return Double.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
        }
    }

    /**
     * Appends the elements below an index of the outer dimensions.
     *
     * @param dimension the dimension whose elements are appended; the rank for a single element
     * @param index     the index of the outer dimensions, row by row
     * @param indent    the columns before the bracket that opens here
     */
    private void append(int dimension, int index, int indent) {
        if (dimension == sizes.length) {
            element(index);
            return;
        }
        out.append('[');
        if (dimension == sizes.length - 1) vector(index, indent);
        else {
            for (int i = 0; i < sizes[dimension]; i++) {
                String between = "," + "\n".repeat(sizes.length - 1 - dimension) + " ".repeat(indent + 1);
                if (i > 0) out.append(between);
                if (i == EDGE && summarised[dimension]) out.append("...").append(between);
                append(dimension + 1, index * sizes[dimension] + i, indent + 1);
            }
        }
        out.append(']');
    }

    private void vector(int index, int indent) {
        int size = sizes[sizes.length - 1];
        boolean summary = summarised[sizes.length - 1];
        int inLine = Math.max(1, (COLUMNS - indent) / (width + 2));
        for (int i = 0, place = 0; i < size; i++, place++) {
            separate(place, inLine, indent);
            if (i == EDGE && summary) {
                out.append(" ...");
                separate(++place, inLine, indent);
            }
            element(index * size + i);
        }
    }

    private void separate(int place, int inLine, int indent) {
        if (place == 0) return;
        if (place % inLine == 0) out.append(",\n").append(" ".repeat(indent + 1));
        else out.append(", ");
    }

    private void element(int index) {
        String text = texts.get(index);
        out.append(" ".repeat(Math.max(0, width - text.length()))).append(text);
    }

    /** Appends a property, on a line of its own where it would be too long. */
    private void property(String property) {
        int column = out.length() - 1 - out.lastIndexOf("\n");
        if (column + 2 + property.length() + 1 > COLUMNS)
            out.append(",\n").append(" ".repeat(PREFIX.length())).append(property);
        else out.append(", ").append(property);
    }
}
