package io.github.panascope.dashboard;

import io.github.panascope.RunInterruptedException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;

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
    private static final String REPLAYING = "writing dashboards";

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

    /**
     * Passes dashboards that were made elsewhere to a sink, as {@link Dashboards#forEach(int[], int, DashboardSink)}
     * does: it calls {@link DashboardSink#prepare} on several threads and runs the returned tasks on this one, in the
     * order of the dashboards; then it completes the sink. It takes as many dashboards in advance as keep the threads
     * busy.
     *
     * @param dashboards the dashboards, by ascending feature; called on this thread
     * @param threads    the number of dashboards that are prepared at once, at least 1
     * @param sink       the receiver of the dashboards; the caller closes it
     * @throws io.github.panascope.InputException          if the sink cannot write its output
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted
     * @throws IllegalArgumentException if the features are not ascending, or {@code threads} is less than 1
     */
    public static void replay(Iterator<FeatureDashboard> dashboards, int threads, DashboardSink sink) {
        if (threads < 1) throw new IllegalArgumentException("there should be at least 1 thread, not " + threads);
        try (ExecutorService pool = Workers.pool(threads, "panascope-sink")) {
            try {
                Workers.await(REPLAYING, () -> {
                    Deque<Future<Runnable>> waiting = new ArrayDeque<>();
                    int last = -1;
                    while (dashboards.hasNext() || !waiting.isEmpty()) {
                        while (waiting.size() < 2 * threads && dashboards.hasNext()) {
                            FeatureDashboard next = dashboards.next();
                            if (next.feature() <= last)
                                throw new IllegalArgumentException(
                                        "dashboards should be in ascending order, but feature " + next.feature()
                                                + " comes after feature " + last);
                            last = next.feature();
                            waiting.add(pool.submit(() -> sink.prepare(next)));
                        }
                        RunInterruptedException.check(REPLAYING);
                        waiting.remove().get().run();
                    }
                    return null;
                });
            } finally {
                pool.shutdownNow(); // after an exception, tasks that have not begun are dropped
            }
        }
        sink.complete();
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
