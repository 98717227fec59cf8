package io.github.panascope.torch;

import io.github.panascope.bindings.Psc;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A tensor as a column of the Arrow C data interface, made by {@link Tensor#toArrow}: [rows] as numbers, [rows, n] as
 * fixed-size lists of n. Both structures lie in native memory until this object is closed. A library that imports them
 * moves them out, and closing then releases nothing. The exported values keep their memory alive by themselves. May be
 * used by any thread.
 */
public final class ArrowColumn implements AutoCloseable {
    private static final long SCHEMA_BYTES = 72;
    private static final long ARRAY_BYTES = 80;
    private static final long ALIGNMENT = 8;

    private final Arena arena = Arena.ofShared();
    private final MemorySegment schema = arena.allocate(SCHEMA_BYTES, ALIGNMENT);
    private final MemorySegment array = arena.allocate(ARRAY_BYTES, ALIGNMENT);

    ArrowColumn(Tensor tensor, String name) {
        try (Scratch scratch = Scratch.open()) {
            Native.check(
                    Psc.psc_arrow_export(tensor.handle(), scratch.text(name), schema, array),
                    () -> "giving out " + tensor.describe());
        } catch (RuntimeException | Error e) {
            arena.close();
            throw e;
        }
        HandleTraces.opened(this, "an Arrow column");
    }

    /** {@return the {@code struct ArrowSchema}, alive until this column is closed} */
    public MemorySegment schema() {
        return schema;
    }

    /** {@return the {@code struct ArrowArray}, alive until this column is closed} */
    public MemorySegment array() {
        return array;
    }

    /** Releases the structures that have not been imported. Closing twice does nothing. */
    @Override
    public synchronized void close() {
        if (!arena.scope().isAlive()) return;
        HandleTraces.closed(this);
        Psc.psc_arrow_release(schema, array);
        arena.close();
    }

    /** {@return whether the column is open or closed} */
    @Override
    public String toString() {
        return "ArrowColumn(" + (arena.scope().isAlive() ? "open)" : "closed)");
    }
}
