package io.github.panascope.torch;

import static java.lang.foreign.ValueLayout.ADDRESS;

import io.github.panascope.bindings.Psc;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A tensor on its way to the host, from {@link Tensor#transferToHost}: the copy follows what its device was asked for
 * before, and the caller goes on. Confined to the thread that began it, and closed by it; closed before it is awaited,
 * it is not waited for.
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
            Native.check(Psc.psc_transfer_begin(tensor.handle(), out), () -> "copying " + tensor + " to the host");
            handle = out.get(ADDRESS, 0).reinterpret(0, arena, null);
        }
        HandleTraces.opened(this, "a transfer");
    }

    /**
     * Waits until it has arrived. On the CPU it has, and the result shares the tensor's memory where that lies row by
     * row.
     *
     * @return a row-major CPU tensor of the same shape and dtype, in the innermost scope
     * @throws IllegalStateException if this is closed
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

    @Override
    public void close() {
        if (!arena.scope().isAlive()) return;
        requireThread();
        arena.close();
        HandleTraces.closed(this);
        Psc.psc_transfer_free(MemorySegment.ofAddress(handle.address()));
    }

    /** How much is copied, and from where. */
    @Override
    public String toString() {
        return "Transfer(" + bytes + " bytes from " + from + (arena.scope().isAlive() ? ")" : ", closed)");
    }
}
