package io.github.panascope.dashboard;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/**
 * Several sinks as one, each of which gets every dashboard, in the order in which they were added. They are completed
 * in that order, and closed together with this.
 *
 * <pre>{@code
 * try (DashboardSinks sinks = new DashboardSinks()) {
 *     sinks.add(SaeDashboardJson.open(Path.of("dashboards.json")));
 *     sinks.add(DashboardPage.open(Path.of("dashboards.html"), header, model.tokenizer()));
 *     dashboards.forEach(features, threads, sinks);
 * }
 * }</pre>
 */
public final class DashboardSinks implements DashboardSink {
    private final List<DashboardSink> sinks = new ArrayList<>();

    /** No sinks yet. */
    public DashboardSinks() {}

    /**
     * Adds a sink, which this then closes.
     *
     * @param <S>  the sink's type
     * @param sink the sink
     * @return the sink
     */
    public <S extends DashboardSink> S add(S sink) {
        sinks.add(Objects.requireNonNull(sink, "a sink of dashboards should not be null"));
        return sink;
    }

    @Override
    public void accept(FeatureDashboard dashboard) {
        prepare(dashboard).run();
    }

    @Override
    public Runnable prepare(FeatureDashboard dashboard) {
        List<Runnable> prepared =
                sinks.stream().map(sink -> sink.prepare(dashboard)).toList();
        return () -> prepared.forEach(Runnable::run);
    }

    @Override
    public void complete() {
        sinks.forEach(DashboardSink::complete);
    }

    @Override
    public void close() {
        RuntimeException failure = null;
        for (DashboardSink sink : sinks.reversed()) {
            try {
                sink.close();
            } catch (RuntimeException e) {
                if (failure == null) failure = e;
                else failure.addSuppressed(e);
            }
        }
        sinks.clear();
        if (failure != null) throw failure;
    }
}
