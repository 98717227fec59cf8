package io.github.panascope.bench;

import io.github.panascope.torch.DType;
import io.github.panascope.torch.RunHooks;
import io.github.panascope.torch.ScriptModule;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What crossing to libtorch costs. A hook point's cost is that of a module with a thousand of them, divided by a
 * thousand.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class BindingBenchmark {
    private static final int POINTS = 1000;

    private TensorScope scope;
    private Arena arena;
    private Tensor small;
    private Tensor large;
    private MemorySegment memory;
    private ScriptModule points;
    private RunHooks hooks;

    /** Makes the operands. */
    @Setup
    public void open() {
        scope = TensorScope.open();
        arena = Arena.ofConfined();
        small = Tensor.of(new float[] {1, 2, 3, 4}, Shape.of(2, 2));
        large = Tensor.zeros(DType.FLOAT32, Shape.of(1024, 1024));
        memory = arena.allocate(1024 * 1024 * 4, 64);
        String source = "def forward(self, x: Tensor) -> Tensor:\n    for i in range(" + POINTS
                + "):\n        x = lens.hook_point(x, \"here\")\n    return x\n";
        points = ScriptModule.create("Points", scope).define(source);
        hooks = new RunHooks(List.of("here"), (activation, name) -> null);
    }

    /** Frees them. */
    @TearDown
    public void close() {
        hooks.close();
        scope.close();
        arena.close();
    }

    /** An operator on four floats, its result freed with a scope. */
    @Benchmark
    public Object operatorCall() {
        try (var _ = TensorScope.open()) {
            return small.add(small);
        }
    }

    /** An operator on four floats, its result freed by itself. */
    @Benchmark
    public void operatorCallFreed() {
        small.add(small).free();
    }

    /** A confined scope alone. */
    @Benchmark
    public Object scope() {
        try (TensorScope inner = TensorScope.open()) {
            return inner;
        }
    }

    /** A hook point without a hook. */
    @Benchmark
    @OperationsPerInvocation(POINTS)
    public Object hookPointWithoutHook() {
        try (var _ = TensorScope.open()) {
            return points.call("forward", null, small);
        }
    }

    /** A hook point with a Java hook that leaves the activation as it is. */
    @Benchmark
    @OperationsPerInvocation(POINTS)
    public Object hookPointWithHook() {
        try (var _ = TensorScope.open()) {
            return points.call("forward", hooks, small);
        }
    }

    /** A tensor over 4 MB of foreign memory, and its own memory seen from Java. */
    @Benchmark
    public Object wrapAndSegment() {
        try (var _ = TensorScope.open()) {
            return Tensor.wrap(memory, DType.FLOAT32, Shape.of(1024, 1024)).segment();
        }
    }

    /** The memory of a 4 MB tensor, seen from Java. */
    @Benchmark
    public Object segment() {
        return large.segment();
    }
}
