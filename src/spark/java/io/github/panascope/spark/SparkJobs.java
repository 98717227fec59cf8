package io.github.panascope.spark;

import java.util.function.Supplier;
import org.apache.spark.SparkContext;

/** Spark jobs that Spark's UI shows with a description. */
final class SparkJobs {
    private static final String DESCRIPTION = "spark.job.description";

    private SparkJobs() {}

    /**
     * Runs something that waits for Spark jobs. Later jobs of the calling thread have the description that it had
     * before.
     *
     * @throws io.github.panascope.InputException if a task failed with one, with its sentence
     */
    static <T> T described(SparkContext context, String description, Supplier<T> job) {
        String before = context.getLocalProperty(DESCRIPTION);
        context.setJobDescription(description);
        try {
            return Failures.unwrapped(job);
        } finally {
            context.setJobDescription(before);
        }
    }
}
