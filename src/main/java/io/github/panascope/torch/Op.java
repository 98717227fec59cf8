package io.github.panascope.torch;

import static java.lang.foreign.ValueLayout.ADDRESS;

import io.github.panascope.bindings.Psc;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * An operator of libtorch's dispatcher: gives access to all of ATen where {@link Tensor} has no method. Calls record
 * gradients only while {@link GradMode} is enabled for the thread. Instances are immutable and may be shared between
 * threads.
 *
 * <pre>{@code
 * Op cumsum = Op.of("aten::cumsum", "");
 * System.out.println(cumsum.schema()); // aten::cumsum(Tensor self, int dim, ...) -> Tensor
 * try (TensorScope scope = TensorScope.open()) {
 *     Tensor x = Tensor.ofTokens(1, 2, 3);
 *     System.out.println(Arrays.toString(cumsum.tensor(x, -1).toLongs())); // [1, 3, 6]
 * }
 * }</pre>
 */
public final class Op {
    private final String name;
    private final MemorySegment handle;

    private Op(String name, MemorySegment handle) {
        this.name = name;
        this.handle = handle;
    }

    /**
     * Looks up an operator by name and overload, as its schema writes them.
     *
     * @param name     the name with its namespace, such as {@code aten::add}
     * @param overload the overload, such as {@code Tensor}; empty for the one without a name
     * @return the operator
     * @throws TorchException if libtorch has no such operator, or if it is one of the few that end the process where an
     *     argument does not fit
     */
    public static Op of(String name, String overload) {
        NativeLibrary.load();
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_op_find(scratch.text(name), scratch.text(overload), out), "looking up an operator");
            return new Op(overload.isEmpty() ? name : name + "." + overload, out.get(ADDRESS, 0));
        }
    }

    /**
     * Lists the operators that {@link #of} can look up.
     *
     * @return the names, each followed by a dot and its overload if it has one
     */
    public static List<String> names() {
        NativeLibrary.load();
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_op_names(out), "listing operators");
            return Native.text(out.get(ADDRESS, 0)).lines().toList();
        }
    }

    /**
     * Returns the schema: names, types and defaults of the arguments, and the types of the results.
     *
     * @return the schema as libtorch writes it
     */
    public String schema() {
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_op_schema(handle, out), name);
            return Native.text(out.get(ADDRESS, 0));
        }
    }

    /**
     * Calls the operator.
     *
     * @param arguments the arguments in the schema's order, as {@link Tensor}, {@code Integer}, {@code Long},
     *     {@code Short} or {@code Byte}, {@code Float} or {@code Double}, {@code Boolean}, {@code String},
     *     {@link DType}, {@link Device}, {@code long[]}, {@code double[]}, {@code Tensor[]}, or null for None;
     *     arguments left off at the end take their defaults
     * @return the results in order, lists laid out flat: {@link Tensor} (in the innermost scope), {@code Long},
     *     {@code Double}, {@code Boolean} or null
     * @throws IllegalStateException if no scope is open
     * @throws IllegalArgumentException if an argument is of a class that libtorch has no type for
     * @throws TorchException if the arguments do not fit the schema, or libtorch refuses them
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

    /**
     * Calls the operator and returns its first result, which has to be a tensor.
     *
     * @param arguments the arguments, as for {@link #call}
     * @return the first result, in the innermost scope
     * @throws IllegalStateException if the first result is not a tensor, or no scope is open
     * @throws TorchException if the arguments do not fit the schema, or libtorch refuses them
     */
    public Tensor tensor(@Nullable Object... arguments) {
        return tensors(1, arguments)[0];
    }

    /**
     * Calls the operator and returns its first results, which all have to be tensors.
     *
     * @param count     how many results to return
     * @param arguments the arguments, as for {@link #call}
     * @return the first {@code count} results, in the innermost scope
     * @throws IllegalStateException if there are fewer results, one of them is not a tensor, or no scope is open
     * @throws TorchException if the arguments do not fit the schema, or libtorch refuses them
     */
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

    /** {@return the name, followed by a dot and the overload if it has one} */
    @Override
    public String toString() {
        return name;
    }
}
