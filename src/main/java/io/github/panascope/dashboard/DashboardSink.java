package io.github.panascope.dashboard;

/**
 * Receives the dashboards that {@link Dashboards#forEach} makes: a page, a file, a list. Only {@link #accept} has to be
 * written, so a lambda will do.
 *
 * <p>{@link Dashboards#forEach} calls {@link #prepare} on its worker threads, runs what that returns on the calling
 * thread in ascending order of features, and calls {@link #complete} after the last. The caller that made the sink
 * closes it; a sink that is closed before it is complete leaves no file behind.
 */
@FunctionalInterface
public interface DashboardSink extends AutoCloseable {
    /**
     * Takes a dashboard. Called by one thread, in ascending order of features.
     *
     * @param dashboard what is shown of a feature
     */
    void accept(FeatureDashboard dashboard);

    /**
     * Does what needs no order, such as compressing, and returns the rest. Called by many threads at once, in any
     * order. What is returned should refer to no more than it needs, as it waits for its turn.
     *
     * @param dashboard what is shown of a feature
     * @return what is to be done when it is the feature's turn; {@link #accept} unless overridden
     */
    default Runnable prepare(FeatureDashboard dashboard) {
        return () -> accept(dashboard);
    }

    /**
     * Finishes what was made of the dashboards, such as a file. Called once, after the last dashboard.
     *
     * @throws io.github.panascope.InputException if a file cannot be written
     */
    default void complete() {}

    /** Frees what the sink holds, complete or not. */
    @Override
    default void close() {}
}
