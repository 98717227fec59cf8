package io.github.panascope.torch;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.github.panascope.bindings.Psc;
import java.lang.foreign.MemorySegment;

/**
 * Gradients, which are off until somebody asks: {@code try (var _ = GradMode.enable()) { ... }} makes the operators and
 * modules that this thread calls keep what gradients need, for tensors that come from a {@link #leaf}. Confined to its
 * thread.
 */
public final class GradMode implements AutoCloseable {
    /** Kept here and told to each call: native code's own threads carry one virtual thread after the other. */
    private static final ThreadLocal<GradMode> INNERMOST = new ThreadLocal<>();

    private final Thread owner = Thread.currentThread();
    private final GradMode former = INNERMOST.get();
    private boolean closed;

    private GradMode() {
        INNERMOST.set(this);
    }

    /** Switches gradients on for this thread, a virtual one too, until it is closed. */
    public static GradMode enable() {
        return new GradMode();
    }

    /** Whether they are on for this thread. */
    public static boolean isEnabled() {
        return INNERMOST.get() != null;
    }

    /** Puts back what was before. Closing twice does nothing. */
    @Override
    public void close() {
        if (closed) return;
        if (owner != Thread.currentThread())
            throw new WrongThreadException("this grad mode belongs to thread '" + owner.getName() + "'");
        closed = true;
        // Closed out of order, one that is still open goes on.
        GradMode open = INNERMOST.get();
        while (open != null && open.closed) open = open.former;
        if (open == null) INNERMOST.remove();
        else INNERMOST.set(open);
    }

    /**
     * The same values, cut off from how they came about, as something that gradients can be asked of; shares memory. In
     * the innermost scope.
     */
    public static Tensor leaf(Tensor tensor) {
        TensorScope current = TensorScope.current();
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_grad_leaf(tensor.handle(), out), "making a leaf");
            return current.own(out.get(ADDRESS, 0));
        }
    }

    /** Whether gradients flow through a tensor: whether it is a leaf, or was made of one with gradients on. */
    public static boolean flowsThrough(Tensor tensor) {
        try (Scratch scratch = Scratch.open()) {
            MemorySegment flows = scratch.ints(1);
            Native.check(Psc.psc_grad_flows(tensor.handle(), flows), "looking for gradients");
            return flows.get(JAVA_INT, 0) != 0;
        }
    }

    /**
     * The gradients of a number, each of the shape of its input, in the innermost scope; zeros where the number does
     * not depend on an input. What was kept for them is let go, so that they can be asked for once.
     *
     * @param number a tensor of one element that came of the inputs with gradients on
     * @throws TorchException if it has more elements, or came of none of them
     */
    public static Tensor[] gradients(Tensor number, Tensor... inputs) {
        return gradients(null, number, inputs);
    }

    /**
     * The same where {@link RunHooks#onGradient hooks on gradients} may be called; what one of them throws is thrown
     * here, as itself.
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

    /** The thread that computes gradients. */
    @Override
    public String toString() {
        return "GradMode(" + owner.getName() + (closed ? ", closed)" : ")");
    }
}
