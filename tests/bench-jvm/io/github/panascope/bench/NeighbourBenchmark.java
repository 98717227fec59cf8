package io.github.panascope.bench;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import java.util.concurrent.TimeUnit;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * BindingBenchmark's operations in DJL and in bytedeco's PyTorch, each in a JVM of its own: two libtorchs do not go
 * together.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class NeighbourBenchmark {
    private static final int SIDE = 1024;

    /** DJL's operands. */
    @State(Scope.Thread)
    public static class Djl {
        private NDManager manager;
        private NDArray small, large;

        /** Makes them. */
        @Setup
        public void open() {
            manager = NDManager.newBaseManager();
            small = manager.create(new float[] {1, 2, 3, 4}, new ai.djl.ndarray.types.Shape(2, 2));
            large = manager.zeros(new ai.djl.ndarray.types.Shape(SIDE, SIDE));
        }

        /** Frees them. */
        @TearDown
        public void close() {
            manager.close();
        }
    }

    /** bytedeco's operands. */
    @State(Scope.Thread)
    public static class Bytedeco {
        private Tensor small, large;
        private FloatPointer memory;

        /** Makes them. */
        @Setup
        public void open() {
            small = torch.ones(2, 2);
            large = torch.zeros(SIDE, SIDE);
            memory = new FloatPointer((long) SIDE * SIDE);
        }
    }

    /** An operator on four floats, its result freed with a sub-manager: a scope. */
    @Benchmark
    public Object djlOperatorCall(Djl state) {
        try (NDManager scope = state.manager.newSubManager()) {
            NDArray sum = state.small.add(state.small);
            sum.attach(scope);
            return sum;
        }
    }

    /** An operator on four floats, its result freed by itself. */
    @Benchmark
    public Object djlOperatorCallClosed(Djl state) {
        try (NDArray sum = state.small.add(state.small)) {
            return sum;
        }
    }

    /** The memory of a 4 MB tensor, seen from Java (DJL copies it). */
    @Benchmark
    public Object djlSegment(Djl state) {
        return state.large.toByteBuffer();
    }

    /** An operator on four floats, its result freed with a scope. */
    @Benchmark
    public Object bytedecoOperatorCall(Bytedeco state) {
        try (PointerScope _ = new PointerScope()) {
            return state.small.add(state.small);
        }
    }

    /** An operator on four floats, its result freed by itself. */
    @Benchmark
    public Object bytedecoOperatorCallClosed(Bytedeco state) {
        try (Tensor sum = state.small.add(state.small)) {
            return sum;
        }
    }

    /** A tensor over 4 MB of foreign memory, and its own memory seen from Java. */
    @Benchmark
    public Object bytedecoWrapAndSegment(Bytedeco state) {
        try (PointerScope _ = new PointerScope()) {
            return torch.from_blob(state.memory, SIDE, SIDE).data_ptr_float();
        }
    }

    /** The memory of a 4 MB tensor, seen from Java. */
    @Benchmark
    public Object bytedecoSegment(Bytedeco state) {
        return state.large.data_ptr_float();
    }
}
