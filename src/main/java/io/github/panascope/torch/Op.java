package io.github.panascope.torch;

import static java.lang.foreign.ValueLayout.ADDRESS;

import io.github.panascope.bindings.Psc;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * An operator of libtorch's dispatcher: the door to all of ATen, for what {@link Tensor} has no method for. Calls
 * record no gradients. Instances are immutable and may be shared between threads.
 */
public final class Op {
    private final String name;
    private final MemorySegment handle;

    private Op(String name, MemorySegment handle) {
        this.name = name;
        this.handle = handle;
    }

    /**
     * The operator of a name and overload, as its schema writes them: {@code "aten::add"}, {@code "Tensor"}. The
     * overload may be empty.
     *
     * @throws TorchException if libtorch has none of that name, or if it is one of the few that end the process where
     *     an argument does not fit
     */
    public static Op of(String name, String overload) {
        NativeLibrary.load();
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_op_find(scratch.text(name), scratch.text(overload), out), "looking up an operator");
            return new Op(overload.isEmpty() ? name : name + "." + overload, out.get(ADDRESS, 0));
        }
    }

    /** The names of all operators that {@link #of} gives, each with its overload after a dot if it has one. */
    public static List<String> names() {
        NativeLibrary.load();
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_op_names(out), "listing operators");
            return Native.text(out.get(ADDRESS, 0)).lines().toList();
        }
    }

    /** The schema: names, types and defaults of the arguments, and what is returned. */
    public String schema() {
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_op_schema(handle, out), name);
            return Native.text(out.get(ADDRESS, 0));
        }
    }

    /**
     * Calls it. Arguments are given in the schema's order, as {@link Tensor}, {@code Integer} or {@code Long},
     * {@code Float} or {@code Double}, {@code Boolean}, {@code String}, {@link DType}, {@link Device}, {@code long[]},
     * {@code double[]}, {@code Tensor[]}, or null for None; those left off at the end take their defaults.
     *
     * @return the results in order, lists laid out flat: {@link Tensor} (in the innermost open scope), {@code Long},
     *     {@code Double}, {@code Boolean} or null
     * @throws IllegalStateException if no scope is open
     */
    public @Nullable Object[] call(@Nullable Object... arguments) {
        TensorScope scope = TensorScope.current();
        Events.Allocation allocation = Events.allocation();
        Events.Operator event = Events.operator();
        try (Scratch scratch = Scratch.open();
                Values values = Values.of(scratch, arguments)) {
            MemorySegment results = values.results();
            MemorySegment count = scratch.ints(1);
            MemorySegment call = Native.call(scratch, allocation != null);
            int status = Psc.psc_op_call(
                    handle, call, values.segment(), arguments.length, results, Values.MAX_RESULTS, count);
            if (allocation != null) allocation.watched(call);
            Native.check(status, () -> name + Values.describe(arguments));
            return Values.read(results, count, scope);
        } finally {
            if (allocation != null) allocation.finish(name);
            if (event != null) event.finish(name, arguments);
        }
    }

    /** Calls it for its first result, a tensor. */
    public Tensor tensor(@Nullable Object... arguments) {
        return tensors(1, arguments)[0];
    }

    /** Calls it for its first {@code count} results, all tensors. */
    public Tensor[] tensors(int count, @Nullable Object... arguments) {
        return tensors(count, call(arguments), name);
    }

    static Tensor[] tensors(int count, Object[] results, String name) {
        if (count < 0 || results.length < count)
            throw new IllegalStateException(name + " gives " + results.length + " results, not " + count);
        Tensor[] tensors = new Tensor[count];
        for (int i = 0; i < count; i++) {
            if (!(results[i] instanceof Tensor tensor))
                throw new IllegalStateException(name + " gives "
                        + (results[i] == null
                                ? "None"
                                : "a " + results[i].getClass().getSimpleName())
                        + " as its result " + i + ", not a tensor: use call()");
            tensors[i] = tensor;
        }
        return tensors;
    }

    /** The name, with the overload after a dot. */
    @Override
    public String toString() {
        return name;
    }
}
