package io.github.panascope.torch;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.github.panascope.bindings.Psc;
import io.github.panascope.bindings.psc_value;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.stream.Collectors;

/**
 * Converts Java values to an array of psc_value and back. Until it is closed, the scopes of tensor arguments cannot be
 * closed.
 */
final class Values implements AutoCloseable {
    /** The capacity for results: more than any operator or method used here returns. */
    static final int MAX_RESULTS = 64;

    private static final long SIZE = psc_value.sizeof();
    private static final long COUNT_OFFSET = 4;
    private static final long VALUE_OFFSET = 8;

    private final Scratch scratch;
    private final MemorySegment segment;
    private TensorScope[] acquired = new TensorScope[4];
    private int acquiredCount;

    private Values(Scratch scratch, int count) {
        this.scratch = scratch;
        this.segment = scratch.room(count * SIZE);
    }

    static Values of(Scratch scratch, Object... arguments) {
        Values values = new Values(scratch, arguments.length);
        try {
            for (int i = 0; i < arguments.length; i++) values.write(i * SIZE, arguments[i]);
            return values;
        } catch (RuntimeException | Error e) {
            values.close();
            throw e;
        }
    }

    MemorySegment segment() {
        return segment;
    }

    MemorySegment results() {
        return scratch.room(MAX_RESULTS * SIZE);
    }

    private void write(long at, Object argument) {
        switch (argument) {
            case null -> tag(at, Psc.PSC_TAG_NONE(), 0);
            case Tensor tensor -> {
                tag(at, Psc.PSC_TAG_TENSOR(), 0);
                segment.set(JAVA_LONG, at + VALUE_OFFSET, address(tensor));
            }
            case Integer number -> number(at, Psc.PSC_TAG_INT(), number);
            case Long number -> number(at, Psc.PSC_TAG_INT(), number);
            case Short number -> number(at, Psc.PSC_TAG_INT(), number);
            case Byte number -> number(at, Psc.PSC_TAG_INT(), number);
            case Boolean truth -> number(at, Psc.PSC_TAG_BOOL(), truth ? 1 : 0);
            case DType dtype -> number(at, Psc.PSC_TAG_DTYPE(), dtype.code);
            case Float number -> number(at, number);
            case Double number -> number(at, number);
            case String text -> pointer(at, Psc.PSC_TAG_STRING(), 0, scratch.text(text));
            case Device device -> {
                tag(at, Psc.PSC_TAG_DEVICE(), device.index());
                segment.set(JAVA_LONG, at + VALUE_OFFSET, device.code());
            }
            case long[] list -> pointer(at, Psc.PSC_TAG_INT_LIST(), list.length, scratch.longs(list));
            case double[] list -> {
                MemorySegment copy = scratch.bytes(list.length * JAVA_DOUBLE.byteSize());
                MemorySegment.copy(list, 0, copy, JAVA_DOUBLE, 0, list.length);
                pointer(at, Psc.PSC_TAG_DOUBLE_LIST(), list.length, copy);
            }
            case Tensor[] list -> {
                MemorySegment handles = scratch.bytes(list.length * ADDRESS.byteSize());
                for (int i = 0; i < list.length; i++)
                    handles.setAtIndex(JAVA_LONG, i, list[i] == null ? 0 : address(list[i]));
                pointer(at, Psc.PSC_TAG_TENSOR_LIST(), list.length, handles);
            }
            default ->
                throw new IllegalArgumentException(
                        "an argument of type " + argument.getClass().getName() + " has no form in libtorch");
        }
    }

    private void tag(long at, int tag, int count) {
        segment.set(JAVA_INT, at, tag);
        segment.set(JAVA_INT, at + COUNT_OFFSET, count);
    }

    private void number(long at, int tag, long value) {
        tag(at, tag, 0);
        segment.set(JAVA_LONG, at + VALUE_OFFSET, value);
    }

    private void number(long at, double value) {
        tag(at, Psc.PSC_TAG_DOUBLE(), 0);
        segment.set(JAVA_DOUBLE, at + VALUE_OFFSET, value);
    }

    private void pointer(long at, int tag, int count, MemorySegment target) {
        tag(at, tag, count);
        segment.set(JAVA_LONG, at + VALUE_OFFSET, target.address());
    }

    private long address(Tensor tensor) {
        TensorScope scope = tensor.scope();
        scope.acquire();
        if (acquiredCount == acquired.length) acquired = Arrays.copyOf(acquired, acquiredCount * 2);
        acquired[acquiredCount++] = scope;
        return tensor.handle().address();
    }

    @Override
    public void close() {
        while (acquiredCount > 0) acquired[--acquiredCount].release();
    }

    /** Converts results to Java values; the scope takes over the tensors among them. */
    static Object[] read(MemorySegment results, MemorySegment count, TensorScope scope) {
        Object[] values = new Object[count.get(JAVA_INT, 0)];
        for (int i = 0; i < values.length; i++) {
            long at = i * SIZE;
            int tag = results.get(JAVA_INT, at);
            if (tag == Psc.PSC_TAG_TENSOR()) values[i] = scope.own(results.get(ADDRESS, at + VALUE_OFFSET));
            else if (tag == Psc.PSC_TAG_INT()) values[i] = results.get(JAVA_LONG, at + VALUE_OFFSET);
            else if (tag == Psc.PSC_TAG_DOUBLE()) values[i] = results.get(JAVA_DOUBLE, at + VALUE_OFFSET);
            else if (tag == Psc.PSC_TAG_BOOL()) values[i] = results.get(JAVA_LONG, at + VALUE_OFFSET) != 0;
        }
        return values;
    }

    /** Describes arguments for messages: tensors by dtype and shape. */
    static String describe(Object... arguments) {
        return Arrays.stream(arguments).map(Values::describeOne).collect(Collectors.joining(", ", "(", ")"));
    }

    private static String describeOne(Object argument) {
        return switch (argument) {
            case null -> "None";
            case Tensor tensor -> tensor.brief();
            case Tensor[] list -> describe((Object[]) list);
            case long[] list -> Arrays.toString(list);
            case double[] list -> Arrays.toString(list);
            default -> argument.toString();
        };
    }
}
