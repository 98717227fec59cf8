package io.github.panascope.torch;

import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/**
 * An operating system with a kind of processor, and what libraries are called there. Its name is a classifier of the
 * Maven artifact that brings libtorch, and a folder of shims in our jar.
 *
 * @param name    the name, such as linux-x86_64
 * @param prefix  what stands before a library's name
 * @param suffix  what stands after it, with its dot
 * @param machine the number that says in the header of a library for which processor it is; 0 if it is not compared
 * @param status  what is known of Panascope there, in words; null if it is tested as a whole
 */
record Platform(String name, String prefix, String suffix, int machine, String status) {
    /** The page that says what to do on each platform. */
    static final String PAGE = "src/site/markdown/platforms.md";

    static final Platform LINUX_X86_64 = new Platform("linux-x86_64", "lib", ".so", 0x3e, null);
    static final Platform LINUX_AARCH64 =
            new Platform("linux-aarch64", "lib", ".so", 0xb7, "tested under an emulated processor only");
    static final Platform OSX_AARCH64 = new Platform("osx-aarch64", "lib", ".dylib", 0, "built, never run");
    static final Platform WIN_X86_64 = new Platform("win-x86_64", "", ".dll", 0, "only in WSL2");

    /** Those for which there is a libtorch, those that work first. */
    static final List<Platform> KNOWN = List.of(LINUX_X86_64, LINUX_AARCH64, OSX_AARCH64, WIN_X86_64);

    /**
     * Returns the platform of this JVM.
     *
     * @throws NativeLibraryException if there is no libtorch for it
     */
    static Platform here() {
        return of(System.getProperty("os.name"), System.getProperty("os.arch"));
    }

    /**
     * Returns the platform that Java describes in these words.
     *
     * @param os   the system property os.name
     * @param arch the system property os.arch
     * @throws NativeLibraryException if there is no libtorch for it
     */
    static Platform of(String os, String arch) {
        String system = os.toLowerCase(Locale.ROOT);
        String name = (system.startsWith("mac") ? "osx" : system.startsWith("windows") ? "win" : system) + "-"
                + switch (arch) {
                    case "amd64", "x86_64" -> "x86_64";
                    case "aarch64", "arm64" -> "aarch64";
                    default -> arch;
                };
        for (Platform each : KNOWN) if (each.name.equals(name)) return each;
        throw new NativeLibraryException("there is no libtorch for " + os + " on " + arch + ": Panascope runs on "
                + KNOWN.stream()
                        .filter(each -> each != WIN_X86_64)
                        .map(Platform::toString)
                        .collect(Collectors.joining(", "))
                + ", and on Windows in WSL2 (" + PAGE + " of its sources)");
    }

    /** Returns the file name of a library, such as libtorch_cpu.so for torch_cpu. */
    String library(String base) {
        return prefix + base + suffix;
    }

    /** Returns the name, with the status where there is one. */
    @Override
    public String toString() {
        return status == null ? name : name + " (" + status + ")";
    }
}
