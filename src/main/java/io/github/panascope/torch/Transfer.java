package io.github.panascope.torch;

import static java.lang.foreign.ValueLayout.ADDRESS;

import io.github.panascope.bindings.Psc;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A running copy of a tensor to the host, begun by {@link Tensor#transferToHost}. The device copies after the work
 * queued before, while the caller continues. Confined to the thread that began it, which closes it. Closing it before
 * {@link #await} does not wait for the copy.
 */
public final class Transfer implements AutoCloseable {
    private final Arena arena = Arena.ofConfined();
    private final MemorySegment handle;
    private final Device from;
    private final long bytes;

    Transfer(Tensor tensor) {
        from = tensor.device();
        bytes = tensor.shape().elements() * tensor.dtype().bytes();
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(
                    Psc.psc_transfer_begin(tensor.handle(), out),
                    () -> "copying " + tensor.describe() + " to the host");
            handle = out.get(ADDRESS, 0).reinterpret(0, arena, null);
        }
        HandleTraces.opened(this, "a transfer");
    }

    /**
     * Waits until the copy is complete. A tensor that lies on the CPU needs no copy: the result shares its memory where
     * that is row-major.
     *
     * @return a row-major CPU tensor of the same shape and dtype, in the innermost scope
     * @throws IllegalStateException if this transfer is closed, or no scope is open
     * @throws WrongThreadException if another thread began the transfer
     */
    public Tensor await() {
        if (!arena.scope().isAlive()) throw new IllegalStateException("this transfer is closed");
        requireThread();
        TensorScope scope = TensorScope.current();
        Events.Copy event = from.isCpu() ? null : Events.copy();
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_transfer_finish(handle, out), "waiting for a copy to the host");
            if (event != null) event.finish(from, Device.CPU, bytes);
            return scope.own(out.get(ADDRESS, 0));
        }
    }

    private void requireThread() {
        if (!handle.isAccessibleBy(Thread.currentThread()))
            throw new WrongThreadException("a transfer is waited for and closed by the thread that began it");
    }

    /**
     * Frees the transfer, complete or not. Closing twice does nothing.
     *
     * @throws WrongThreadException if another thread began the transfer
     */
    @Override
    public void close() {
        if (!arena.scope().isAlive()) return;
        requireThread();
        arena.close();
        HandleTraces.closed(this);
        Psc.psc_transfer_free(MemorySegment.ofAddress(handle.address()));
    }

    /** {@return the number of bytes copied, the device that they come from, and whether this is closed} */
    @Override
    public String toString() {
        return "Transfer(" + bytes + " bytes from " + from + (arena.scope().isAlive() ? ")" : ", closed)");
    }
}
