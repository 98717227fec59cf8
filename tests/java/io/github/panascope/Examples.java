package io.github.panascope;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.cli.CapturedOutput;
import io.github.panascope.demo.DemoBundle;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.reflect.Constructor;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import javax.tools.ToolProvider;

/** The examples of src/demo/examples, compiled without a warning, once for all tests. */
public final class Examples {
    static final Path FOLDER = Path.of("src/demo/examples");
    static final Path PAGE = Path.of("src/site/markdown/examples.md");
    static final DemoBundle DEMO = DemoBundle.find();

    private static final Path COMPILED = Path.of("target/examples");

    private static ClassLoader classes;

    private Examples() {}

    /** The names of all examples, in alphabetical order. */
    static List<String> names() throws IOException {
        try (Stream<Path> files = Files.list(FOLDER)) {
            return files.map(file -> file.getFileName().toString().replace(".java", ""))
                    .sorted()
                    .toList();
        }
    }

    /** Returns the first block of a language in the section that begins with the name of an example's file. */
    static String onPage(String name, String language) throws IOException {
        String section = "(?ms)^`src/demo/examples/" + name + "\\.java`.*?^```" + language + "\n(.*?)^```$";
        Matcher block = Pattern.compile(section).matcher(Files.readString(PAGE));
        assertTrue(block.find(), name);
        return block.group(1);
    }

    /** Compiles all examples, where that has not been done. */
    static synchronized void compile() throws IOException {
        if (classes != null) return;
        Files.createDirectories(COMPILED);
        compile(names().stream().map(name -> FOLDER.resolve(name + ".java")).toList(), COMPILED);
        classes = new URLClassLoader(new URL[] {COMPILED.toUri().toURL()});
    }

    /** Compiles files into a folder, without a warning. */
    public static void compile(List<Path> sources, Path into) {
        List<String> arguments = new ArrayList<>(List.of(
                "--release",
                "22",
                "-Xlint:all",
                "-Werror",
                "-proc:none",
                "-cp",
                System.getProperty("java.class.path"),
                "-d",
                into.toString()));
        for (Path source : sources) arguments.add(source.toString());
        ByteArrayOutputStream messages = new ByteArrayOutputStream();
        int status =
                ToolProvider.getSystemJavaCompiler().run(null, messages, messages, arguments.toArray(String[]::new));
        assertEquals(0, status, messages.toString(StandardCharsets.UTF_8));
    }

    /** Runs the main method of an example, and returns the lines that it printed. */
    static List<String> run(String name, String... arguments) throws Exception {
        try (CapturedOutput captured = CapturedOutput.start()) {
            classes.loadClass(name).getMethod("main", String[].class).invoke(null, (Object) arguments);
            return captured.output().lines().toList();
        }
    }

    /** Makes an object of an example, with its first constructor. */
    static AutoCloseable instance(String name, Object... arguments) throws Exception {
        Constructor<?> constructor = classes.loadClass(name).getDeclaredConstructors()[0];
        constructor.setAccessible(true);
        return (AutoCloseable) constructor.newInstance(arguments);
    }
}
