package io.github.panascope.dashboard;

/**
 * A receiver of the dashboards that {@link Dashboards#forEach} makes, such as a page, a file or a list. Only
 * {@link #accept} is abstract, so a lambda can be a sink.
 *
 * <p>{@link Dashboards#forEach} calls {@link #prepare} on its worker threads, runs the returned tasks on the calling
 * thread in ascending order of features, and calls {@link #complete} after the last task. The caller that made the sink
 * closes it. A file of a sink that is closed before it is complete is not written; {@link NeuronpediaBatches} writes
 * each of its files when that is full.
 */
@FunctionalInterface
public interface DashboardSink extends AutoCloseable {
    /**
     * Receives a dashboard. Called by one thread, in ascending order of features.
     *
     * @param dashboard the dashboard
     */
    void accept(FeatureDashboard dashboard);

    /**
     * Does the work for a dashboard that does not depend on the order of features, such as compressing it, and returns
     * the remaining work. Called by many threads at once, in any order. The returned task should hold no more memory
     * than it needs, because it waits until all earlier features are done.
     *
     * @param dashboard the dashboard
     * @return the task that is run when it is the feature's turn; it calls {@link #accept} unless overridden
     */
    default Runnable prepare(FeatureDashboard dashboard) {
        return () -> accept(dashboard);
    }

    /**
     * Finishes the output, such as a file. Called once, after the last dashboard.
     *
     * @throws io.github.panascope.InputException if a file cannot be written
     */
    default void complete() {}

    /** Frees the resources of this sink, whether it is complete or not. */
    @Override
    default void close() {}
}
