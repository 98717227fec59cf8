package io.github.panascope.torch;

import static java.lang.foreign.ValueLayout.ADDRESS;

import io.github.panascope.bindings.Psc;
import io.github.panascope.bindings.psc_hook_fn;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Collection;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The names that a run listens to and the hook that hears of them. Made for one run, or for several by one thread;
 * closed by that thread.
 */
public final class RunHooks implements AutoCloseable {
    private static final AtomicLong IDS = new AtomicLong();
    private static final Map<Long, RunHooks> ACTIVE = new ConcurrentHashMap<>();

    /** One upcall stub for the process: the id that comes along finds the hooks. */
    private static final class Stub {
        static final MemorySegment POINTER = psc_hook_fn.allocate(RunHooks::enter, Arena.global());
    }

    private final long id = IDS.incrementAndGet();
    private final Arena arena = Arena.ofConfined();
    private final MemorySegment handle;
    private final ActivationHook hook;
    private Throwable failure;

    /** Hooks that call {@code hook} at each of these hook points. */
    public RunHooks(Collection<String> names, ActivationHook hook) {
        NativeLibrary.load();
        this.hook = hook;
        try (Arena temporary = Arena.ofConfined();
                Scratch scratch = Scratch.open()) {
            MemorySegment pointers = temporary.allocate(ADDRESS, Math.max(1, names.size()));
            int count = 0;
            for (String name : names) pointers.setAtIndex(ADDRESS, count++, temporary.allocateFrom(name));
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_hooks_new(Stub.POINTER, id, pointers, count, out), "setting hooks");
            handle = out.get(ADDRESS, 0).reinterpret(0, arena, null);
        }
        ACTIVE.put(id, this);
        HandleTraces.opened(this, "a set of hooks");
    }

    MemorySegment handle() {
        requireUsable();
        return handle;
    }

    private void requireUsable() {
        if (!arena.scope().isAlive()) throw new IllegalStateException("this set of hooks is closed");
        if (!handle.isAccessibleBy(Thread.currentThread()))
            throw new WrongThreadException("a set of hooks is used by the thread that made it");
    }

    /** Rethrows what a hook threw, as itself and on the thread of the run. */
    void rethrow() {
        Throwable thrown = failure;
        failure = null;
        if (thrown != null) RunHooks.<RuntimeException>sneak(thrown);
    }

    @SuppressWarnings("unchecked") // a checked exception of the user's stays what it is
    private static <T extends Throwable> void sneak(Throwable thrown) throws T {
        throw (T) thrown;
    }

    @Override
    public void close() {
        if (!arena.scope().isAlive()) return;
        requireUsable();
        try {
            arena.close();
        } catch (IllegalStateException e) {
            throw new IllegalStateException("this set of hooks is in use: close it after the run", e);
        }
        ACTIVE.remove(id);
        HandleTraces.closed(this);
        Psc.psc_hooks_free(MemorySegment.ofAddress(handle.address()));
    }

    /** The upcall. Nothing may leave it: an exception that does ends the JVM. */
    private static int enter(long id, MemorySegment name, MemorySegment activation, MemorySegment replacement) {
        RunHooks hooks = null;
        try {
            hooks = ACTIVE.get(id);
            hooks.run(name.getString(0), activation, replacement.reinterpret(ADDRESS.byteSize()));
            return Psc.PSC_OK();
        } catch (Throwable t) {
            if (hooks != null) hooks.failure = t;
            return Psc.PSC_ERR_CALLBACK();
        }
    }

    /**
     * Calls the hook under this name with the gradient of an activation, when it is computed; what it returns flows on.
     * The activation is one that gradients flow through. What the hook throws leaves
     * {@link GradMode#gradients(RunHooks, Tensor, Tensor...)}.
     */
    public void onGradient(String name, Tensor activation) {
        try (Scratch scratch = Scratch.open()) {
            Native.check(
                    Psc.psc_hooks_on_gradient(handle(), scratch.text(name), activation.handle()),
                    "watching the gradient at " + name);
        }
    }

    private void run(String name, MemorySegment activation, MemorySegment replacement) throws Exception {
        Events.Hook event = Events.hook();
        boolean replaced = false;
        try (TensorScope scope = TensorScope.open()) {
            Tensor before = scope.borrow(activation);
            Tensor after = hook.apply(before, name);
            if (after == null || after == before) return;
            checkReplacement(name, before, after);
            replaced = true;
            // A handle of its own for C++, which takes it over; the hook's stays with its scope.
            Native.check(Psc.psc_tensor_alias(after.handle(), replacement), "replacing the activation at " + name);
        } finally {
            if (event != null) event.finish(name, replaced);
        }
    }

    /** Sizes may change, as far as the module can go on with them. */
    private static void checkReplacement(String name, Tensor before, Tensor after) {
        String differs = before.dtype() != after.dtype()
                ? "dtype"
                : !before.device().equals(after.device())
                        ? "device"
                        : before.shape().rank() != after.shape().rank() ? "rank" : null;
        if (differs != null) {
            throw new IllegalArgumentException("the hook at " + name + " returned " + after + " in the place of "
                    + before + ": the " + differs + " must stay");
        }
    }

    /** Its number. */
    @Override
    public String toString() {
        return "RunHooks(" + id + (arena.scope().isAlive() ? ")" : ", closed)");
    }
}
