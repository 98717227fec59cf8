package io.github.panascope.torch;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;

/**
 * Short-lived native memory for the arguments and results of one call: a stack of frames for each thread. A call
 * therefore allocates nothing, and a hook may make calls while the outer call waits.
 */
final class Scratch implements AutoCloseable {
    private static final long CAPACITY = 32 * 1024;
    private static final ThreadLocal<Scratch> STACKS = ThreadLocal.withInitial(Scratch::new);

    private final MemorySegment memory = Arena.ofAuto().allocate(CAPACITY, 16);
    private final long[] marks = new long[256];
    /**
     * Arenas of frames that needed more than the stack holds. Confined arenas, closed with their frames: memory that
     * native code reads must not be freed by the garbage collector.
     */
    private final Arena[] more = new Arena[marks.length];

    private int depth;
    private long top;

    private Scratch() {}

    /** Opens a frame on this thread's stack; closing it releases its memory. */
    static Scratch open() {
        Scratch scratch = STACKS.get();
        if (scratch.depth == scratch.marks.length)
            throw new IllegalStateException("calls are nested more than " + scratch.depth + " deep");
        scratch.marks[scratch.depth++] = scratch.top;
        return scratch;
    }

    @Override
    public void close() {
        top = marks[--depth];
        Arena closed = more[depth];
        if (closed == null) return;
        more[depth] = null;
        closed.close();
    }

    /** Reserves bytes in the open frame and sets them to zero. */
    MemorySegment bytes(long size) {
        return room(size).fill((byte) 0);
    }

    /** Reserves bytes in the open frame and leaves their contents undefined. */
    MemorySegment room(long size) {
        long start = top + 15 & ~15L;
        if (start + size > CAPACITY) return beyond(size);
        top = start + size;
        return memory.asSlice(start, size);
    }

    /** Allocates memory for a very long list or text, outside the stack, until the open frame is closed. */
    private MemorySegment beyond(long size) {
        int frame = depth - 1;
        if (more[frame] == null) more[frame] = Arena.ofConfined();
        return more[frame].allocate(Math.max(size, 1), 16);
    }

    MemorySegment ints(int count) {
        return bytes(count * JAVA_INT.byteSize());
    }

    MemorySegment longs(long... values) {
        MemorySegment segment = bytes(values.length * JAVA_LONG.byteSize());
        MemorySegment.copy(values, 0, segment, JAVA_LONG, 0, values.length);
        return segment;
    }

    /** Reserves room for one pointer, set to null. */
    MemorySegment pointer() {
        return bytes(ADDRESS.byteSize());
    }

    /** Copies a text into the open frame, as UTF-8 with a NUL at the end. */
    MemorySegment text(String text) {
        byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
        for (byte b : utf8)
            if (b == 0) throw new IllegalArgumentException("text for native code must not hold a NUL character");
        MemorySegment segment = bytes(utf8.length + 1L);
        MemorySegment.copy(utf8, 0, segment, JAVA_BYTE, 0, utf8.length);
        segment.set(JAVA_BYTE, utf8.length, (byte) 0);
        return segment;
    }
}
