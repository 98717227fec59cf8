package io.github.panascope.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Examples;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.functions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** The programs of the pages that use Spark compile, and the answers that the page about SQL shows are right. */
@Tag("spark")
@ExtendWith(Cluster.class)
class SparkPagesTest {
    private static final Path SITE = Path.of("src/site/markdown");
    private static final Pattern JAVA = Pattern.compile("(?ms)^```java\n(.*?)^```$");
    private static final Pattern CLASS = Pattern.compile("(?m)^public class (\\w+) ");
    /** A query, and the table after it. */
    private static final Pattern QUERY = Pattern.compile("(?ms)^```sql\n(.*?)^```\n\n((?:\\|[^\n]*\n)*)");

    @TempDir
    private Path folder;

    /** The whole classes of the pages that use Spark, by name. */
    private static Map<String, String> programs() throws IOException {
        Map<String, String> found = new TreeMap<>();
        try (Stream<Path> pages = Files.list(SITE)) {
            for (Path page :
                    pages.filter(file -> file.toString().endsWith(".md")).toList())
                for (MatchResult block :
                        JAVA.matcher(Files.readString(page)).results().toList()) {
                    if (!block.group(1).contains("io.github.panascope.spark")) continue;
                    Matcher name = CLASS.matcher(block.group(1));
                    assertTrue(name.find(), page + " has a block for Spark that is no whole class");
                    assertEquals(null, found.put(name.group(1), block.group(1)), "a class that is shown twice");
                }
        }
        return found;
    }

    private void run(URLClassLoader programs, String name, String... arguments) throws Exception {
        programs.loadClass(name).getMethod("main", String[].class).invoke(null, (Object) arguments);
    }

    @Test
    void theAnswersOfThePageAreThoseOfTheDemo() throws Exception {
        List<Path> sources = new ArrayList<>();
        for (var program : programs().entrySet())
            sources.add(Files.writeString(folder.resolve(program.getKey() + ".java"), program.getValue()));
        Examples.compile(sources, folder);
        Cluster.session();
        try (URLClassLoader programs =
                new URLClassLoader(new URL[] {folder.toUri().toURL()})) {
            run(programs, "DemoActivations", folder.resolve("activations").toString());
            ActiveFeatures.register(Cluster.session(), ModelAndSae.DEMO);
            Documents.demo(Cluster.session())
                    .table()
                    .limit(200)
                    .withColumn("source", functions.expr("""
                        CASE WHEN text LIKE 'Once upon a time%' THEN 'stories'
                        WHEN text LIKE 'To do:%' THEN 'lists' ELSE 'others' END
                        """))
                    .repartition(2)
                    .createOrReplaceTempView("documents");
            run(programs, "WorstSources");
        }
        String page = Files.readString(SITE.resolve("activations-sql.md"));
        assertEquals(5, QUERY.matcher(page).results().count());
        String answered = QUERY.matcher(page)
                .replaceAll(query ->
                        Matcher.quoteReplacement("```sql\n" + query.group(1) + "```\n\n" + answer(query.group(1))));
        assertEquals(page, answered);
    }

    /** The lines of a query as a table of the page. */
    private static String answer(String query) {
        var found = Cluster.session().sql(query);
        List<String> lines = new ArrayList<>();
        lines.add(line(List.of(found.columns())));
        lines.add("|---".repeat(found.columns().length) + "|");
        for (Row row : found.collectAsList())
            lines.add(line(Stream.iterate(0, i -> i < row.size(), i -> i + 1)
                    .map(i -> String.valueOf(row.get(i)))
                    .toList()));
        return String.join("\n", lines) + "\n";
    }

    private static String line(List<String> cells) {
        return cells.stream().collect(Collectors.joining(" | ", "| ", " |"));
    }
}
