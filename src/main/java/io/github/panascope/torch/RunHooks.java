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
 * A set of hook points and the hook that is called there. Made for one run, or for several runs of one thread; closed
 * by that thread.
 */
public final class RunHooks implements AutoCloseable {
    private static final AtomicLong IDS = new AtomicLong();
    private static final Map<Long, RunHooks> ACTIVE = new ConcurrentHashMap<>();

    /** The process's only upcall stub: the id that native code passes along finds the hooks. */
    private static final class Stub {
        static final MemorySegment POINTER = psc_hook_fn.allocate(RunHooks::enter, Arena.global());
    }

    private final long id = IDS.incrementAndGet();
    private final Arena arena = Arena.ofConfined();
    private final MemorySegment handle;
    private final ActivationHook hook;
    private Throwable failure;

    /**
     * Makes a set of hook points with one hook for all of them.
     *
     * @param names the names of the hook points, such as {@code blocks.8.hook_resid_pre}
     * @param hook  the hook, called at each of these points
     * @throws NativeLibraryException if libtorch cannot be loaded
     */
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

    /** Rethrows the exception of a hook, unchanged and on the thread of the run. */
    void rethrow() {
        Throwable thrown = failure;
        failure = null;
        if (thrown != null) RunHooks.<RuntimeException>sneak(thrown);
    }

    @SuppressWarnings("unchecked") // a checked exception of a hook reaches the caller unchanged
    private static <T extends Throwable> void sneak(Throwable thrown) throws T {
        throw (T) thrown;
    }

    /**
     * Frees the set. Closing twice does nothing.
     *
     * @throws WrongThreadException if another thread made it
     * @throws IllegalStateException if a running call uses it
     */
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

    /** Receives the upcall. No exception may leave this method: it would end the JVM. */
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
     * Registers the hook for the gradient of an activation. It is called when the gradient is computed, and may replace
     * it. An exception of the hook is rethrown by {@link GradMode#gradients(RunHooks, Tensor, Tensor...)}.
     *
     * @param name       the name that the hook is called with
     * @param activation a tensor that gradients flow through
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
            // C++ takes over a handle of its own; the hook's handle stays with its scope.
            Native.check(Psc.psc_tensor_alias(after.handle(), replacement), "replacing the activation at " + name);
        } finally {
            if (event != null) event.finish(name, replaced);
        }
    }

    /**
     * Requires the dtype, device and rank of the activation. Sizes may differ: the module fails where it cannot work
     * with them.
     */
    private static void checkReplacement(String name, Tensor before, Tensor after) {
        String differs = before.dtype() != after.dtype()
                ? "dtype"
                : !before.device().equals(after.device())
                        ? "device"
                        : before.shape().rank() != after.shape().rank() ? "rank" : null;
        if (differs != null) {
            throw new IllegalArgumentException("the hook at " + name + " returned " + after.describe()
                    + " in the place of " + before.describe() + ": the " + differs + " must stay");
        }
    }

    /** {@return the number of this set in the process, and whether it is closed} */
    @Override
    public String toString() {
        return "RunHooks(" + id + (arena.scope().isAlive() ? ")" : ", closed)");
    }
}
