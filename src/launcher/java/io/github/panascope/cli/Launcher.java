package io.github.panascope.cli;

import java.io.DataInputStream;
import java.io.EOFException;
import java.io.File;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * First class of {@code java -jar panascope.jar}, compiled for Java 11. On a Java that is too old, it searches for an
 * installed JDK 22 or newer and starts that one with the same arguments, or reports in one sentence what is missing. A
 * command that takes only a second is started in another JVM too, unless this one was started with options: half of its
 * time would go into compiling code that runs no longer than that.
 */
public final class Launcher {
    private static final int NEEDED = 22;
    private static final Set<String> SHORT = Set.of("prompt");
    private static final List<String> OPTIONS = List.of("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS");

    private Launcher() {}

    /**
     * Runs the command line in this JVM or in another one.
     *
     * @param args the arguments of the command line
     * @throws Exception if the command line cannot be started
     */
    public static void main(String[] args) throws Exception {
        requireReadable(args);
        boolean recent = Runtime.version().feature() >= NEEDED, quick = args.length > 0 && SHORT.contains(args[0]);
        if (recent && !(quick && startedPlainly())) {
            Class.forName("io.github.panascope.cli.Main")
                    .getMethod("main", String[].class)
                    .invoke(null, (Object) args);
            return;
        }
        Path java = recent ? executable(Paths.get(System.getProperty("java.home"))) : find();
        if (java == null) {
            System.err.println("panascope: Java " + NEEDED + " or newer is needed; this is "
                    + Runtime.version().feature()
                    + ", and none was found in JAVA_HOME or where JDKs are usually installed. Install one, or"
                    + " set JAVA_HOME.");
            System.exit(2);
        }
        Path jar = Paths.get(Launcher.class
                .getProtectionDomain()
                .getCodeSource()
                .getLocation()
                .toURI());
        List<String> command = new ArrayList<>(List.of(java.toString()));
        if (!recent) command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments()); // -Xmx and others
        if (quick && command.size() == 1) command.addAll(quickStart(java, jar));
        command.add("-Dpanascope.parent=" + ProcessHandle.current().pid());
        command.addAll(List.of("-jar", jar.toString()));
        command.addAll(Arrays.asList(args));
        Process process = new ProcessBuilder(command).inheritIO().start();
        Runtime.getRuntime().addShutdownHook(new Thread(process::destroy)); // ends the other JVM with this one
        System.exit(process.waitFor());
    }

    /** Returns whether this JVM was started without options. */
    private static boolean startedPlainly() {
        String[] arguments = ProcessHandle.current().info().arguments().orElse(new String[0]);
        return arguments.length > 0
                && arguments[0].equals("-jar")
                && OPTIONS.stream().allMatch(name -> System.getenv(name) == null);
    }

    /**
     * Returns the options for a quick start: only the quick compiler, a collector without threads, and an archive of
     * the classes that an earlier start loaded, which the JVM makes by itself.
     */
    private static List<String> quickStart(Path java, Path jar) {
        List<String> options = new ArrayList<>(
                List.of("-XX:+IgnoreUnrecognizedVMOptions", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"));
        try {
            Path archive = cache().resolve("start-"
                    + Integer.toHexString(
                            List.of(java, jar, version(java.getParent().getParent()))
                                    .hashCode()) + ".jsa");
            Files.createDirectories(archive.getParent());
            if (!isWhole(archive) || isOlder(archive, jar)) Files.deleteIfExists(archive);
            // No warnings where the archive cannot be written or read: then the start takes a little longer.
            options.addAll(List.of(
                    "-XX:-PrintWarnings",
                    "-Xlog:disable",
                    "-Xlog:all=error,cds*=off,aot*=off:stderr",
                    "-XX:+AutoCreateSharedArchive",
                    "-XX:SharedArchiveFile=" + archive));
        } catch (IOException e) {
            return options;
        }
        return options;
    }

    /**
     * Returns whether a file begins as archives do. The JVM writes that beginning last, and would not replace an
     * archive that was cut off.
     */
    private static boolean isWhole(Path archive) throws IOException {
        if (!Files.exists(archive)) return false;
        try (DataInputStream in = new DataInputStream(Files.newInputStream(archive))) {
            return Integer.reverseBytes(in.readInt()) >>> 8 == 0xf00bab;
        } catch (EOFException e) {
            return false;
        }
    }

    /** Returns whether a jar beside this one changed after the archive was made. */
    private static boolean isOlder(Path archive, Path jar) {
        long made = archive.toFile().lastModified();
        File[] jars = jar.getParent().toFile().listFiles((folder, name) -> name.endsWith(".jar"));
        return jars != null && Arrays.stream(jars).anyMatch(file -> file.lastModified() > made);
    }

    /** Returns the folder of LibTorch.cache(), which this class cannot call as it is compiled for an older Java. */
    private static Path cache() {
        String own = System.getenv("PANASCOPE_CACHE"), xdg = System.getenv("XDG_CACHE_HOME");
        if (own != null && !own.isEmpty()) return Paths.get(own);
        return (xdg != null && !xdg.isEmpty() ? Paths.get(xdg) : Paths.get(System.getProperty("user.home"), ".cache"))
                .resolve("panascope");
    }

    /**
     * Refuses arguments that this locale cannot represent. In a locale without UTF-8, Java receives replacement
     * characters in place of what was typed, and would take them for the text.
     */
    private static void requireReadable(String[] args) {
        String charset = System.getProperty("sun.jnu.encoding", "UTF-8");
        for (String arg : args) {
            if (arg.indexOf('\ufffd') >= 0 && !charset.equalsIgnoreCase("UTF-8")) {
                System.err.println(
                        "panascope: an argument cannot be read in this locale (" + charset + "): set LC_ALL=C.UTF-8.");
                System.exit(2);
            }
        }
    }

    /** Finds the newest suitable {@code java} on this machine, JAVA_HOME's before all others; null if there is none. */
    private static Path find() {
        String own = System.getenv("JAVA_HOME");
        if (own != null && version(Paths.get(own)) >= NEEDED) return executable(Paths.get(own));
        String home = System.getProperty("user.home");
        return Stream.of(
                        "/usr/lib/jvm",
                        "/usr/java",
                        "/opt",
                        "/opt/java",
                        home + "/.sdkman/candidates/java",
                        home + "/.jdks",
                        home + "/.local/share/mise/installs/java",
                        "/Library/Java/JavaVirtualMachines")
                .flatMap(Launcher::children)
                .flatMap(jdk -> Stream.of(jdk, jdk.resolve("Contents/Home")))
                .filter(jdk -> version(jdk) >= NEEDED)
                .max((a, b) -> Integer.compare(version(a), version(b)))
                .map(Launcher::executable)
                .orElse(null);
    }

    private static Stream<Path> children(String folder) {
        File[] files = new File(folder).listFiles(File::isDirectory);
        return files == null
                ? Stream.empty()
                : Arrays.stream(files).map(File::toPath).sorted();
    }

    private static Path executable(Path jdk) {
        return jdk.resolve("bin/java");
    }

    /** Returns the feature version in a JDK's {@code release} file; 0 if the folder is not a JDK. */
    private static int version(Path jdk) {
        Path release = jdk.resolve("release");
        if (!Files.isExecutable(executable(jdk)) || !Files.isReadable(release)) return 0;
        try (Stream<String> lines = Files.lines(release)) {
            String version = lines.filter(line -> line.startsWith("JAVA_VERSION="))
                    .map(line -> line.replaceAll("[^0-9.]", ""))
                    .collect(Collectors.joining());
            return version.isEmpty() ? 0 : Integer.parseInt(version.split("\\.")[0]);
        } catch (IOException | RuntimeException e) {
            return 0; // unreadable: do not start it
        }
    }
}
