package io.github.panascope.torch;

import static java.lang.foreign.ValueLayout.ADDRESS;

import io.github.panascope.bindings.Psc;
import java.io.EOFException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.ReadableByteChannel;
import java.nio.channels.WritableByteChannel;
import java.util.Arrays;
import java.util.function.Function;

/** Copies the elements of a tensor to Java's heap and between tensors and channels, row by row. */
final class Elements {
    private Elements() {}

    static float[] floats(Tensor tensor) {
        return onHeap(tensor, DType.FLOAT32, memory -> memory.toArray(ValueLayout.JAVA_FLOAT));
    }

    static double[] doubles(Tensor tensor) {
        return onHeap(tensor, DType.FLOAT64, memory -> memory.toArray(ValueLayout.JAVA_DOUBLE));
    }

    static int floats(Tensor tensor, float[] into) {
        long elements = tensor.shape().elements();
        if (elements > into.length)
            throw new IllegalArgumentException("an array of " + into.length + " is too short for " + tensor.describe());
        Events.Copy event = Events.copy();
        try (var _ = TensorScope.open()) {
            MemorySegment.copy(
                    host(tensor, DType.FLOAT32).memory(), ValueLayout.JAVA_FLOAT, 0, into, 0, (int) elements);
        }
        if (event != null) event.finish(tensor.device(), "heap", elements * Float.BYTES);
        return (int) elements;
    }

    static long[] longs(Tensor tensor) {
        if (tensor.dtype().isFloatingPoint())
            return Arrays.stream(doubles(tensor))
                    .mapToLong(number -> toLong("an element", number, "toDoubles()"))
                    .toArray();
        return onHeap(tensor, DType.INT64, memory -> memory.toArray(ValueLayout.JAVA_LONG));
    }

    static int[] ints(Tensor tensor) {
        if (tensor.dtype().isFloatingPoint())
            return Arrays.stream(doubles(tensor)).mapToInt(Elements::toInt).toArray();
        if (tensor.dtype() == DType.INT64)
            return Arrays.stream(longs(tensor)).mapToInt(Elements::toInt).toArray();
        return onHeap(tensor, DType.INT32, memory -> memory.toArray(ValueLayout.JAVA_INT));
    }

    /**
     * Drops the fraction of a floating-point element.
     *
     * @param element what begins a message about the element
     * @param instead the method that returns such a number
     * @throws ArithmeticException if the number is NaN, or outside the range of a long
     */
    static long toLong(String element, double number, String instead) {
        if (number >= Long.MIN_VALUE && number < 0x1p63) return (long) number;
        throw refused(element, number, "a long", instead);
    }

    private static int toInt(double number) {
        if (number > Integer.MIN_VALUE - 1L && number < 1L << 31) return (int) number;
        throw refused("an element", number, "an int", "toDoubles()");
    }

    private static int toInt(long number) {
        if (number == (int) number) return (int) number;
        throw new ArithmeticException(
                "an element is " + number + ", which is outside the range of an int: use toLongs()");
    }

    private static ArithmeticException refused(String element, double number, String type, String instead) {
        return new ArithmeticException(element + " is " + number
                + (Double.isNaN(number) ? "" : ", which is outside the range of " + type) + ": use " + instead);
    }

    static void write(Tensor tensor, WritableByteChannel out) throws IOException {
        Events.Copy event = Events.copy();
        try (var _ = TensorScope.open()) {
            MemorySegment bytes = host(tensor, tensor.dtype()).memory();
            for (long at = 0; at < bytes.byteSize(); ) { // a buffer holds at most 2 GB
                var part = bytes.asSlice(at, Math.min(bytes.byteSize() - at, 1 << 30))
                        .asByteBuffer();
                while (part.hasRemaining()) at += out.write(part);
            }
            if (event != null) event.finish(tensor.device(), "channel", bytes.byteSize());
        }
    }

    static void read(ReadableByteChannel in, Tensor tensor) throws IOException {
        MemorySegment memory = tensor.memory();
        for (long at = 0; at < memory.byteSize(); ) {
            int read = in.read(memory.asSlice(at, Math.min(memory.byteSize() - at, 1 << 30))
                    .asByteBuffer());
            if (read < 0)
                throw new EOFException("the channel ended after " + at + " of " + memory.byteSize() + " bytes");
            at += read;
        }
    }

    /**
     * Returns the elements on the CPU as plain row-major memory of a dtype; shares the tensor's memory where that is so
     * already.
     */
    private static Tensor host(Tensor tensor, DType type) {
        TensorScope scope = TensorScope.current();
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_tensor_host(tensor.handle(), type.code, out), () -> "reading " + tensor.brief());
            return scope.own(out.get(ADDRESS, 0));
        }
    }

    private static <A> A onHeap(Tensor tensor, DType type, Function<MemorySegment, A> copy) {
        Events.Copy event = Events.copy();
        try (var _ = TensorScope.open()) {
            MemorySegment memory = host(tensor, type).memory();
            A array = copy.apply(memory);
            if (event != null) event.finish(tensor.device(), "heap", memory.byteSize());
            return array;
        }
    }
}
