package io.github.panascope.torch;

import io.github.panascope.bindings.Psc;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Owns tensors and modules, and frees them when it closes.
 *
 * <p>{@link #open} makes a confined scope: it belongs to its thread, and until it closes, results of that thread's
 * operators land in it (in the innermost one, if several are open). {@link #shared} makes a scope that any thread may
 * read from, for weights; nothing lands there by itself, {@link #adopt} puts it there.
 *
 * <p>After closing, every use of what it owned is an {@link IllegalStateException}; a use by the wrong thread is a
 * {@link WrongThreadException}. Closing a shared scope while a call uses it is an {@link IllegalStateException} too,
 * and leaves it open.
 */
public final class TensorScope implements AutoCloseable {
    private static final ThreadLocal<TensorScope> INNERMOST = new ThreadLocal<>();
    private static final int CLOSED = -1;

    private final Arena arena;
    private final Thread owner;
    private final TensorScope outer;
    private final String name; // of what owns it; null if that has none
    private final AtomicInteger uses = new AtomicInteger();
    private long[] tensors = new long[8];
    private int tensorCount;
    private long[] modules = new long[0];

    private TensorScope(Arena arena, Thread owner, TensorScope outer, String name) {
        this.name = name;
        this.arena = arena;
        this.owner = owner;
        this.outer = outer;
        HandleTraces.opened(this, "a scope");
    }

    /** Opens a confined scope, the innermost of this thread until it closes. */
    public static TensorScope open() {
        NativeLibrary.load();
        TensorScope scope = new TensorScope(Arena.ofConfined(), Thread.currentThread(), INNERMOST.get(), null);
        INNERMOST.set(scope);
        return scope;
    }

    /** Makes a shared scope, for what lives long and is read by many threads. */
    public static TensorScope shared() {
        return shared(null);
    }

    /**
     * Makes a shared scope that says what was closed where something of it is used afterwards.
     *
     * @param name of what it belongs to, such as {@code the model gpt2}
     */
    public static TensorScope shared(String name) {
        NativeLibrary.load();
        return new TensorScope(Arena.ofShared(), null, null, name);
    }

    /**
     * The innermost open scope of this thread.
     *
     * @throws IllegalStateException if it has none
     */
    public static TensorScope current() {
        TensorScope scope = INNERMOST.get();
        if (scope == null)
            throw new IllegalStateException(
                    "no TensorScope is open on this thread: open one with try (var scope = TensorScope.open()) { ..."
                            + " }");
        return scope;
    }

    /** A new handle to the same tensor, owned by this scope. The given one stays as it is. */
    public Tensor adopt(Tensor tensor) {
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_tensor_alias(tensor.handle(), out), "aliasing a tensor");
            return own(out.get(ValueLayout.ADDRESS, 0));
        }
    }

    /** Whether this scope is still open. */
    public boolean isOpen() {
        return arena.scope().isAlive();
    }

    /** Frees everything it owns. Closing twice does nothing. */
    @Override
    public synchronized void close() {
        if (!isOpen()) return;
        if (owner == null) {
            if (!uses.compareAndSet(0, CLOSED)) throw inUse(null);
        } else if (owner != Thread.currentThread()) {
            throw new WrongThreadException("this scope belongs to thread '" + owner.getName() + "', which closes it");
        } else if (INNERMOST.get() != this) {
            throw new IllegalStateException(
                    "scopes close in the order opposite to their opening, and an inner one is still open");
        }
        try {
            arena.close();
        } catch (IllegalStateException e) {
            if (owner == null) uses.set(0);
            throw inUse(e);
        }
        if (owner != null) {
            if (outer == null) INNERMOST.remove();
            else INNERMOST.set(outer);
        }
        HandleTraces.closed(this, tensors);
        HandleTraces.closed(this, modules);
        for (int i = tensorCount - 1; i >= 0; i--) Psc.psc_tensor_free(MemorySegment.ofAddress(tensors[i]));
        for (int i = modules.length - 1; i >= 0; i--) Psc.psc_module_free(MemorySegment.ofAddress(modules[i]));
    }

    Arena arena() {
        return arena;
    }

    TensorScope outer() {
        if (outer == null) throw new IllegalStateException("this scope has no outer one to promote into");
        return outer;
    }

    /** Takes over a native tensor. Frees it if the scope cannot take it. */
    synchronized Tensor own(MemorySegment pointer) {
        try {
            checkUsable();
            if (tensorCount == tensors.length) tensors = Arrays.copyOf(tensors, tensorCount * 2);
        } catch (RuntimeException | Error e) {
            Psc.psc_tensor_free(pointer);
            throw e;
        }
        tensors[tensorCount] = pointer.address();
        HandleTraces.opened(pointer, "a tensor");
        return new Tensor(handle(pointer), this, tensorCount++);
    }

    /** A tensor that somebody else frees, and that must not be used after this scope closes. */
    Tensor borrow(MemorySegment pointer) {
        return new Tensor(handle(pointer), this, -1);
    }

    /** Frees one of its own early. In a shared scope another thread could be about to use it. */
    void free(MemorySegment handle, int slot) {
        checkUsable();
        if (owner == null)
            throw new IllegalStateException(
                    "what a shared scope owns is freed when the scope closes: another thread could be using it");
        if (HandleTraces.ON) HandleTraces.closed(tensors[slot]);
        tensors[slot] = 0; // freeing NULL, when the scope closes, does nothing
        Psc.psc_tensor_free(MemorySegment.ofAddress(handle.address()));
    }

    synchronized MemorySegment ownModule(MemorySegment pointer) {
        try {
            checkUsable();
            modules = Arrays.copyOf(modules, modules.length + 1);
        } catch (RuntimeException | Error e) {
            Psc.psc_module_free(pointer);
            throw e;
        }
        modules[modules.length - 1] = pointer.address();
        HandleTraces.opened(pointer, "a module");
        return handle(pointer);
    }

    /** Zero-length, so that nobody can look inside; scoped, so that the linker refuses it once this scope is closed. */
    private MemorySegment handle(MemorySegment pointer) {
        return pointer.reinterpret(0, arena, null);
    }

    /** Says that a native call reads a tensor of this scope; {@link #release} says that it no longer does. */
    void acquire() {
        checkUsable();
        if (owner != null) return;
        if (uses.getAndUpdate(n -> n == CLOSED ? CLOSED : n + 1) == CLOSED) throw closed();
    }

    void release() {
        if (owner == null) uses.decrementAndGet();
    }

    /** Throws unless this scope is open and this thread may use it. */
    void checkUsable() {
        if (!isOpen()) throw closed();
        if (owner != null && owner != Thread.currentThread()) {
            throw new WrongThreadException("this scope belongs to thread '" + owner.getName() + "', not to '"
                    + Thread.currentThread().getName() + "'");
        }
    }

    boolean isUsable() {
        return isOpen() && (owner == null || owner == Thread.currentThread());
    }

    /** Whose it is, and how much it owns. */
    @Override
    public String toString() {
        String whose = name != null ? "of " + name : owner == null ? "shared" : "of thread '" + owner.getName() + "'";
        return "TensorScope(" + whose + ", " + (isOpen() ? tensorCount + " tensors" : "closed") + ")";
    }

    private IllegalStateException inUse(Throwable cause) {
        return new IllegalStateException(
                (name == null ? "this scope" : name) + " is in use by a running call: close it when that has ended",
                cause);
    }

    private IllegalStateException closed() {
        return new IllegalStateException(
                name == null ? "the scope of this tensor or module is closed" : name + " was closed");
    }
}
