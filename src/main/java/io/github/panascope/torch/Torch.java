package io.github.panascope.torch;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.github.panascope.bindings.Psc;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** libtorch as a whole: its version and build, its threads, and the count of what is alive. */
public final class Torch {
    private Torch() {}

    /** The version of the libtorch that is loaded, such as {@code 2.7.1}. */
    public static String version() {
        return NativeLibrary.load().torchVersion();
    }

    /** Where libtorch and the shim were loaded from, in words. */
    public static String origin() {
        return NativeLibrary.load().origin();
    }

    /** libtorch's own account of its build (BLAS, oneDNN, CUDA) and of its threads; several lines. */
    public static String description() {
        NativeLibrary.load();
        return describe();
    }

    static String describe() {
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.pointer();
            Native.check(Psc.psc_runtime_describe(out), "describing libtorch");
            return Native.text(out.get(ADDRESS, 0));
        }
    }

    static String versionIn(String description) {
        Matcher matcher = Pattern.compile("TORCH_VERSION=([0-9.]+)").matcher(description);
        return matcher.find() ? matcher.group(1) : "unknown";
    }

    /** How many threads one operator may use now: 1 while a {@link #singleThreaded} is open. */
    public static int threads() {
        NativeLibrary.load();
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.ints(1);
            Native.check(Psc.psc_threads_get(out), "reading the number of threads");
            return out.get(JAVA_INT, 0);
        }
    }

    /**
     * Sets how many threads one operator may use, for the whole process. While a {@link #singleThreaded} is open, this
     * is kept for the time after it.
     *
     * @param threads from 1 to {@link #maxThreads}
     * @throws IllegalArgumentException if it is not
     */
    public static void setThreads(int threads) {
        if (threads < 1 || threads > maxThreads())
            throw new IllegalArgumentException(
                    "the number of threads should lie between 1 and " + maxThreads() + ", not at " + threads);
        NativeLibrary.load();
        synchronized (SingleThreaded.LOCK) {
            if (SingleThreaded.open > 0) SingleThreaded.afterwards = threads;
            else set(threads);
        }
    }

    /** The most threads that {@link #setThreads} takes: four for each processor, and 64 in any case. */
    public static int maxThreads() {
        return Math.max(64, 4 * Runtime.getRuntime().availableProcessors());
    }

    private static void set(int threads) {
        Native.check(Psc.psc_threads_set(threads), "setting the number of threads");
    }

    /**
     * Has every operator of the process use one thread until what is returned is closed: so that results do not depend
     * on how many there are, or because the work is shared out over threads of Java's. Any number may be open at a
     * time, on any threads; the last that is closed puts back how many there were.
     */
    public static SingleThreaded singleThreaded() {
        return new SingleThreaded();
    }

    /** See {@link #singleThreaded}. Any thread may close it; closing it again does nothing. */
    public static final class SingleThreaded implements AutoCloseable {
        private static final Object LOCK = new Object();
        /** How many are open, and what comes after the last of them. */
        private static int open, afterwards;

        private boolean closed;

        private SingleThreaded() {
            synchronized (LOCK) {
                if (open == 0) {
                    afterwards = threads();
                    set(1);
                }
                open++;
            }
        }

        @Override
        public void close() {
            synchronized (LOCK) {
                if (closed) return;
                closed = true;
                if (--open == 0) set(afterwards);
            }
        }
    }

    /**
     * What of the CPU's instruction set libtorch's own operators use, such as {@code AVX2}: last bits of results depend
     * on it.
     */
    public static String cpuCapability() {
        Matcher matcher = Pattern.compile("CPU capability usage: (\\S+)").matcher(description());
        return matcher.find() ? matcher.group(1) : "unknown";
    }

    /** Seeds libtorch's random generators. */
    public static void seed(long seed) {
        NativeLibrary.load();
        Native.check(Psc.psc_seed(seed), "seeding");
    }

    /** The version of the C library, such as {@code 2.36}; null if it is not glibc. Needs no libtorch. */
    public static @Nullable String libcVersion() {
        Linker linker = Linker.nativeLinker();
        return linker.defaultLookup()
                .find("gnu_get_libc_version")
                .map(function -> {
                    try {
                        return Native.text(
                                (MemorySegment) linker.downcallHandle(function, FunctionDescriptor.of(ADDRESS))
                                        .invokeExact());
                    } catch (Throwable t) {
                        throw new IllegalStateException("asking the C library for its version", t);
                    }
                })
                .orElse(null);
    }

    /**
     * Native objects that Java owns now and has not freed, of all kinds, and tensors given to other libraries that
     * still use them. A scope that closes takes its own away.
     */
    public static long liveHandles() {
        NativeLibrary.load();
        return Psc.psc_live_handles(Psc.PSC_KIND_TENSOR())
                + Psc.psc_live_handles(Psc.PSC_KIND_MODULE())
                + Psc.psc_live_handles(Psc.PSC_KIND_HOOKS())
                + Psc.psc_live_handles(Psc.PSC_KIND_EXPORT())
                + Psc.psc_live_handles(Psc.PSC_KIND_TRANSFER());
    }
}
