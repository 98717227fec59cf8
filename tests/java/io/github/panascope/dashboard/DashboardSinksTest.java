package io.github.panascope.dashboard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
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

    @Test
    void aPageIsThereWholeOrNotAtAll() throws IOException {
        assertWholeOrNotAtAll(
                folder.resolve("page.html"),
                file -> DashboardPage.open(file, new DashboardPage.Header("Page", Map.of(), null), Tokenizer.gpt2()));
    }
}
