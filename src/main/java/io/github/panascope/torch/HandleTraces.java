package io.github.panascope.torch;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The stacks where open scopes and native handles were opened, for the search of a leak. They are kept if the system
 * property {@code panascope.traceHandles} is {@code true} when this class is loaded.
 */
final class HandleTraces {
    /** A constant for the JIT compiler, which removes calls of the methods below where it is false. */
    static final boolean ON = Boolean.getBoolean("panascope.traceHandles");

    private static final AtomicLong OPENED = new AtomicLong();
    private static final Map<Object, Trace> OPEN = new ConcurrentHashMap<>();

    /** The stack where something was opened, and how many were opened before it. */
    record Trace(long number, Throwable stack) {}

    private HandleTraces() {}

    /** Remembers that {@code owner} was opened here. */
    static void opened(Object owner, String what) {
        if (ON) OPEN.put(owner, new Trace(OPENED.getAndIncrement(), new Throwable(what)));
    }

    /** Remembers that a native handle was opened here. */
    static void opened(MemorySegment handle, String what) {
        if (ON) opened((Object) handle.address(), what);
    }

    /** Forgets what was opened; called before its memory is freed, since an address is soon used again. */
    static void closed(Object owner, long... handles) {
        if (!ON) return;
        OPEN.remove(owner);
        for (long handle : handles) OPEN.remove((Object) handle);
    }

    /** Returns how many were opened so far, open or not. */
    static long count() {
        return OPENED.get();
    }

    /** Returns the stacks of those that are open and were not among the first {@code count}, oldest first. */
    static List<Throwable> openSince(long count) {
        List<Trace> found = new ArrayList<>(OPEN.values());
        found.removeIf(trace -> trace.number() < count);
        found.sort((a, b) -> Long.compare(a.number(), b.number()));
        return found.stream().map(Trace::stack).toList();
    }
}
