package io.github.panascope;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Limits of the sources that a formatter does not keep by itself. */
class StyleTest {
    private static final int COLUMNS = 120;
    private static final int LINES = 400;
    /** Files that are longer still, and how long they may be: shorter ones leave this list. */
    private static final Map<String, Integer> LONGER = Map.ofEntries(
            Map.entry("BenchCommand.java", 580),
            Map.entry("Dashboards.java", 590),
            Map.entry("FeatureCollector.java", 540),
            Map.entry("FeatureStore.java", 600),
            Map.entry("Forward.java", 480),
            Map.entry("HookedTransformer.java", 730),
            Map.entry("HubHttp.java", 420),
            Map.entry("Sae.java", 670),
            Map.entry("SaeConfig.java", 490),
            Map.entry("SaeEvals.java", 450),
            Map.entry("Tensor.java", 800));

    private static final Pattern QUALIFIED =
            Pattern.compile("(?<![.\\w])(java|javax|tools|com|org|io)(\\.[a-z]\\w*)+\\.[A-Z]\\w*");
    private static final Pattern TEXT = Pattern.compile("\"(\\\\.|[^\"\\\\])*\"");

    private static List<Path> files(Predicate<String> wanted, String... folders) throws IOException {
        List<Path> found = new ArrayList<>();
        for (String folder : folders) {
            try (Stream<Path> walk = Files.walk(Path.of(folder))) {
                walk.filter(file -> wanted.test(file.toString())).sorted().forEach(found::add);
            }
        }
        return found;
    }

    private static List<Path> java() throws IOException {
        return files(name -> name.endsWith(".java"), "src", "tests");
    }

    @Test
    void linesFitOnAPage() throws IOException {
        List<String> longer = new ArrayList<>();
        List<Path> all = new ArrayList<>(java());
        all.addAll(files(name -> name.matches(".*\\.(c|cpp|h)"), "native"));
        for (Path file : all) {
            List<String> lines = Files.readAllLines(file);
            for (int i = 0; i < lines.size(); i++) {
                int columns = lines.get(i).codePointCount(0, lines.get(i).length());
                if (columns > COLUMNS) longer.add(file + ":" + (i + 1) + " has " + columns);
            }
        }
        assertEquals(List.of(), longer);
    }

    @Test
    void filesAreShort() throws IOException {
        Map<String, Integer> longer = new TreeMap<>();
        List<String> shortened = new ArrayList<>();
        for (Path file : files(name -> name.endsWith(".java"), "src/main")) {
            String name = file.getFileName().toString();
            int lines = Files.readAllLines(file).size();
            if (lines > LONGER.getOrDefault(name, LINES)) longer.put(name, lines);
            if (lines <= LINES && LONGER.containsKey(name)) shortened.add(name);
        }
        assertEquals(Map.of(), longer);
        assertEquals(List.of(), shortened, "no longer among the longer ones");
    }

    /** A second class of the same name has to be named in full. */
    @Test
    void classesAreImported() throws IOException {
        List<String> qualified = new ArrayList<>();
        for (Path file : java()) {
            List<String> lines = Files.readAllLines(file);
            for (int i = 0; i < lines.size(); i++) {
                String line = TEXT.matcher(lines.get(i)).replaceAll("\"\"").replaceFirst("//.*", "");
                if (line.matches("(import|package) .*|\\s*(\\*|/\\*).*")) continue;
                if (!QUALIFIED.matcher(line).find() || line.contains("org.bytedeco.pytorch.Tensor")) continue;
                qualified.add(file + ":" + (i + 1) + ": " + line.strip());
            }
        }
        assertEquals(List.of(), qualified);
    }
}
