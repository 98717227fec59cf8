package io.github.panascope.torch;

import io.github.panascope.bindings.Psc;
import io.github.panascope.bindings.psc_tensor_info;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
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
    /** How many handles begin at an address: views of a whole tensor take no more memory, and are not counted again. */
    private final Map<Long, Integer> handlesAt = new ConcurrentHashMap<>();

    /** The address of a tensor's first element, 0 if it is not known, and the bytes up to its last one. */
    private record Memory(long address, long bytes) {}

    /**
     * Has a native tensor freed once nothing refers to its arena.
     *
     * @param pointer the native tensor, of which this call takes over the handle
     * @return an arena of the tensor's own
     */
    Arena take(MemorySegment pointer) {
        Arena arena = Arena.ofAuto();
        long address = pointer.address();
        Memory memory = memory(pointer);
        boolean isNew = memory.address == 0 || handlesAt.merge(memory.address, 1, Integer::sum) == 1;
        long size = isNew ? memory.bytes : 0;
        makeRoom(size);
        // The action must not refer to the arena, or the arena would never be collected.
        pointer.reinterpret(0, arena, _ -> free(address, memory.address, size));
        tensors.incrementAndGet();
        bytes.addAndGet(size);
        return arena;
    }

    private void free(long address, long first, long size) {
        HandleTraces.closed((Object) address);
        // Before the memory is freed, since its address is soon used again.
        handlesAt.computeIfPresent(first, (_, handles) -> handles == 1 ? null : handles - 1);
        Psc.psc_tensor_free(MemorySegment.ofAddress(address));
        tensors.decrementAndGet();
        bytes.addAndGet(-size);
    }

    private void makeRoom(long size) {
        long made = fresh.addAndGet(size);
        if (made <= Math.clamp(bytes.get() - made, LEAST, MOST) || !fresh.compareAndSet(made, 0)) return;
        System.gc();
    }

    private static Memory memory(MemorySegment pointer) {
        try (Scratch scratch = Scratch.open()) {
            MemorySegment info = scratch.bytes(psc_tensor_info.sizeof());
            // Of some kinds without plain elements nothing is known.
            if (Psc.psc_tensor_describe(pointer, info) != Psc.PSC_OK()) return new Memory(0, 0);
            return new Memory(psc_tensor_info.address(info), Math.min(psc_tensor_info.bytes(info), span(info)));
        }
    }

    /** Returns the bytes from the first element to the last: fewer than those of the elements where these repeat. */
    private static long span(MemorySegment info) {
        long elements = psc_tensor_info.elements(info);
        if (elements == 0) return 0;
        long last = 0;
        for (int d = 0; d < psc_tensor_info.rank(info); d++) {
            long size = psc_tensor_info.sizes(info).getAtIndex(ValueLayout.JAVA_LONG, d);
            last += (size - 1) * psc_tensor_info.strides(info).getAtIndex(ValueLayout.JAVA_LONG, d);
        }
        return (last + 1) * (psc_tensor_info.bytes(info) / elements);
    }

    /** {@return how many tensors are alive, and the megabytes of their elements} */
    @Override
    public String toString() {
        long alive = tensors.get();
        return alive + (alive == 1 ? " tensor of " : " tensors of ") + (bytes.get() >> 20) + " MB";
    }
}
