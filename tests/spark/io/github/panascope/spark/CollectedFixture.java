package io.github.panascope.spark;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import io.github.panascope.dashboard.FeatureCollector;
import io.github.panascope.dashboard.FeatureStore;
import io.github.panascope.dashboard.StoreIdentity;
import io.github.panascope.data.TextDataset;
import io.github.panascope.demo.DemoBundle;
import io.github.panascope.lens.RowsAtOnce;
import io.github.panascope.tokens.ChunkingStrategy;
import io.github.panascope.tokens.TokenDataset;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.function.Executable;

/** A few documents of the demo whose features are collected, and what one machine collects of them. */
final class CollectedFixture {
    static final int CONTEXT = 32;
    static final int UNIT_ROWS = 32;
    private static final String TEXT = "a few documents";
    private static final int DOCUMENTS = 250;

    private static SparkSession session;
    private static TokenRows rows;
    private static Map<String, byte[]> oneMachine;

    private CollectedFixture() {}

    static List<String> documents() {
        List<String> texts = new ArrayList<>();
        TextDataset.of(DemoBundle.find().dataset()).forEach(texts::add);
        return texts.subList(0, DOCUMENTS);
    }

    /** {@return the rows of the documents in a session} */
    static synchronized TokenRows rows(SparkSession spark) {
        if (session != spark) {
            rows = tokenized(spark, documents());
            session = spark;
        }
        return rows;
    }

    static TokenRows tokenized(SparkSession spark, List<String> texts) {
        return TokenRows.of(
                Documents.of(spark.createDataset(texts, Encoders.STRING())),
                ModelAndSae.DEMO,
                ChunkingStrategy.CHARACTER_CHUNKS,
                CONTEXT,
                true);
    }

    static FeatureJob job() {
        return FeatureJob.of(ModelAndSae.DEMO).unitRows(UNIT_ROWS);
    }

    static CollectedFeatures collect(SparkSession spark, String folder) {
        return job().collect(rows(spark), TEXT, folder);
    }

    /** {@return the number of tokens that a job collected; the other ones were there} */
    static long tokens(CollectedFeatures collected) {
        return collected.shares().values().stream()
                .mapToLong(CollectedFeatures.Share::tokens)
                .sum();
    }

    static List<UnitFiles> units(String folder) {
        HadoopFiles files = HadoopFiles.at(folder);
        return JobPlan.read(files).units().stream()
                .map(unit -> UnitFiles.read(files.within("units"), unit))
                .filter(unit -> unit != null)
                .toList();
    }

    /** Compares what the markers of a folder name, all shards and the sums, with what one machine collects. */
    static void assertThoseOfOneMachine(String folder, Path scratch) throws IOException {
        HadoopFiles units = HadoopFiles.at(folder).within("units");
        List<Path> folders = new ArrayList<>();
        for (UnitFiles unit : units(folder)) {
            Path here = scratch.resolve("units").resolve(unit.unit().toString());
            for (HadoopFiles.Entry file : unit.files())
                units.within(unit.unit() + "/" + unit.attempt()).fetch(file, here.resolve(file.name()));
            folders.add(here);
        }
        FeatureStore.merged(scratch.resolve("merged"), folders).close();
        assertSame(oneMachine(), contents(scratch.resolve("merged")));
        delete(scratch.resolve("merged"));
        delete(scratch.resolve("units"));
    }

    private static void assertSame(Map<String, byte[]> expected, Map<String, byte[]> found) {
        assertEquals(expected.keySet(), found.keySet());
        expected.forEach((name, bytes) -> assertArrayEquals(bytes, found.get(name), name));
        assertTrue(expected.size() > 5, expected.keySet().toString());
    }

    /** {@return the bytes of the shards and the sums of a store, by their names without its number} */
    private static Map<String, byte[]> contents(Path store) throws IOException {
        Map<String, byte[]> contents = new TreeMap<>();
        try (Stream<Path> files = Files.list(store)) {
            for (Path file :
                    files.filter(file -> file.toString().endsWith(".bin")).toList())
                contents.put(
                        file.getFileName().toString().replaceFirst("-[0-9a-f]{16}\\.bin", ""),
                        Files.readAllBytes(file));
        }
        return contents;
    }

    private static synchronized Map<String, byte[]> oneMachine() throws IOException {
        if (oneMachine != null) return oneMachine;
        Executor.Loaded loaded = Executor.onDriver(ModelAndSae.DEMO);
        TokenDataset tokens = TokenDataset.tokenizeAndConcatenate(
                documents()::forEach, loaded.model().tokenizer(), ChunkingStrategy.CHARACTER_CHUNKS, CONTEXT);
        var sae = loaded.shown();
        StoreIdentity identity = StoreIdentity.of(
                loaded.model(), sae, TEXT, CONTEXT, RowsAtOnce.on(loaded.model().device(), CONTEXT));
        int[] all = IntStream.range(0, sae.config().dSae()).toArray();
        Path folder = Files.createTempDirectory("one-machine");
        try (FeatureStore store =
                FeatureStore.open(folder, identity, all, sae.config().dIn())) {
            for (long first = 0; first < tokens.rows(); first += UNIT_ROWS)
                FeatureCollector.into(store, loaded.model(), sae)
                        .collect(row -> tokens.row((int) row), first, Math.min(tokens.rows(), first + UNIT_ROWS));
        }
        oneMachine = contents(folder);
        delete(folder);
        return oneMachine;
    }

    private static void delete(Path folder) {
        UnitTask.delete(folder);
    }

    /** {@return the attempts of each unit that lie in a local folder, by the unit's name} */
    static Map<String, List<String>> attempts(Path folder) {
        Map<String, List<String>> attempts = new TreeMap<>();
        try (Stream<Path> units = Files.list(folder.resolve("units"))) {
            for (Path unit : units.filter(Files::isDirectory).toList())
                try (Stream<Path> each = Files.list(unit)) {
                    attempts.put(
                            unit.getFileName().toString(),
                            each.map(attempt -> attempt.getFileName().toString())
                                    .sorted()
                                    .toList());
                }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return attempts;
    }

    /** Checks that a folder holds what its markers name, and nothing else. */
    static void assertNothingLeft(Path folder) throws IOException {
        Map<String, List<String>> named = new TreeMap<>();
        for (UnitFiles unit : units(folder.toString())) named.put(unit.unit().toString(), List.of(unit.attempt()));
        Map<String, List<String>> there = attempts(folder);
        there.values().removeIf(List::isEmpty);
        assertEquals(named, there);
        try (Stream<Path> files = Files.walk(folder)) {
            List<String> odd = files.map(file -> file.getFileName().toString())
                    .filter(name -> name.startsWith(".") || name.startsWith("_") || name.endsWith(".crc"))
                    .toList();
            assertEquals(List.of(), odd);
        }
    }

    /** Waits until tasks that were cancelled have ended, so that they write no more. */
    static void awaitIdle(SparkSession spark) throws InterruptedException {
        while (Arrays.stream(spark.sparkContext().statusTracker().getExecutorInfos())
                .anyMatch(executor -> executor.numRunningTasks() > 0)) Thread.sleep(50);
    }

    /** Checks that something is refused in one sentence with these parts. */
    static void assertRefused(Executable action, String... parts) {
        String message = assertThrows(InputException.class, action).getMessage();
        for (String part : parts) assertTrue(message.contains(part), message);
        assertEquals(1, message.lines().count(), message);
        for (String internal : List.of("null", "Exception", "org.apache", "at io.github"))
            assertTrue(!message.contains(internal), message);
    }
}
