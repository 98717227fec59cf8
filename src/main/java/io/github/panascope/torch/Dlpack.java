package io.github.panascope.torch;

import io.github.panascope.bindings.Psc;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

import static java.lang.foreign.ValueLayout.ADDRESS;

/**
 * A tensor for another native library of this process, as DLPack's {@code DLManagedTensor} (the unversioned form, 0.8), made by {@link Tensor#toDlpack}. It
 * keeps the memory alive by itself, whatever becomes of the tensor and its scope. Either it is {@link #give given} away, and whoever takes it calls its
 * deleter once, on any thread; or closing it lets go of the memory. Used by one thread at a time.
 */
public final class Dlpack implements AutoCloseable {
    private final Arena arena = Arena.ofConfined();
    private final MemorySegment managed;
    private boolean given;

    Dlpack(Tensor tensor) {
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_dlpack_export(tensor.handle(), out), () -> "giving out " + tensor);
            managed = out.get(ADDRESS, 0).reinterpret(0, arena, null);
        } catch (RuntimeException | Error e) {
            arena.close();
            throw e;
        }
    }

    /**
     * The {@code DLManagedTensor*}, for a call that only looks.
     *
     * @throws IllegalStateException if it was given away or closed
     */
    public MemorySegment pointer() {
        if (given || !arena.scope().isAlive()) throw new IllegalStateException("this DLPack tensor was given away or closed");
        return managed;
    }

    /** The {@code DLManagedTensor*}, for a call that takes it over: closing this object then does nothing. */
    public MemorySegment give() {
        MemorySegment pointer = MemorySegment.ofAddress(pointer().address());
        given = true;
        return pointer;
    }

    /** Lets go of the memory, unless it was given away. Closing twice does nothing. */
    @Override
    public void close() {
        if (!arena.scope().isAlive()) return;
        arena.close();
        if (!given) Psc.psc_dlpack_free(MemorySegment.ofAddress(managed.address()));
    }
}
