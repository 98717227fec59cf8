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
 * <pre>{@code
 * try (TensorScope outer = TensorScope.open()) {
 *     Tensor total;
 *     try (TensorScope inner = TensorScope.open()) {
 *         Tensor squares = Tensor.ofTokens(1, 2, 3).to(DType.FLOAT32);
 *         squares = squares.mul(squares);
 *         total = squares.sum(DType.FLOAT32).promote(); // a handle in the outer scope
 *     } // frees the intermediate results
 *     System.out.println(total.item()); // 14.0
 *     System.out.println(outer); // TensorScope(of thread 'main', 1 tensor)
 * }
 * }</pre>
 *
 * <p>{@link #open} opens a confined scope. It belongs to its thread, and until it closes, the results of that thread's
 * operators are put into it (into the innermost one, if several are open). {@link #shared} makes a scope that any
 * thread may read from, for weights. Nothing is put there automatically; {@link #adopt} puts it there.
 *
 * <p>After closing, every use of what the scope owned throws an {@link IllegalStateException}; a use by the wrong
 * thread throws a {@link WrongThreadException}. Closing a shared scope while a call uses it throws an {@link
 * IllegalStateException} too, and leaves it open.
 *
 * <p>In a notebook or a shell, where each input may run on another thread and no block encloses them,
 * {@link #collected} opens a scope for every thread that has none of its own. The garbage collector frees its tensors.
 */
public final class TensorScope implements AutoCloseable {
    private static final ThreadLocal<TensorScope> INNERMOST = new ThreadLocal<>();
    private static final int CLOSED = -1;
    private static final long[] NOTHING = {};
    /** The scope of threads that have none open, or null. */
    private static volatile TensorScope everywhere;

    private final Arena arena;
    private final Thread owner;
    private final TensorScope outer;
    private final String name; // of what the scope belongs to, for messages; null if it has none
    private final Collected collected; // null unless the garbage collector frees what the scope owns
    private final AtomicInteger uses = new AtomicInteger();
    private long[] tensors = NOTHING;
    private int tensorCount;
    private long[] modules = NOTHING;

    private TensorScope(Arena arena, Thread owner, TensorScope outer, String name) {
        this(arena, owner, outer, name, null);
        HandleTraces.opened(this, "a scope");
    }

    private TensorScope(Arena arena, Thread owner, TensorScope outer, String name, Collected collected) {
        this.name = name;
        this.arena = arena;
        this.owner = owner;
        this.outer = outer;
        this.collected = collected;
    }

    /**
     * Opens a confined scope, the innermost of the calling thread until it closes.
     *
     * @return the scope; the calling thread closes it
     * @throws NativeLibraryException if libtorch cannot be loaded
     */
    public static TensorScope open() {
        NativeLibrary.load();
        TensorScope scope = new TensorScope(Arena.ofConfined(), Thread.currentThread(), INNERMOST.get(), null);
        INNERMOST.set(scope);
        return scope;
    }

    /**
     * Makes a shared scope, for tensors that live long and are read by many threads.
     *
     * @return the scope; the caller closes it
     * @throws NativeLibraryException if libtorch cannot be loaded
     */
    public static TensorScope shared() {
        return shared(null);
    }

    /**
     * Makes a shared scope with a name. Its exceptions name what was closed when something of it is used afterwards.
     *
     * @param name the name of what the scope belongs to, such as {@code the model gpt2}; null for none
     * @return the scope; the caller closes it
     * @throws NativeLibraryException if libtorch cannot be loaded
     */
    public static TensorScope shared(String name) {
        NativeLibrary.load();
        return new TensorScope(Arena.ofShared(), null, null, name);
    }

    /**
     * Opens the scope of all threads that have none of their own open, for notebooks and shells. The garbage collector
     * frees a tensor of this scope once nothing refers to it or to its {@linkplain Tensor#segment memory}, whatever
     * thread made it; {@link Tensor#free} has no effect there. The collector is called whenever the tensors made since
     * its last call take more bytes than the others that are alive, but not before they take 256 MB, and at the latest
     * when they take 2 GB; a view counts as if its elements were its own. {@link Tensor#promote} in the outermost block
     * of a thread puts a tensor here. There is one such scope at a time, and until it closes, each call returns it.
     *
     * @return the scope; when it closes, its tensors can no longer be used, and threads need scopes of their own again
     */
    public static synchronized TensorScope collected() {
        if (everywhere == null || !everywhere.isOpen())
            everywhere = new TensorScope(Arena.ofShared(), null, null, "the scope of all threads", new Collected());
        return everywhere;
    }

    /**
     * Returns the innermost open scope of the calling thread, or the {@linkplain #collected scope of all threads} if
     * the thread has none open.
     *
     * @return the scope
     * @throws IllegalStateException if no scope is open
     * @throws NativeLibraryException if it is the scope of all threads and libtorch cannot be loaded
     */
    public static TensorScope current() {
        TensorScope scope = INNERMOST.get();
        if (scope == null && (scope = ofAllThreads()) != null) NativeLibrary.load();
        if (scope == null)
            throw new IllegalStateException(
                    "no TensorScope is open on this thread: open one with try (var scope = TensorScope.open()) { ..."
                            + " }; a shell or notebook calls TensorScope.collected()");
        return scope;
    }

    /** Returns the open scope of all threads, or null. */
    private static TensorScope ofAllThreads() {
        TensorScope scope = everywhere;
        return scope != null && scope.isOpen() ? scope : null;
    }

    /**
     * Makes a new handle to a tensor, owned by this scope. The given handle stays valid.
     *
     * @param tensor the tensor
     * @return a handle to the same tensor, in this scope
     */
    public Tensor adopt(Tensor tensor) {
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_tensor_alias(tensor.handle(), out), "aliasing a tensor");
            return own(out.get(ValueLayout.ADDRESS, 0));
        }
    }

    /** {@return whether this scope is still open} */
    public boolean isOpen() {
        return arena.scope().isAlive() && (collected == null || outer == null || outer.isOpen());
    }

    /**
     * Frees everything that this scope owns. Closing twice does nothing. What the garbage collector frees is freed when
     * it next runs.
     *
     * @throws WrongThreadException if another thread closes a confined scope
     * @throws IllegalStateException if an inner scope is still open, or a running call uses this one; it then stays
     *     open
     */
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
        TensorScope found = outer == null && owner != null ? ofAllThreads() : outer;
        if (found == null) throw new IllegalStateException("this scope has no outer one to promote into");
        return found;
    }

    /** Takes over a native tensor. Frees it if the scope cannot take it. */
    synchronized Tensor own(MemorySegment pointer) {
        try {
            checkUsable();
            if (collected != null) return collected(pointer);
            if (tensorCount == tensors.length) tensors = Arrays.copyOf(tensors, Math.max(8, tensorCount * 2));
        } catch (RuntimeException | Error e) {
            Psc.psc_tensor_free(pointer);
            throw e;
        }
        tensors[tensorCount] = pointer.address();
        HandleTraces.opened(pointer, "a tensor");
        return new Tensor(handle(pointer), this, tensorCount++);
    }

    /**
     * Makes a handle to a native tensor that the garbage collector frees. The handle has a scope of its own, within
     * this one, whose arena lives as long as the handle, its memory as a segment, and native calls that use it.
     */
    private Tensor collected(MemorySegment pointer) {
        HandleTraces.opened(pointer, "a tensor");
        TensorScope own = new TensorScope(collected.take(pointer), null, this, name, collected);
        return new Tensor(own.handle(pointer), own, -1);
    }

    /** Makes a handle to a tensor that this scope does not free, and that must not be used after the scope closes. */
    Tensor borrow(MemorySegment pointer) {
        return new Tensor(handle(pointer), this, -1);
    }

    /**
     * Frees one of the scope's tensors before the scope closes. A shared scope refuses it: another thread could be
     * about to use the tensor.
     */
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

    /** Bounds a pointer: to length 0, so that Java cannot read there; to the arena, so that closing invalidates it. */
    private MemorySegment handle(MemorySegment pointer) {
        return pointer.reinterpret(0, arena, null);
    }

    /** Notes that a native call reads a tensor of this scope; {@link #release} notes the end of that call. */
    void acquire() {
        checkUsable();
        if (owner != null) return;
        if (uses.getAndUpdate(n -> n == CLOSED ? CLOSED : n + 1) == CLOSED) throw closed();
    }

    void release() {
        if (owner == null) uses.decrementAndGet();
    }

    /** Throws unless this scope is open and the calling thread may use it. */
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

    /** {@return what the scope belongs to, and how many tensors it owns} */
    @Override
    public String toString() {
        if (collected != null) return "TensorScope(of all threads, " + (isOpen() ? collected + ")" : "closed)");
        String whose = name != null ? "of " + name : owner == null ? "shared" : "of thread '" + owner.getName() + "'";
        return "TensorScope(" + whose + ", "
                + (isOpen() ? tensorCount + (tensorCount == 1 ? " tensor" : " tensors") : "closed") + ")";
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
