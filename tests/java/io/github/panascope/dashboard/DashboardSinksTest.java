package io.github.panascope.dashboard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.dashboard.FeatureDashboard.Statistics;
import io.github.panascope.dashboard.FeatureDashboard.Tables;
import io.github.panascope.tokens.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Sinks of dashboards by themselves: what they are told, and which files they leave. */
class DashboardSinksTest {
    private static final FeatureDashboard DASHBOARD = new FeatureDashboard(
            5,
            new Statistics(1000, 0, 0, 0, 0, 0, 0, 0, Double.NaN, Double.NaN, new double[0]),
            new Tables(List.of(), List.of(), List.of()),
            Histogram.of(new float[0], 0, 50),
            null,
            null,
            List.of());

    @TempDir
    private Path folder;

    private static final class Recorder implements DashboardSink {
        private final String name;
        private final List<String> calls;
        private final RuntimeException onClose;

        Recorder(String name, List<String> calls, RuntimeException onClose) {
            this.name = name;
            this.calls = calls;
            this.onClose = onClose;
        }

        @Override
        public void accept(FeatureDashboard dashboard) {
            calls.add(name + " accepts " + dashboard.feature());
        }

        @Override
        public Runnable prepare(FeatureDashboard dashboard) {
            calls.add(name + " prepares " + dashboard.feature());
            return () -> accept(dashboard);
        }

        @Override
        public void complete() {
            calls.add(name + " completes");
        }

        @Override
        public void close() {
            calls.add(name + " closes");
            if (onClose != null) throw onClose;
        }
    }

    @Test
    void allSinksAreToldInTheirOrderAndClosedInReverse() {
        List<String> calls = new ArrayList<>();
        try (DashboardSinks sinks = new DashboardSinks()) {
            sinks.add(new Recorder("a", calls, null));
            sinks.add(new Recorder("b", calls, null));
            Runnable prepared = sinks.prepare(DASHBOARD);
            assertEquals(List.of("a prepares 5", "b prepares 5"), calls);
            prepared.run();
            sinks.complete();
        }
        assertEquals(
                List.of("a accepts 5", "b accepts 5", "a completes", "b completes", "b closes", "a closes"),
                calls.subList(2, calls.size()));
    }

    @Test
    void allSinksAreClosedThoughSomeFail() {
        List<String> calls = new ArrayList<>();
        RuntimeException first = new IllegalStateException("first");
        RuntimeException second = new IllegalStateException("second");
        DashboardSinks sinks = new DashboardSinks();
        sinks.add(new Recorder("a", calls, null));
        sinks.add(new Recorder("b", calls, second));
        sinks.add(new Recorder("c", calls, first));
        assertSame(first, assertThrows(IllegalStateException.class, sinks::close));
        assertEquals(List.of(second), List.of(first.getSuppressed()));
        assertEquals(List.of("c closes", "b closes", "a closes"), calls);
    }

    /** Closes the sink before it is complete, and then completes another. */
    private void assertWholeOrNotAtAll(Path file, Supply sink) throws IOException {
        try (DashboardSink unfinished = sink.open(file)) {
            unfinished.accept(DASHBOARD);
        }
        try (var files = Files.list(folder)) {
            assertEquals(List.of(), files.toList());
        }
        try (DashboardSink finished = sink.open(file)) {
            finished.accept(DASHBOARD);
            assertFalse(Files.exists(file));
            finished.complete();
        }
        assertTrue(Files.size(file) > 0);
    }

    private interface Supply {
        DashboardSink open(Path file);
    }

    @Test
    void aTableIsThereWholeOrNotAtAll() throws IOException {
        assertWholeOrNotAtAll(
                folder.resolve("table.parquet"), file -> FeatureTable.open(file, Tokenizer.gpt2(), Map.of()));
    }

    @Test
    void aJsonFileIsThereWholeOrNotAtAll() throws IOException {
        assertWholeOrNotAtAll(folder.resolve("dashboards.json"), SaeDashboardJson::open);
    }

    /** They stand after all features, in their order. */
    @Test
    void theStatisticsOfAllFeaturesEndAJsonFile() throws IOException {
        Path file = folder.resolve("dashboards.json");
        double[][] quantiles = {{0.5, 1.25}, {}, {1e-6, 3}};
        try (SaeDashboardJson json = SaeDashboardJson.open(file)) {
            for (int i = 0; i < quantiles.length; i++)
                json.accept(new FeatureDashboard(
                        i,
                        new Statistics(9, 0, 1, i / 8.0, i, 0, 0, 0, Double.NaN, i + 0.5, quantiles[i]),
                        DASHBOARD.tables(),
                        DASHBOARD.activations(),
                        null,
                        null,
                        List.of()));
            json.complete();
        }
        String text = Files.readString(file);
        String statistics = text.substring(text.indexOf("\"feature_stats\":"), text.indexOf(",\"quantiles\""));
        assertEquals(
                "\"feature_stats\":{\"max\":[0.0,1.0,2.0],\"frac_nonzero\":[0.0,0.125,0.25],\"skew\":[NaN,NaN,NaN],"
                        + "\"kurtosis\":[0.5,1.5,2.5],\"quantile_data\":[[0.5,1.25],[],[1.0E-6,3.0]]",
                statistics);
    }

    @Test
    void aPageIsThereWholeOrNotAtAll() throws IOException {
        assertWholeOrNotAtAll(
                folder.resolve("page.html"),
                file -> DashboardPage.open(file, new DashboardPage.Header("Page", Map.of(), null), Tokenizer.gpt2()));
    }

    private static FeatureDashboard dashboard(int feature) {
        return new FeatureDashboard(
                feature, DASHBOARD.statistics(), DASHBOARD.tables(), DASHBOARD.activations(), null, null, List.of());
    }

    /** A sink whose preparation of odd features takes longer, and that notes its threads. */
    private static final class Slow implements DashboardSink {
        private final List<String> calls = new ArrayList<>();
        private final Set<Thread> preparing = ConcurrentHashMap.newKeySet();

        @Override
        public void accept(FeatureDashboard dashboard) {
            throw new IllegalStateException("prepared dashboards are not accepted");
        }

        @Override
        public Runnable prepare(FeatureDashboard dashboard) {
            preparing.add(Thread.currentThread());
            if (dashboard.feature() % 2 == 1) LockSupport.parkNanos(2_000_000);
            Thread caller = Thread.currentThread();
            return () -> {
                assertNotSame(caller, Thread.currentThread());
                calls.add("feature " + dashboard.feature());
            };
        }

        @Override
        public void complete() {
            calls.add("complete");
        }
    }

    @Test
    void replayedDashboardsArePreparedOnThreadsAndComeInOrder() {
        List<Integer> features = new Random(5)
                .ints(0, 1000)
                .distinct()
                .limit(60)
                .sorted()
                .boxed()
                .toList();
        Slow sink = new Slow();
        int[] taken = {0};
        DashboardSinks.replay(
                features.stream()
                        .map(feature -> {
                            assertTrue(taken[0]++ <= sink.calls.size() + 6, "only a few are taken in advance");
                            return dashboard(feature);
                        })
                        .iterator(),
                3,
                sink);
        List<String> expected = new ArrayList<>(
                features.stream().map(feature -> "feature " + feature).toList());
        expected.add("complete");
        assertEquals(expected, sink.calls);
        assertEquals(3, sink.preparing.size());
        assertFalse(sink.preparing.contains(Thread.currentThread()));
    }

    @Test
    void replayRefusesAnotherOrderAndPassesErrorsOn() {
        Slow sink = new Slow();
        String message = assertThrows(
                        IllegalArgumentException.class,
                        () -> DashboardSinks.replay(
                                List.of(dashboard(4), dashboard(4)).iterator(), 1, sink))
                .getMessage();
        assertEquals("dashboards should be in ascending order, but feature 4 comes after feature 4", message);
        assertThrows(
                IllegalArgumentException.class,
                () -> DashboardSinks.replay(List.<FeatureDashboard>of().iterator(), 0, sink));
        RuntimeException failure = new IllegalStateException("failure");
        List<String> calls = new ArrayList<>();
        DashboardSink failing = new DashboardSink() {
            @Override
            public void accept(FeatureDashboard dashboard) {
                throw failure;
            }

            @Override
            public void complete() {
                calls.add("complete");
            }
        };
        assertSame(
                failure,
                assertThrows(
                        IllegalStateException.class,
                        () -> DashboardSinks.replay(List.of(dashboard(1)).iterator(), 2, failing)));
        assertEquals(List.of(), calls);
    }
}
