package io.github.panascope.dashboard;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/**
 * A sink that passes every dashboard to several sinks, in the order in which they were added. It completes them in this
 * order and closes them in reverse order.
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

    /** Makes a sink without targets. */
    public DashboardSinks() {}

    /**
     * Adds a sink, which is closed together with this one.
     *
     * @param <S>  the type of the sink
     * @param sink the sink
     * @return the sink
     * @throws NullPointerException if the sink is null
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
