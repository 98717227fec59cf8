package io.github.panascope.torch;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.github.panascope.bindings.Psc;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * libtorch as a whole: its version and build, its threads, its random seed, and the number of live native objects.
 *
 * <pre>{@code
 * System.out.println("libtorch " + Torch.version() + " from " + Torch.origin());
 * Torch.seed(0);
 * try (var single = Torch.singleThreaded(); TensorScope scope = TensorScope.open()) {
 *     Tensor noise = Tensor.zeros(DType.FLOAT32, Shape.of(2, 3));
 *     Op.of("aten::normal_", "").tensor(noise, 0.0, 1.0);
 *     System.out.println(Torch.threads() + " thread, mean " + noise.mean().item());
 * }
 * System.out.println(Torch.liveHandles()); // 0: the scope has freed its tensors
 * }</pre>
 */
public final class Torch {
    private Torch() {}

    /** {@return the version of the loaded libtorch, such as {@code 2.7.1}} */
    public static String version() {
        return NativeLibrary.load().torchVersion();
    }

    /**
     * Returns the folder in which Panascope keeps what it unpacks: libtorch, the shim, the demo bundle. It is
     * {@code $PANASCOPE_CACHE}, or else {@code panascope} in {@code $XDG_CACHE_HOME} or {@code ~/.cache}.
     *
     * @return the folder, which need not exist yet
     */
    public static Path cache() {
        return LibTorch.cache();
    }

    /** {@return where libtorch and the shim were loaded from, in words} */
    public static String origin() {
        return NativeLibrary.load().origin();
    }

    /**
     * Returns libtorch's own description of its build (BLAS, oneDNN, CUDA) and of its threads.
     *
     * @return a text of several lines
     */
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

    /** {@return how many threads one operator may use now; 1 while a {@link #singleThreaded} is open} */
    public static int threads() {
        NativeLibrary.load();
        try (Scratch scratch = Scratch.open()) {
            MemorySegment out = scratch.ints(1);
            Native.check(Psc.psc_threads_get(out), "reading the number of threads");
            return out.get(JAVA_INT, 0);
        }
    }

    /**
     * Sets how many threads one operator may use, for the whole process. While a {@link #singleThreaded} is open, the
     * new number takes effect when the last one is closed.
     *
     * @param threads the number, from 1 to {@link #maxThreads}
     * @throws IllegalArgumentException if the number is out of that range
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

    /**
     * Returns the largest number that {@link #setThreads} accepts.
     *
     * @return four for each processor, but at least 64
     */
    public static int maxThreads() {
        return Math.max(64, 4 * Runtime.getRuntime().availableProcessors());
    }

    private static void set(int threads) {
        Native.check(Psc.psc_threads_set(threads), "setting the number of threads");
    }

    /**
     * Makes every operator of the process use one thread until the result is closed: for results that do not depend on
     * the number of threads, or for work that Java's threads share. Any number may be open at a time, on any threads;
     * closing the last one restores the former number, or sets the number that {@link #setThreads} was given in the
     * meantime.
     *
     * @return the setting; any thread may close it
     * @throws NativeLibraryException if libtorch cannot be loaded
     */
    public static SingleThreaded singleThreaded() {
        return new SingleThreaded();
    }

    /**
     * The setting that {@link #singleThreaded} makes: operators use one thread until it is closed. Any thread may close
     * it; closing it twice does nothing.
     */
    public static final class SingleThreaded implements AutoCloseable {
        private static final Object LOCK = new Object();
        /** How many are open, and the number of threads to restore after the last of them. */
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

        /** Ends this setting; the last one to end restores the number of threads. Closing twice does nothing. */
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
     * Returns the part of the CPU's instruction set that libtorch's own operators use. The last bits of results depend
     * on it.
     *
     * @return the name, such as {@code AVX2}; {@code unknown} if libtorch does not name it
     */
    public static String cpuCapability() {
        Matcher matcher = Pattern.compile("CPU capability usage: (\\S+)").matcher(description());
        return matcher.find() ? matcher.group(1) : "unknown";
    }

    /**
     * Seeds libtorch's random generators.
     *
     * @param seed the seed
     */
    public static void seed(long seed) {
        NativeLibrary.load();
        Native.check(Psc.psc_seed(seed), "seeding");
    }

    /**
     * Returns the platform of this JVM. Does not load libtorch.
     *
     * @return the name, such as {@code linux-x86_64}, and in parentheses what is not known to work there
     * @throws NativeLibraryException if there is no libtorch for it
     */
    public static String platform() {
        return Platform.here().toString();
    }

    /**
     * Returns the version of the C++ library, which libtorch and the shim are linked with. Does not load libtorch.
     *
     * @return the version, such as {@code 6.0.30}, whose last number is that of the newest symbol version, here
     *     GLIBCXX_3.4.30; null if the library is not libstdc++, or says no version
     */
    public static @Nullable String libstdcxxVersion() {
        return NativeLibrary.libstdcxxVersion();
    }

    /**
     * Returns the version of the C library. Does not load libtorch.
     *
     * @return the version, such as {@code 2.36}; null if the library is not glibc
     */
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
     * Counts the native objects of all kinds that Java owns and has not freed, and the tensors given to other libraries
     * that still use them. Closing a scope frees what it owns.
     *
     * @return the number of objects
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
