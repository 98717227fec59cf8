package io.github.panascope.torch;

import io.github.panascope.bindings.Psc;
import io.github.panascope.bindings.psc_tensor_info;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicLong;

/**
 * What a scope knows whose tensors the garbage collector frees. The collector sees handles of a few bytes and not the
 * memory behind them, so this class calls it whenever much has been made since it last ran.
 */
final class Collected {
    /** Bytes of tensors made between two calls of the collector: as many as are alive, but within these limits. */
    private static final long LEAST = 256L << 20;

    private static final long MOST = 2048L << 20;

    private final AtomicLong tensors = new AtomicLong();
    private final AtomicLong bytes = new AtomicLong();
    private final AtomicLong fresh = new AtomicLong(); // bytes made since the collector was last called

    /**
     * Has a native tensor freed once nothing refers to its arena.
     *
     * @param pointer the native tensor, of which this call takes over the handle
     * @return an arena of the tensor's own
     */
    Arena take(MemorySegment pointer) {
        Arena arena = Arena.ofAuto();
        long address = pointer.address();
        long size = bytes(pointer);
        makeRoom(size);
        // The action must not refer to the arena, or the arena would never be collected.
        pointer.reinterpret(0, arena, _ -> free(address, size));
        tensors.incrementAndGet();
        bytes.addAndGet(size);
        return arena;
    }

    private void free(long address, long size) {
        HandleTraces.closed((Object) address);
        Psc.psc_tensor_free(MemorySegment.ofAddress(address));
        tensors.decrementAndGet();
        bytes.addAndGet(-size);
    }

    private void makeRoom(long size) {
        long made = fresh.addAndGet(size);
        if (made <= Math.clamp(bytes.get() - made, LEAST, MOST) || !fresh.compareAndSet(made, 0)) return;
        System.gc();
    }

    /** Returns the bytes of a tensor's elements; views count too, though they share memory. */
    private static long bytes(MemorySegment pointer) {
        try (Scratch scratch = Scratch.open()) {
            MemorySegment info = scratch.bytes(psc_tensor_info.sizeof());
            if (Psc.psc_tensor_describe(pointer, info) != Psc.PSC_OK()) return 0; // of a kind without plain elements
            return psc_tensor_info.bytes(info);
        }
    }

    /** {@return how many tensors are alive, and the megabytes of their elements} */
    @Override
    public String toString() {
        long alive = tensors.get();
        return alive + (alive == 1 ? " tensor of " : " tensors of ") + (bytes.get() >> 20) + " MB";
    }
}
