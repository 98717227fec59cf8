package io.github.panascope.torch;

import java.io.IOException;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Calls random operators of all that libtorch knows, with random arguments that fit their schemas or nearly. A process
 * of its own, which {@link OperatorFuzzTest} watches: what it is about to call stands in a file that is there when it
 * is not. Each call depends on seed and number alone.
 */
final class OperatorCaller {
    /**
     * Of the journal: the call's number, how many calls of this process returned and how many were refused, the length
     * of what follows, and the operator's name with its arguments.
     */
    static final int JOURNAL_BYTES = 4096;

    static final int RETURNED = 8;
    static final int REFUSED = 16;
    static final int LENGTH = 24;
    static final int TEXT = 28;
    private static final Pattern SCHEMA = Pattern.compile("[^(]+\\((.*)\\) -> .*", Pattern.DOTALL);
    /** A type, a mark of aliasing, a list, whether it may be left out, a name and a default. */
    private static final Pattern ARGUMENT =
            Pattern.compile("(\\w+(?:\\.\\w+)*)(?:\\([^)]*\\))?(\\?)?(\\[\\d*\\])?(?:\\([^)]*\\))?(\\?)? .*");

    private static final long[] ODD_NUMBERS = {
        -1,
        0,
        1,
        2,
        3,
        4,
        7,
        64,
        -2,
        -5,
        255,
        256,
        Integer.MAX_VALUE,
        Integer.MIN_VALUE,
        Long.MAX_VALUE,
        Long.MIN_VALUE,
        1L << 40,
        1L << 53
    };
    private static final double[] ODD_FRACTIONS = {
        0, 1, -1, 0.5, 1e-5, 2, 1e30, -1e30, Double.NaN, Double.POSITIVE_INFINITY, Double.MIN_VALUE
    };
    private static final String[] TEXTS = {
        "",
        "mean",
        "sum",
        "none",
        "linear",
        "fro",
        "floor",
        "trunc",
        "constant",
        "left",
        "mul",
        "...ij,jk->ik",
        "\u00e9",
        "x".repeat(40_000)
    };

    /** What works for as long as a number says, which may be years. */
    private static final Pattern SLOW = Pattern.compile("_polynomial_|_window");

    private final MappedByteBuffer journal;
    private final List<String> names;

    private OperatorCaller(Path journal, List<String> names) throws IOException {
        this.names = names;
        try (FileChannel channel = FileChannel.open(
                journal, StandardOpenOption.READ, StandardOpenOption.WRITE, StandardOpenOption.CREATE)) {
            this.journal = channel.map(FileChannel.MapMode.READ_WRITE, 0, JOURNAL_BYTES);
        }
    }

    /**
     * Arguments: journal, seed, the first call's number, the number after the last, how many calls there are between
     * two collections (0: none is forced), part of a name or "".
     */
    public static void main(String[] arguments) throws IOException {
        long seed = Long.parseLong(arguments[1]);
        int collectEvery = Integer.parseInt(arguments[4]);
        List<String> names = Op.names().stream()
                .filter(name ->
                        name.contains(arguments[5]) && !SLOW.matcher(name).find())
                .sorted()
                .toList();
        OperatorCaller caller = new OperatorCaller(Path.of(arguments[0]), names);
        for (long call = Long.parseLong(arguments[2]); call < Long.parseLong(arguments[3]); call++) {
            caller.call(call, new SplittableRandom(seed * 1_000_003 + call));
            if (collectEvery > 0 && call % collectEvery == 0) System.gc();
        }
        caller.note(-1, "");
        System.out.println("handles " + Torch.liveHandles());
    }

    private void note(long call, String what) {
        byte[] text = what.getBytes(StandardCharsets.UTF_8);
        int length = Math.min(text.length, JOURNAL_BYTES - TEXT);
        journal.putLong(0, call);
        journal.putInt(LENGTH, length);
        journal.put(TEXT, text, 0, length);
    }

    private void call(long number, SplittableRandom random) {
        String name = names.get(random.nextInt(names.size()));
        note(number, name + " (arguments)");
        int outcome = RETURNED;
        try (var _ = TensorScope.open()) {
            int dot = name.indexOf('.', name.indexOf("::"));
            Op op = dot < 0 ? Op.of(name, "") : Op.of(name.substring(0, dot), name.substring(dot + 1));
            Object[] values = arguments(op.schema(), random);
            note(number, name + brief(values));
            boolean gradients = random.nextInt(8) == 0;
            GradMode mode = gradients ? GradMode.enable() : null;
            try {
                for (Object result : op.call(values)) if (result instanceof Tensor tensor) look(tensor);
                for (Object value : values) if (value instanceof Tensor tensor) look(tensor);
            } finally {
                if (mode != null) mode.close();
            }
        } catch (TorchException
                | IllegalArgumentException
                | IllegalStateException
                | IndexOutOfBoundsException
                | UnsupportedOperationException
                | ArithmeticException e) {
            outcome = REFUSED;
        } catch (Throwable e) {
            System.out.println("UNEXPECTED " + e + " of " + name + " in call " + number + " at "
                    + (e.getStackTrace().length == 0 ? "?" : e.getStackTrace()[0]));
        }
        journal.putLong(outcome, journal.getLong(outcome) + 1);
    }

    private static String brief(Object[] values) {
        String text = Values.describe(values);
        return text.length() > 1500 ? text.substring(0, 1500) + " and more" : text;
    }

    /** Reads what Java sees of a tensor. */
    private static void look(Tensor tensor) {
        try {
            if (tensor.shape().elements() > 100_000) return;
            tensor.toFloats();
            if (tensor.device().isCpu()) tensor.segment().mismatch(tensor.segment());
        } catch (TorchException | IllegalStateException e) {
            // one that cannot be read says so
        }
    }

    // ------------------------------------------------------------------------------------------------- arguments

    private static Object[] arguments(String schema, SplittableRandom random) {
        Matcher matcher = SCHEMA.matcher(schema);
        if (!matcher.matches()) return new Object[0];
        List<Object> values = new ArrayList<>();
        long[] shape = shape(random);
        List<String> wanted = split(matcher.group(1));
        for (String argument : wanted) {
            if (argument.equals("*")) continue;
            // What has a default is given or not, with all that comes after it.
            if (argument.contains("=") && random.nextInt(3) == 0) break;
            values.add(random.nextInt(200) == 0 ? any(random) : value(argument, shape, random));
        }
        return values.toArray();
    }

    /** At commas, but not those in brackets, quotes or marks of aliasing. */
    private static List<String> split(String arguments) {
        List<String> parts = new ArrayList<>();
        int depth = 0;
        int start = 0;
        for (int i = 0; i < arguments.length(); i++) {
            char c = arguments.charAt(i);
            if (c == '(' || c == '[') depth++;
            if (c == ')' || c == ']') depth--;
            if (c == ',' && depth == 0) {
                parts.add(arguments.substring(start, i).strip());
                start = i + 1;
            }
        }
        if (!arguments.isBlank()) parts.add(arguments.substring(start).strip());
        return parts;
    }

    private static Object value(String argument, long[] shape, SplittableRandom random) {
        Matcher matcher = ARGUMENT.matcher(argument);
        if (!matcher.matches()) return null;
        boolean optional = matcher.group(2) != null || matcher.group(4) != null;
        if (optional && random.nextInt(3) == 0) return null;
        boolean list = matcher.group(3) != null;
        return switch (matcher.group(1)) {
            case "Tensor" -> list ? tensors(shape, random, matcher.group(2) != null) : tensor(shape, random);
            case "int", "SymInt" -> list ? longs(random, shape) : (Object) number(random);
            case "float" -> list ? random.doubles(random.nextInt(4), -3, 3).toArray() : (Object) fraction(random);
            case "Scalar" -> random.nextBoolean() ? (Object) fraction(random) : (Object) number(random);
            case "bool" -> list ? random.longs(3, 0, 2).toArray() : (Object) random.nextBoolean();
            case "str" -> TEXTS[random.nextInt(TEXTS.length)];
            case "ScalarType" ->
                random.nextInt(4) == 0
                        ? (Object) (long) random.nextInt(-2, 60)
                        : DType.values()[random.nextInt(DType.values().length)];
            case "Layout", "MemoryFormat" -> (long) random.nextInt(-1, 12);
            case "Device" -> Device.CPU;
            default -> random.nextInt(4) == 0 ? any(random) : null;
        };
    }

    private static Object any(SplittableRandom random) {
        return switch (random.nextInt(7)) {
            case 0 -> null;
            case 1 -> number(random);
            case 2 -> fraction(random);
            case 3 -> random.nextBoolean();
            case 4 -> TEXTS[random.nextInt(TEXTS.length)];
            case 5 -> longs(random, new long[0]);
            default -> tensor(shape(random), random);
        };
    }

    private static long number(SplittableRandom random) {
        return random.nextInt(3) == 0 ? ODD_NUMBERS[random.nextInt(ODD_NUMBERS.length)] : random.nextInt(-2, 5);
    }

    private static double fraction(SplittableRandom random) {
        return random.nextInt(3) == 0 ? ODD_FRACTIONS[random.nextInt(ODD_FRACTIONS.length)] : random.nextDouble();
    }

    private static long[] longs(SplittableRandom random, long[] shape) {
        if (random.nextInt(3) == 0) return shape.clone();
        if (random.nextInt(500) == 0) return new long[6000];
        return random.longs(random.nextInt(5), 0, 1).map(_ -> number(random)).toArray();
    }

    private static long[] shape(SplittableRandom random) {
        return random.longs(random.nextInt(6), 0, 5).toArray();
    }

    private static Tensor[] tensors(long[] shape, SplittableRandom random, boolean gaps) {
        int count = random.nextInt(500) == 0 ? 6000 : random.nextInt(5);
        Tensor one = tensor(shape, random);
        Tensor[] list = new Tensor[count];
        for (int i = 0; i < count; i++)
            list[i] = gaps && random.nextInt(3) == 0
                    ? null
                    : count > 5 || random.nextInt(4) > 0 ? one : tensor(shape, random);
        return list;
    }

    private static Tensor tensor(long[] common, SplittableRandom random) {
        long[] sizes = random.nextInt(4) == 0 ? shape(random) : common;
        DType dtype = random.nextInt(3) == 0
                ? DType.values()[random.nextInt(DType.values().length)]
                : random.nextInt(3) == 0 ? DType.INT64 : DType.FLOAT32;
        long elements = Arrays.stream(sizes).reduce(1, (a, b) -> a * b);
        double[] values = random.doubles(elements, -3, 6).toArray();
        // Indices and lengths are whole numbers, and it is theirs that are believed.
        if (elements > 0 && random.nextInt(dtype == DType.INT64 || dtype == DType.INT32 ? 4 : 10) == 0)
            values[random.nextInt((int) elements)] = ODD_NUMBERS[random.nextInt(ODD_NUMBERS.length)];
        Tensor plain = Tensor.of(values, Shape.of(sizes)).to(dtype);
        try {
            return variant(plain, random);
        } catch (TorchException
                | IllegalStateException
                | IllegalArgumentException
                | IndexOutOfBoundsException
                | UnsupportedOperationException e) {
            return plain; // it has none of that kind
        }
    }

    /** Mostly the tensor itself; else a view, or one whose elements are not in rows. */
    private static Tensor variant(Tensor plain, SplittableRandom random) {
        int rank = plain.shape().rank();
        return switch (random.nextInt(40)) {
            case 0 -> Op.of("aten::_neg_view", "").tensor(plain);
            case 1 -> Op.of("aten::to_sparse", "").tensor(plain);
            case 2 -> Op.of("aten::to_mkldnn", "").tensor(plain);
            case 3 ->
                Op.of("aten::_efficientzerotensor", "")
                        .tensor((Object) plain.shape().sizes());
            case 4 ->
                Op.of("aten::quantize_per_tensor", "")
                        .tensor(plain.to(DType.FLOAT32), 0.1, 2L, 12L + random.nextInt(3));
            case 5 -> Op.of("aten::complex", "").tensor(plain.to(DType.FLOAT32), plain.to(DType.FLOAT32));
            case 6 -> Op.of("aten::_nested_tensor_from_tensor_list", "").tensor((Object) new Tensor[] {plain, plain});
            case 7 ->
                Op.of("aten::expand", "").tensor(plain.unsqueeze(0), (Object)
                        expanded(plain.shape().sizes()));
            case 8, 9 -> rank < 2 ? plain : plain.transpose(0, rank - 1);
            case 10 -> Op.of("aten::as_strided", "").tensor(plain, new long[] {2, 2}, new long[] {1, 1});
            case 11 -> GradMode.leaf(plain);
            case 12 -> Op.of("aten::to_sparse_csr", "").tensor(plain);
            case 13 -> rank == 0 || plain.size(0) == 0 ? plain : plain.slice(0, 0, 1);
            default -> plain;
        };
    }

    private static long[] expanded(long[] sizes) {
        long[] more = new long[sizes.length + 1];
        more[0] = 3;
        System.arraycopy(sizes, 0, more, 1, sizes.length);
        return more;
    }
}
