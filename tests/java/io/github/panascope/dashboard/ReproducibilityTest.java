package io.github.panascope.dashboard;

import static io.github.panascope.dashboard.DashboardFixture.FEATURES;
import static io.github.panascope.dashboard.DashboardFixture.ROWS;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import io.github.panascope.OnEachDevice;
import io.github.panascope.torch.TensorScope;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Equal bytes come out whatever the shards, their order, the number of threads and the other features. */
@OnEachDevice
class ReproducibilityTest extends UsesDashboardFixture {
    /** What one pass of one thread over one folder gives. */
    private Map<Integer, String> expected;

    @BeforeAll
    void makeExpected(@TempDir Path whole) {
        try (var _ = TensorScope.open();
                FeatureStore store = fixture.open(whole.resolve("features"), FEATURES)) {
            fixture.collect(store, 0, ROWS, 1000, 1);
            expected = dashboards(store, whole, 1, FEATURES);
        }
    }

    /** Each feature's own bytes, as SAEDashboard's JSON has them. */
    private Map<Integer, String> dashboards(FeatureStore store, Path folder, int threads, int... features) {
        Map<Integer, String> found = new HashMap<>();
        Dashboards dashboards = Dashboards.of(fixture.model, fixture.sae, store, DashboardConfig.DEFAULT);
        dashboards.forEach(features, threads, dashboard -> {
            Path file = folder.resolve("one.json");
            try (SaeDashboardJson json = SaeDashboardJson.open(file)) {
                json.accept(dashboard);
                json.complete();
                found.put(dashboard.feature(), Files.readString(file));
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
        return found;
    }

    private static void assertSame(Map<Integer, String> expected, Map<Integer, String> found, String what) {
        assertEquals(expected.keySet(), found.keySet(), what);
        expected.forEach((feature, text) -> assertEquals(text, found.get(feature), what + ", feature " + feature));
    }

    @Test
    void theCaseHasFeaturesWithIntervals() {
        assertTrue(expected.values().stream()
                        .filter(text -> text.contains("INTERVAL"))
                        .count()
                > 3);
    }

    /** Pieces at random places, each in a folder of its own, by one to three threads, merged in any order. */
    @RepeatedTest(4)
    void mergedPiecesGiveTheSameBytes() {
        long seed = new Random().nextLong();
        Random random = new Random(seed);
        int[] cuts = IntStream.concat(IntStream.of(0, ROWS), random.ints(3, 1, ROWS))
                .distinct()
                .sorted()
                .toArray();
        List<Path> parts = new ArrayList<>();
        for (int i = 0; i + 1 < cuts.length; i++) {
            try (FeatureStore part = open("piece-" + i, FEATURES)) {
                fixture.collect(part, cuts[i], cuts[i + 1], 1 + random.nextInt(20), 1 + random.nextInt(3));
            }
            parts.add(folder.resolve("piece-" + i));
        }
        Collections.shuffle(parts, random);
        try (FeatureStore merged = FeatureStore.merged(folder.resolve("merged"), parts)) {
            assertEquals(ROWS, merged.rows());
            assertSame(
                    expected,
                    dashboards(merged, folder, 1 + random.nextInt(3), FEATURES),
                    "seed " + seed + ", cut at " + Arrays.toString(cuts));
        }
    }

    /** Rows in the middle come first, and more threads may interleave in any way: hence several times. */
    @RepeatedTest(4)
    void aStoreThatIsResumedGivesTheSameBytes() {
        try (FeatureStore store = open("resumed", FEATURES)) {
            fixture.collect(store, 10, 20, 4, 2);
        }
        try (FeatureStore store = open("resumed", FEATURES)) {
            assertEquals(10, store.rows());
            assertThrows(
                    InputException.class,
                    () -> Dashboards.of(fixture.model, fixture.sae, store, DashboardConfig.DEFAULT),
                    "rows are missing");
            fixture.collect(store, 0, ROWS, 7, 2);
            assertSame(expected, dashboards(store, folder, 2, FEATURES), "resumed");
        }
    }

    @Test
    void otherFeaturesChangeNothing() {
        int[] all = IntStream.range(0, fixture.sae.config().dSae()).toArray();
        try (FeatureStore store = open("all", all)) {
            fixture.collect(store, 0, ROWS, 16, 2);
            Map<Integer, String> found = dashboards(store, folder, 2, all);
            assertEquals(fixture.sae.config().dSae(), found.size());
            found.keySet().retainAll(expected.keySet());
            assertSame(expected, found, "among all");
            assertSame(expected, dashboards(store, folder, 1, 383, 0, 57, 128, 3, 200, 0), "in another order");
            int[] counts = Dashboards.of(fixture.model, fixture.sae, store, DashboardConfig.DEFAULT)
                    .counts();
            assertTrue(Arrays.stream(counts).sum() > 0);
        }
    }

    @Test
    void moreRowsAddToThoseThatAreThere() {
        try (FeatureStore store = open("grown", FEATURES)) {
            fixture.collect(store, 0, 20, 8, 2);
            int[] ran = {0};
            FeatureCollector.into(store, fixture.model, fixture.sae)
                    .shardRows(8)
                    .threads(2)
                    .progress(done -> ran[0] = Math.max(ran[0], done))
                    .collect(row -> fixture.tokens.row((int) row), 0, ROWS);
            assertEquals(ROWS - 20, ran[0], "only the new rows run");
            assertSame(expected, dashboards(store, folder, 2, FEATURES), "grown");
        }
    }
}
