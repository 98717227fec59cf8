package io.github.panascope.dashboard;

import static io.github.panascope.dashboard.DashboardFixture.CONTEXT;
import static io.github.panascope.dashboard.DashboardFixture.ROWS;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.OnEachDevice;
import io.github.panascope.dashboard.DashboardConfig.CorrelationScope;
import io.github.panascope.torch.TensorScope;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Dashboards of groups of features, made by several threads at once from folders that are read as one, against the
 * files of one run.
 */
@OnEachDevice
class DashboardGroupsTest extends UsesDashboardFixture {
    private Path whole;
    private List<Path> parts;

    private int[] all() {
        return IntStream.range(0, fixture.sae.config().dSae()).toArray();
    }

    /** One folder with all rows, and three folders with a part of the rows each. */
    @BeforeAll
    void collect(@TempDir Path filled) {
        try (var _ = TensorScope.open()) {
            whole = collected(filled.resolve("whole"), 0, ROWS);
            parts = List.of(
                    collected(filled.resolve("last"), 24, ROWS),
                    collected(filled.resolve("first"), 0, 11),
                    collected(filled.resolve("middle"), 11, 24));
        }
    }

    private Path collected(Path into, int first, int end) {
        try (FeatureStore store = fixture.open(into, all())) {
            fixture.collect(store, first, end, 20, 2);
        }
        return into;
    }

    private DashboardSinks sinks(Path into) throws IOException {
        Files.createDirectories(into);
        DashboardSinks sinks = new DashboardSinks();
        sinks.add(DashboardPage.open(
                into.resolve("page.html"),
                new DashboardPage.Header("Groups", Map.of(), null),
                fixture.model.tokenizer()));
        sinks.add(SaeDashboardJson.open(into.resolve("dashboards.json")));
        sinks.add(NeuronpediaBatches.open(
                into.resolve("batches"), fixture.sae.config(), fixture.model.tokenizer(), ROWS, CONTEXT, "test"));
        sinks.add(FeatureTable.open(into.resolve("table.parquet"), fixture.model.tokenizer(), Map.of()));
        return sinks;
    }

    private static Map<String, byte[]> contents(Path of) throws IOException {
        Map<String, byte[]> contents = new TreeMap<>();
        try (Stream<Path> files = Files.walk(of)) {
            for (Path file : files.filter(Files::isRegularFile).toList())
                contents.put(of.relativize(file).toString(), Files.readAllBytes(file));
        }
        return contents;
    }

    /** Splits features into groups at random, each with features from everywhere, in random order. */
    private static List<int[]> groups(int[] features, int count, Random random) {
        List<List<Integer>> groups = new ArrayList<>();
        for (int i = 0; i < count; i++) groups.add(new ArrayList<>());
        for (int feature : features) groups.get(random.nextInt(count)).add(feature);
        groups.forEach(group -> Collections.shuffle(group, random));
        return groups.stream()
                .map(group -> group.stream().mapToInt(Integer::intValue).toArray())
                .toList();
    }

    private static byte[] bytes(FeatureDashboard dashboard) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try {
            dashboard.writeTo(new DataOutputStream(bytes));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return bytes.toByteArray();
    }

    /** Makes the dashboards of all groups at once, on threads of their own, and keeps their bytes. */
    private static Map<Integer, byte[]> make(Dashboards dashboards, List<int[]> groups, int[] chosen) throws Exception {
        Map<Integer, byte[]> made = new ConcurrentSkipListMap<>();
        try (ExecutorService pool = Executors.newFixedThreadPool(3)) {
            List<Future<?>> running = new ArrayList<>();
            for (int[] group : groups)
                running.add(pool.submit(() -> dashboards.forEach(
                        group, chosen, 2, dashboard -> made.put(dashboard.feature(), bytes(dashboard)))));
            for (Future<?> each : running) each.get();
        }
        return made;
    }

    private static Iterator<FeatureDashboard> read(Map<Integer, byte[]> made) {
        return made.values().stream()
                .map(bytes -> {
                    try {
                        return FeatureDashboard.readFrom(new DataInputStream(new ByteArrayInputStream(bytes)));
                    } catch (IOException e) {
                        throw new UncheckedIOException(e);
                    }
                })
                .iterator();
    }

    @ParameterizedTest
    @CsvSource({"CHOSEN, 150, 5, false", "ALL, 150, 5, false", "ALL, 384, 1, false", "CHOSEN, 6, 3, true"})
    void groupsGiveTheBytesOfOneRun(CorrelationScope scope, int count, int groups, boolean ablation) throws Exception {
        long seed = new Random().nextLong();
        Random random = new Random(seed);
        int[] chosen = random.ints(0, fixture.sae.config().dSae())
                .distinct()
                .limit(count)
                .sorted()
                .toArray();
        DashboardConfig config = DashboardConfig.builder()
                .correlatedFeatures(scope)
                .performAblationExperiments(ablation)
                .build();
        try (FeatureStore store = FeatureStore.read(whole);
                DashboardSinks sinks = sinks(folder.resolve("expected"))) {
            Dashboards.of(fixture.model, fixture.sae, store, config).forEach(chosen, 2, sinks);
        }
        try (FeatureStore joined = FeatureStore.readJoined(parts);
                DashboardSinks sinks = sinks(folder.resolve("found"))) {
            Dashboards dashboards = Dashboards.of(fixture.model, fixture.sae, joined, config);
            assertEquals(ROWS, dashboards.rows());
            // A single group is made several times at once, and compares all pairs of features only once.
            List<int[]> split = groups(chosen, groups, random);
            Map<Integer, byte[]> made =
                    make(dashboards, groups == 1 ? Collections.nCopies(3, split.getFirst()) : split, chosen);
            assertEquals(count, made.size());
            DashboardSinks.replay(read(made), 3, sinks);
        }
        Map<String, byte[]> expected = contents(folder.resolve("expected"));
        Map<String, byte[]> found = contents(folder.resolve("found"));
        assertTrue(expected.size() >= 4, expected.keySet().toString());
        assertEquals(expected.keySet(), found.keySet());
        expected.forEach((name, bytes) -> assertArrayEquals(bytes, found.get(name), name + ", seed " + seed));
    }

    /** Otherwise correlated features would be chosen among the group. */
    @Test
    void correlatedFeaturesAreChosenAmongAllChosenFeatures() {
        DashboardConfig config = DashboardConfig.builder()
                .correlatedFeatures(CorrelationScope.CHOSEN)
                .build();
        try (FeatureStore store = FeatureStore.read(whole)) {
            Dashboards dashboards = Dashboards.of(fixture.model, fixture.sae, store, config);
            List<FeatureDashboard> alone = new ArrayList<>();
            dashboards.forEach(new int[] {3, 57}, 1, alone::add);
            List<FeatureDashboard> group = new ArrayList<>();
            dashboards.forEach(new int[] {3, 57}, all(), 1, group::add);
            assertEquals(1, alone.getFirst().tables().correlatedFeatures().size());
            assertEquals(3, group.getFirst().tables().correlatedFeatures().size());
            assertThrows(
                    IllegalArgumentException.class,
                    () -> dashboards.forEach(new int[] {3, 57}, new int[] {3}, 1, group::add));
            assertThrows(
                    IndexOutOfBoundsException.class,
                    () -> dashboards.forEach(new int[] {3}, new int[] {3, 1 << 20}, 1, group::add));
        }
    }
}
