package io.github.panascope.cli;

import java.io.File;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * First class of {@code java -jar panascope.jar}, compiled for Java 11: on a Java that is too old, it looks for an installed
 * JDK 22 or newer and starts that one with the same arguments, or says in one sentence what is missing.
 */
public final class Launcher {
    private static final int NEEDED = 22;

    private Launcher() {}

    public static void main(String[] args) throws Exception {
        requireReadable(args);
        if (Runtime.version().feature() >= NEEDED) {
            Class.forName("io.github.panascope.cli.Main").getMethod("main", String[].class).invoke(null, (Object) args);
            return;
        }
        Path java = find();
        if (java == null) {
            System.err.println("panascope: Java " + NEEDED + " or newer is needed; this is " + Runtime.version().feature()
                    + ", and none was found in JAVA_HOME or where JDKs are usually installed. Install one, or set JAVA_HOME.");
            System.exit(2);
        }
        List<String> command = new ArrayList<>(List.of(java.toString()));
        command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments()); // -Xmx and others
        command.add("-Dpanascope.parent=" + ProcessHandle.current().pid());
        command.addAll(List.of("-jar", Paths.get(Launcher.class.getProtectionDomain().getCodeSource().getLocation().toURI()).toString()));
        command.addAll(Arrays.asList(args));
        Process process = new ProcessBuilder(command).inheritIO().start();
        Runtime.getRuntime().addShutdownHook(new Thread(process::destroy)); // whoever ends this one means that one
        System.exit(process.waitFor());
    }

    /** In a locale without UTF-8, Java gets replacement characters for what was typed; they would be taken for the text. */
    private static void requireReadable(String[] args) {
        String charset = System.getProperty("sun.jnu.encoding", "UTF-8");
        for (String arg : args) {
            if (arg.indexOf('\ufffd') >= 0 && !charset.equalsIgnoreCase("UTF-8")) {
                System.err.println("panascope: an argument cannot be read in this locale (" + charset + "): set LC_ALL=C.UTF-8.");
                System.exit(2);
            }
        }
    }

    /** The newest suitable {@code java} on this machine, JAVA_HOME's before all others; null if there is none. */
    private static Path find() {
        String own = System.getenv("JAVA_HOME");
        if (own != null && version(Paths.get(own)) >= NEEDED) return executable(Paths.get(own));
        String home = System.getProperty("user.home");
        return Stream.of("/usr/lib/jvm", "/usr/java", "/opt", "/opt/java", home + "/.sdkman/candidates/java", home + "/.jdks", home + "/.local/share/mise/installs/java",
                        "/Library/Java/JavaVirtualMachines")
                .flatMap(Launcher::children)
                .flatMap(jdk -> Stream.of(jdk, jdk.resolve("Contents/Home")))
                .filter(jdk -> version(jdk) >= NEEDED)
                .max((a, b) -> Integer.compare(version(a), version(b)))
                .map(Launcher::executable).orElse(null);
    }

    private static Stream<Path> children(String folder) {
        File[] files = new File(folder).listFiles(File::isDirectory);
        return files == null ? Stream.empty() : Arrays.stream(files).map(File::toPath).sorted();
    }

    private static Path executable(Path jdk) {
        return jdk.resolve("bin/java");
    }

    /** The feature version in a JDK's {@code release} file; 0 if this is no JDK. */
    private static int version(Path jdk) {
        Path release = jdk.resolve("release");
        if (!Files.isExecutable(executable(jdk)) || !Files.isReadable(release)) return 0;
        try (Stream<String> lines = Files.lines(release)) {
            String version = lines.filter(line -> line.startsWith("JAVA_VERSION=")).map(line -> line.replaceAll("[^0-9.]", ""))
                    .collect(Collectors.joining());
            return version.isEmpty() ? 0 : Integer.parseInt(version.split("\\.")[0]);
        } catch (IOException | RuntimeException e) {
            return 0; // unreadable: not one to start
        }
    }
}
