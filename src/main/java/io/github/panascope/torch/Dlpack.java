package io.github.panascope.torch;

import static java.lang.foreign.ValueLayout.ADDRESS;

import io.github.panascope.bindings.Psc;
import java.lang.foreign.MemorySegment;

/**
 * A tensor exported to another native library of this process, as DLPack's {@code DLManagedTensor} (the unversioned
 * form, 0.8), made by {@link Tensor#toDlpack}. It keeps the memory alive by itself, even after the tensor and its scope
 * are closed. Either it is {@link #give given} away, and the receiver calls its deleter once, on any thread; or closing
 * it releases the memory. May be used by any thread.
 */
public final class Dlpack implements AutoCloseable {
    private MemorySegment managed;

    Dlpack(Tensor tensor) {
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_dlpack_export(tensor.handle(), out), () -> "giving out " + tensor.describe());
            managed = out.get(ADDRESS, 0);
        }
        HandleTraces.opened(this, "a DLPack tensor");
    }

    /**
     * Returns the {@code DLManagedTensor*} for a call that only reads it.
     *
     * @return the pointer; still owned by this object
     * @throws IllegalStateException if it was given away or closed
     */
    public synchronized MemorySegment pointer() {
        if (managed == null) throw new IllegalStateException("this DLPack tensor was given away or closed");
        return managed;
    }

    /**
     * Returns the {@code DLManagedTensor*} for a call that takes it over. Closing this object then does nothing.
     *
     * @return the pointer; the receiver owns it and calls its deleter
     * @throws IllegalStateException if it was given away or closed
     */
    public synchronized MemorySegment give() {
        MemorySegment pointer = pointer();
        managed = null;
        HandleTraces.closed(this);
        return pointer;
    }

    /** Releases the memory, unless it was given away. Closing twice does nothing. */
    @Override
    public synchronized void close() {
        if (managed != null) Psc.psc_dlpack_free(give());
    }

    /** {@return the address of the {@code DLManagedTensor}, or that it was given away or closed} */
    @Override
    public String toString() {
        return "Dlpack("
                + (managed == null ? "given away or closed)" : "0x" + Long.toHexString(managed.address()) + ")");
    }
}
