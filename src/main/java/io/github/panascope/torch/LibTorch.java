package io.github.panascope.torch;

import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.net.URL;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;

/**
 * A libtorch on this machine. Searched for in the order of build-native.sh: {@code LIBTORCH}; Python's torch, if the
 * shim was built against one; the libraries of the Maven artifact, unpacked once into the cache that build-native.sh
 * uses too.
 *
 * @param folder  the folder that holds libtorch_cpu, and what it needs
 * @param version the version, such as 2.7.1
 * @param origin  where it was found, in words
 */
record LibTorch(Path folder, String version, String origin) {
    private static final String ARTIFACT = "ai.djl.pytorch:pytorch-native-cpu";
    private static final String PROPERTIES = "native/lib/pytorch.properties";

    /** Finds the libtorch for a shim of this platform that was built for this version from this source. */
    static LibTorch find(String version, String source, Platform platform) throws IOException {
        List<String> tried = new ArrayList<>();
        String variable = System.getenv("LIBTORCH");
        if (variable != null && !variable.isEmpty()) {
            // An explicit setting of the user is used or refused, never ignored.
            LibTorch explicit = fromFolder(
                    Path.of(variable, "lib").resolve(platform.library("torch_cpu")),
                    Path.of(variable, "build-version"),
                    version,
                    "LIBTORCH=" + variable,
                    tried);
            if (explicit != null) return explicit;
            throw new NativeLibraryException(String.join("; ", tried) + advice(platform));
        }
        tried.add("LIBTORCH is not set");
        if ("python".equals(source)) {
            LibTorch python = fromPython(version, platform, tried);
            if (python != null) return python;
        }
        LibTorch bundled = fromArtifact(version, platform, tried);
        if (bundled != null) return bundled;
        throw new NativeLibraryException(
                "no libtorch " + version + " was found: " + String.join("; ", tried) + advice(platform));
    }

    static String advice(Platform platform) {
        return ". Set LIBTORCH to an unpacked libtorch and run build-native.sh, or put the Maven artifact " + ARTIFACT
                + " (classifier " + platform.name() + ") on the class path";
    }

    private static LibTorch fromFolder(Path library, Path versionFile, String wanted, String origin, List<String> tried)
            throws IOException {
        if (!Files.exists(library)) {
            tried.add(origin + " has no " + library);
            return null;
        }
        String version = Files.exists(versionFile) ? versionIn(Files.readString(versionFile)) : wanted;
        if (!version.equals(wanted)) {
            tried.add(origin + " is version " + version + ", and the shim is built for " + wanted
                    + ": run build-native.sh again with it");
            return null;
        }
        return new LibTorch(library.getParent(), version, origin);
    }

    private static String versionIn(String text) {
        var matcher = Pattern.compile("[0-9]+\\.[0-9]+\\.[0-9]+").matcher(text);
        return matcher.find() ? matcher.group() : text.strip();
    }

    /** Asks python3 for the folder of its torch, without importing it. */
    private static LibTorch fromPython(String wanted, Platform platform, List<String> tried) throws IOException {
        String question =
                "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else"
                        + " '')";
        Process process;
        try {
            process = new ProcessBuilder("python3", "-c", question)
                    .redirectError(ProcessBuilder.Redirect.DISCARD)
                    .start();
        } catch (IOException e) {
            tried.add("python3 cannot be started");
            return null;
        }
        String answer = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
        try {
            if (!process.waitFor(20, TimeUnit.SECONDS) || answer.isEmpty()) {
                tried.add("python3 has no torch");
                return null;
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted while asking python3 for its torch");
        }
        Path torch = Path.of(answer);
        return fromFolder(
                torch.resolve("lib").resolve(platform.library("torch_cpu")),
                torch.resolve("version.py"),
                wanted,
                "python3's torch in " + torch,
                tried);
    }

    private static LibTorch fromArtifact(String version, Platform platform, List<String> tried) throws IOException {
        Path kept = cache().resolve("libtorch").resolve(version + "-cpu-" + platform.name());
        Path libraries = kept.resolve("lib");
        String origin = ARTIFACT + ":" + version + ", unpacked in " + kept;
        if (Files.exists(kept.resolve("complete"))) return new LibTorch(libraries, version, origin);
        ClassLoader loader = LibTorch.class.getClassLoader();
        Properties artifact = artifact(loader, platform, tried);
        if (artifact == null) return null;
        String found = versionIn(artifact.getProperty("version", "unknown"));
        if (!found.equals(version)) {
            tried.add("the artifact " + ARTIFACT + " on the class path is version " + found);
            return null;
        }
        Path marker = kept.resolveSibling(kept.getFileName() + "-jar");
        String prefix = "pytorch/cpu/" + platform.name() + "/";
        unpack(loader, prefix, List.of(artifact.getProperty("libraries", "").split(",")), marker);
        return new LibTorch(marker, version, origin + "-jar");
    }

    /**
     * Returns what the artifact for this platform says of itself, or null. Artifacts for several platforms may lie on
     * the class path, and each has a file of this name.
     */
    static Properties artifact(ClassLoader loader, Platform platform, List<String> tried) throws IOException {
        List<String> others = new ArrayList<>();
        for (URL resource : Collections.list(loader.getResources(PROPERTIES))) {
            Properties properties = new Properties();
            try (InputStream in = resource.openStream()) {
                properties.load(in);
            }
            String classifier = properties.getProperty("classifier", "unknown");
            if (classifier.equals(platform.name())) return properties;
            others.add(classifier);
        }
        tried.add(
                others.isEmpty()
                        ? "the artifact " + ARTIFACT + " is not on the class path"
                        : "the artifact " + ARTIFACT + " on the class path is for " + String.join(" and ", others)
                                + ", and this is " + platform.name());
        return null;
    }

    /**
     * Unpacks all libraries into a folder, once, even if several processes try at the same time. Makes real copies:
     * libtorch searches for its other libraries beside itself.
     */
    private static void unpack(ClassLoader loader, String prefix, List<String> libraries, Path folder)
            throws IOException {
        if (Files.exists(folder.resolve("complete"))) return;
        Files.createDirectories(folder);
        try (FileChannel lock =
                        FileChannel.open(folder.resolve("lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
                FileLock _ = lock.lock()) {
            if (Files.exists(folder.resolve("complete"))) return;
            try (var left = Files.newDirectoryStream(folder, "*.part")) { // left by a process that was killed
                for (Path part : left) Files.delete(part);
            }
            for (String library : libraries) {
                try (InputStream in = loader.getResourceAsStream(prefix + library)) {
                    if (in == null)
                        throw new NativeLibraryException("the libtorch artifact on the class path lacks " + library);
                    writeAtomically(in, folder.resolve(library));
                }
            }
            Files.createFile(folder.resolve("complete"));
        }
    }

    /** Returns the folder where unpacked libraries are kept between runs. */
    static Path cache() {
        String own = System.getenv("PANASCOPE_CACHE");
        if (own != null && !own.isEmpty()) return Path.of(own);
        String xdg = System.getenv("XDG_CACHE_HOME");
        Path base = xdg != null && !xdg.isEmpty() ? Path.of(xdg) : Path.of(System.getProperty("user.home"), ".cache");
        return base.resolve("panascope");
    }

    static void writeAtomically(InputStream in, Path target) throws IOException {
        Files.createDirectories(target.getParent());
        Path part =
                Files.createTempFile(target.getParent(), target.getFileName().toString(), ".part");
        try {
            Files.copy(in, part, StandardCopyOption.REPLACE_EXISTING);
            Files.move(part, target, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            Files.deleteIfExists(part);
        }
    }

    static String sha256(Path file) throws IOException {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            try (InputStream in = new DigestInputStream(Files.newInputStream(file), digest)) {
                in.transferTo(OutputStream.nullOutputStream());
            }
            return HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }
}
