package io.github.panascope.torch;

import io.github.panascope.bindings.Psc;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.net.URI;
import java.net.URL;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileLockInterruptionException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Loads libtorch and the shim, once. {@link LibTorch} finds libtorch; this class finds the shim, opens both, and
 * compares their versions before it calls any other function.
 */
final class NativeLibrary {
    private static final Pattern LIBSTDCXX = Pattern.compile("/libstdc\\+\\+\\.so\\.([0-9]+\\.[0-9]+\\.[0-9]+)$");

    private static volatile NativeLibrary loaded;
    private static NativeLibraryException refused;

    private final String torchVersion;
    private final String origin;

    private NativeLibrary(String torchVersion, String origin) {
        this.torchVersion = torchVersion;
        this.origin = origin;
    }

    String torchVersion() {
        return torchVersion;
    }

    String origin() {
        return origin;
    }

    /**
     * Loads the libraries, or throws the exception of the first failed attempt again.
     *
     * @throws NativeLibraryException with every place that was tried
     */
    static NativeLibrary load() {
        NativeLibrary library = loaded;
        return library != null ? library : loadOnce();
    }

    private static synchronized NativeLibrary loadOnce() {
        if (loaded != null) return loaded;
        if (refused != null) throw refused;
        try {
            return loaded = open();
        } catch (NativeLibraryException e) {
            throw refused = e;
        } catch (IllegalCallerException e) {
            Module module = NativeLibrary.class.getModule();
            throw refused = new NativeLibraryException(
                    "this JVM denies native access: start it with --enable-native-access="
                            + (module.isNamed() ? module.getName() : "ALL-UNNAMED"),
                    e);
        } catch (ClosedByInterruptException
                | FileLockInterruptionException
                | InterruptedIOException e) { // only this thread was interrupted: a later attempt may succeed
            throw new NativeLibraryException("the thread was interrupted while it prepared the native library", e);
        } catch (IOException | UncheckedIOException e) {
            throw refused = new NativeLibraryException(
                    "the native library could not be prepared in " + LibTorch.cache()
                            + " (PANASCOPE_CACHE names another folder): " + e,
                    e);
        }
    }

    private static NativeLibrary open() throws IOException {
        Platform platform = Platform.here();
        NamedShim named = NamedShim.named(System.getenv(NamedShim.VARIABLE));
        Properties properties = named != null ? named.properties() : properties(platform);
        LibTorch torch = LibTorch.find(
                properties.getProperty("torch.version"), properties.getProperty("torch.source"), platform);
        Path shim = named != null ? named.library() : shim(platform, properties.getProperty("library.sha256"));
        Path library = torch.folder().resolve(platform.library("torch_cpu"));
        // On macOS libtorch names OpenMP's library where Homebrew puts it: the loader takes the one that is open.
        Path openMp = torch.folder().resolve("libomp.dylib");
        if (Files.exists(openMp)) open(openMp, platform);
        // The shim names libtorch and no folder.
        open(library, platform);
        Set<String> before = mapped(library.getFileName());
        Path cuda = torch.folder().resolve(platform.library("torch_cuda"));
        // No library depends on it, but opening it registers its kernels.
        if (Files.exists(cuda)) open(cuda, platform);
        open(shim, platform);
        Set<String> other = mapped(library.getFileName());
        other.removeAll(before);
        if (!other.isEmpty()) {
            throw new NativeLibraryException(library + " is not the libtorch that was loaded, which is "
                    + String.join(", ", other) + LibTorch.advice(platform));
        }
        verify(torch);
        return new NativeLibrary(torch.version(), torch.origin() + ", shim " + shim);
    }

    /** Returns the files of this name that are loaded into this process; none where the system does not list them. */
    private static Set<String> mapped(Path name) throws IOException {
        Path maps = Path.of("/proc/self/maps");
        if (!Files.isReadable(maps)) return new TreeSet<>();
        try (Stream<String> lines = Files.lines(maps, StandardCharsets.ISO_8859_1)) {
            return lines.filter(line -> line.endsWith("/" + name))
                    .map(line -> line.substring(line.indexOf('/')))
                    .collect(Collectors.toCollection(TreeSet::new));
        }
    }

    /** Returns the version of libstdc++, which stands in the name of its file; null if there is none. */
    static String libstdcxxVersion() {
        try {
            SymbolLookup.libraryLookup("libstdc++.so.6", Arena.global());
            Path maps = Path.of("/proc/self/maps");
            if (!Files.isReadable(maps)) return null;
            return Files.readAllLines(maps, StandardCharsets.ISO_8859_1).stream()
                    .map(LIBSTDCXX::matcher)
                    .filter(Matcher::find)
                    .findFirst()
                    .map(found -> found.group(1))
                    .orElse(null);
        } catch (IllegalArgumentException | IOException e) { // no such library, or no such list of what is loaded
            return null;
        }
    }

    private static void open(Path library, Platform platform) throws IOException {
        LibraryFile.requireWhole(library, platform);
        try {
            SymbolLookup.libraryLookup(library, Arena.global());
        } catch (IllegalArgumentException e) {
            throw new NativeLibraryException(
                    library + " cannot be loaded: " + e.getMessage() + LibTorch.advice(platform), e);
        }
    }

    /** Compares the versions of the header, the bindings, the shim and libtorch. */
    private static void verify(LibTorch torch) throws IOException {
        Properties generated = properties(
                "/io/github/panascope/bindings/GENERATED.properties", "the jar lacks the bindings' manifest");
        if (Psc.psc_abi_version() != Psc.PSC_ABI_VERSION()
                || !Native.text(Psc.psc_header_sha256()).equals(generated.getProperty("psc.h.sha256"))) {
            throw new NativeLibraryException(
                    "the shim and the bindings come from different versions of psc.h: run build-native.sh again");
        }
        String built = Native.text(Psc.psc_built_for());
        Native.check(Psc.psc_runtime_init(), "starting libtorch");
        String running = Torch.versionIn(Torch.describe());
        if (!built.equals(running)) {
            throw new NativeLibraryException("the shim is built for libtorch " + built + " but " + torch.folder()
                    + " holds " + running + ": run build-native.sh with that libtorch, or leave LIBTORCH unset");
        }
    }

    /** Returns the shim as a file: the one that the build left, or one unpacked from the jar, once for each content. */
    private static Path shim(Platform platform, String sha256) throws IOException {
        String name = platform.library("panascope");
        URL resource = NativeLibrary.class.getResource(resource(platform, name));
        if (resource.getProtocol().equals("file")) return Paths.get(URI.create(resource.toString()));
        Path kept = LibTorch.cache().resolve("shim").resolve(sha256).resolve(name);
        if (!Files.exists(kept) || !LibTorch.sha256(kept).equals(sha256)) {
            try (InputStream in = resource.openStream()) {
                LibTorch.writeAtomically(in, kept);
            }
        }
        return kept;
    }

    private static String resource(Platform platform, String file) {
        return "/native/" + platform.name() + "/" + file;
    }

    /** Returns the properties of the jar's shim for a platform. */
    private static Properties properties(Platform platform) throws IOException {
        String built = Platform.KNOWN.stream()
                .filter(each -> NativeLibrary.class.getResource(resource(each, NamedShim.PROPERTIES)) != null)
                .map(Platform::name)
                .collect(Collectors.joining(", "));
        return properties(
                resource(platform, NamedShim.PROPERTIES),
                "the jar has native libraries for " + (built.isEmpty() ? "no platform" : built) + ", and this is "
                        + platform + ": " + Platform.PAGE + " of its sources says how to get one");
    }

    private static Properties properties(String resource, String ifAbsent) throws IOException {
        try (InputStream in = NativeLibrary.class.getResourceAsStream(resource)) {
            if (in == null) throw new NativeLibraryException(ifAbsent);
            Properties properties = new Properties();
            properties.load(in);
            return properties;
        }
    }
}
