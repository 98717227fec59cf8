package io.github.panascope.torch;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.github.panascope.bindings.Psc;
import java.lang.foreign.MemorySegment;

/**
 * Switches gradients on, which are off by default. Until it is closed, the operators and modules that this thread calls
 * keep what gradients need, for tensors that come from a {@link #leaf}. Confined to its thread.
 *
 * <pre>{@code
 * try (TensorScope scope = TensorScope.open(); GradMode on = GradMode.enable()) {
 *     Tensor x = GradMode.leaf(Tensor.of(new float[] {1, 2, 3}, Shape.of(3)));
 *     Tensor sum = x.mul(x).sum(DType.FLOAT32);
 *     Tensor gradient = GradMode.gradients(sum, x)[0];
 *     System.out.println(Arrays.toString(gradient.toFloats())); // [2.0, 4.0, 6.0]
 * }
 * }</pre>
 */
public final class GradMode implements AutoCloseable {
    /** Kept in Java and passed with each call: a native thread carries several virtual threads, one after another. */
    private static final ThreadLocal<GradMode> INNERMOST = new ThreadLocal<>();

    private final Thread owner = Thread.currentThread();
    private final GradMode former = INNERMOST.get();
    private boolean closed;

    private GradMode() {
        INNERMOST.set(this);
    }

    /**
     * Switches gradients on for the calling thread, which may be a virtual one, until the result is closed.
     *
     * @return the switch; the calling thread closes it
     */
    public static GradMode enable() {
        return new GradMode();
    }

    /** {@return whether gradients are on for the calling thread} */
    public static boolean isEnabled() {
        return INNERMOST.get() != null;
    }

    /**
     * Restores the state before this switch. Closing twice does nothing.
     *
     * @throws WrongThreadException if another thread made it
     */
    @Override
    public void close() {
        if (closed) return;
        if (owner != Thread.currentThread())
            throw new WrongThreadException("this grad mode belongs to thread '" + owner.getName() + "'");
        closed = true;
        // Where switches are closed out of order, an inner one that is still open stays in effect.
        GradMode open = INNERMOST.get();
        while (open != null && open.closed) open = open.former;
        if (open == null) INNERMOST.remove();
        else INNERMOST.set(open);
    }

    /**
     * Makes a tensor that gradients can be computed for: with the values and the memory of another tensor, but without
     * the history of how those values were computed.
     *
     * @param tensor the tensor whose values are taken
     * @return the leaf, in the innermost scope; shares the tensor's memory
     */
    public static Tensor leaf(Tensor tensor) {
        TensorScope current = TensorScope.current();
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_grad_leaf(tensor.handle(), out), "making a leaf");
            return current.own(out.get(ADDRESS, 0));
        }
    }

    /**
     * Returns whether gradients flow through a tensor: whether it is a leaf, or was computed from one with gradients
     * on.
     *
     * @param tensor the tensor
     * @return true if gradients flow through it
     */
    public static boolean flowsThrough(Tensor tensor) {
        try (Scratch scratch = Scratch.open()) {
            MemorySegment flows = scratch.ints(1);
            Native.check(Psc.psc_grad_flows(tensor.handle(), flows), "looking for gradients");
            return flows.get(JAVA_INT, 0) != 0;
        }
    }

    /**
     * Computes the gradients of a number with respect to inputs. Frees what was kept for them, so gradients of one
     * number can be computed only once.
     *
     * @param number a tensor of one element, computed from the inputs with gradients on
     * @param inputs the tensors to differentiate by
     * @return for each input a tensor of its shape, in the innermost scope; zeros where the number does not depend on
     *     it
     * @throws TorchException if the number has more than one element, or was not computed with gradients from a leaf
     */
    public static Tensor[] gradients(Tensor number, Tensor... inputs) {
        return gradients(null, number, inputs);
    }

    /**
     * Computes the gradients of a number with respect to inputs, and calls
     * {@link RunHooks#onGradient hooks on gradients}. Frees what was kept for the gradients, so those of one number can
     * be computed only once. An exception of a hook is rethrown unchanged.
     *
     * @param hooks  the hooks whose exceptions are rethrown; null if there are none
     * @param number a tensor of one element, computed from the inputs with gradients on
     * @param inputs the tensors to differentiate by
     * @return for each input a tensor of its shape, in the innermost scope; zeros where the number does not depend on
     *     it
     * @throws TorchException if the number has more than one element, or was not computed with gradients from a leaf
     */
    public static Tensor[] gradients(RunHooks hooks, Tensor number, Tensor... inputs) {
        TensorScope current = TensorScope.current();
        try (Scratch scratch = Scratch.open()) {
            MemorySegment handles = scratch.bytes(Math.max(1, inputs.length) * ADDRESS.byteSize());
            MemorySegment out = scratch.bytes(Math.max(1, inputs.length) * ADDRESS.byteSize());
            for (int i = 0; i < inputs.length; i++) handles.setAtIndex(ADDRESS, i, inputs[i].handle());
            int status = Psc.psc_grad_compute(number.handle(), handles, inputs.length, out);
            if (hooks != null && status == Psc.PSC_ERR_CALLBACK()) hooks.rethrow();
            Native.check(status, "computing gradients");
            Tensor[] gradients = new Tensor[inputs.length];
            for (int i = 0; i < inputs.length; i++) {
                MemorySegment found = out.getAtIndex(ADDRESS, i);
                gradients[i] = found.address() == 0 ? inputs[i].zerosLike() : current.own(found);
            }
            return gradients;
        }
    }

    /** {@return the name of the thread that gradients are on for, and whether this switch is closed} */
    @Override
    public String toString() {
        return "GradMode(" + owner.getName() + (closed ? ", closed)" : ")");
    }
}
