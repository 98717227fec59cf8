package io.github.panascope;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.sun.source.tree.BlockTree;
import com.sun.source.tree.CompilationUnitTree;
import com.sun.source.tree.LineMap;
import com.sun.source.tree.MethodTree;
import com.sun.source.tree.Tree;
import com.sun.source.util.JavacTask;
import com.sun.source.util.SourcePositions;
import com.sun.source.util.TreeScanner;
import com.sun.source.util.Trees;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import javax.tools.JavaCompiler;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;

/** Limits of the sources that a formatter does not keep by itself. */
class StyleTest {
    private static final int COLUMNS = 120;
    /** Of code: lines that hold more than a comment. Javadoc, which says what each parameter is, may be long. */
    private static final int LINES = 400;

    private static final int TENSOR_LINES = 800;

    private static final int METHOD_LINES = 60;
    /** Tests that check too many things at once. */
    private static final Set<String> LONGER_METHODS =
            Set.of("OperatorFuzzTest.run", "PackagedIT.aKilledRunGoesOnToTheSameBytes");

    /** Second classes of a name, which have to be named in full. */
    private static final Set<String> TWICE = Set.of("org.bytedeco.pytorch.Tensor", "java.nio.file.Path");

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
        all.addAll(files(name -> name.matches(".*\\.(js|css|html|py|sh)"), "src", "tests", "bindings"));
        all.add(Path.of("build-native.sh"));
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
        Map<String, Long> longer = new TreeMap<>();
        for (Path file : java()) {
            String name = file.getFileName().toString();
            long lines = Files.readAllLines(file).stream()
                    .map(String::strip)
                    .filter(line -> !line.isEmpty() && !line.matches("(//|/\\*|\\*).*"))
                    .count();
            if (lines > (name.equals("Tensor.java") ? TENSOR_LINES : LINES)) longer.put(name, lines);
        }
        assertEquals(Map.of(), longer);
    }

    @Test
    void classesAreImported() throws IOException {
        List<String> qualified = new ArrayList<>();
        for (Path file : java()) {
            List<String> lines = Files.readAllLines(file);
            for (int i = 0; i < lines.size(); i++) {
                String line = TEXT.matcher(lines.get(i)).replaceAll("\"\"").replaceFirst("//.*", "");
                if (line.matches("(import|package) .*|\\s*(\\*|/\\*).*")) continue;
                if (!QUALIFIED.matcher(line).find() || TWICE.stream().anyMatch(line::contains)) continue;
                qualified.add(file + ":" + (i + 1) + ": " + line.strip());
            }
        }
        assertEquals(List.of(), qualified);
    }

    @Test
    void methodsAreShort() throws IOException {
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        Set<String> longer = new TreeSet<>();
        try (StandardJavaFileManager manager = compiler.getStandardFileManager(null, null, null)) {
            JavacTask task = (JavacTask)
                    compiler.getTask(null, manager, null, List.of(), null, manager.getJavaFileObjectsFromPaths(java()));
            for (CompilationUnitTree file : task.parse()) new LongMethods(file, task, longer).scan(file, null);
        }
        assertEquals(new TreeSet<>(LONGER_METHODS), longer);
    }

    /** Collects the names of methods that are longer than they should be. */
    private static final class LongMethods extends TreeScanner<Void, Void> {
        private final CompilationUnitTree file;
        private final SourcePositions positions;
        private final Set<String> found;

        LongMethods(CompilationUnitTree file, JavacTask task, Set<String> found) {
            this.file = file;
            this.positions = Trees.instance(task).getSourcePositions();
            this.found = found;
        }

        @Override
        public Void visitMethod(MethodTree method, Void nothing) {
            BlockTree body = method.getBody();
            if (body != null && positions.getStartPosition(file, body) >= 0 && lines(body) > METHOD_LINES) {
                String name =
                        Path.of(file.getSourceFile().getName()).getFileName().toString();
                found.add(name.replace(".java", ".") + method.getName());
            }
            return super.visitMethod(method, nothing);
        }

        private long lines(Tree tree) {
            LineMap map = file.getLineMap();
            return map.getLineNumber(positions.getEndPosition(file, tree))
                    - map.getLineNumber(positions.getStartPosition(file, tree));
        }
    }
}
