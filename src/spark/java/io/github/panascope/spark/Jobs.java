package io.github.panascope.spark;

import java.io.Serializable;
import java.util.UUID;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.apache.spark.SparkContext;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaRDDLike;
import scala.Function2;
import scala.collection.Iterator;
import scala.jdk.javaapi.CollectionConverters;
import scala.reflect.ClassTag$;
import scala.runtime.AbstractFunction2;
import scala.runtime.BoxedUnit;

/** Spark jobs as Spark's Java API does not offer them. */
final class Jobs {
    private static final String DESCRIPTION = "spark.job.description";

    private Jobs() {}

    /** The work of a task, which is sent to an executor. */
    interface Work<T, R> extends Serializable {
        R run(TaskContext task, Iterable<T> elements);
    }

    /** What the driver does with the result of a task. Spark calls it once for each partition. */
    interface Result<R> {
        void accept(int partition, R result);
    }

    /**
     * Runs something that waits for Spark jobs, which Spark's UI shows with a description. Later jobs of the calling
     * thread have the description that it had before.
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

    /**
     * Runs a task for each partition; the results reach the driver one by one, as tasks end. If a task fails for good,
     * or the driver cannot use a result, the others are cancelled, and no result is accepted after this method has
     * thrown.
     *
     * @param type the class of results
     */
    static <T, R> void run(JavaRDDLike<T, ?> elements, Work<T, R> work, Result<R> results, Class<R> type) {
        SparkContext spark = elements.context();
        Function2<TaskContext, Iterator<T>, R> inTask = (Function2<TaskContext, Iterator<T>, R> & Serializable)
                (task, some) -> work.run(task, () -> CollectionConverters.asJava(some));
        OnDriver<R> onDriver = new OnDriver<>(results);
        String tag = "panascope-" + UUID.randomUUID();
        spark.addJobTag(tag);
        try {
            spark.runJob(
                    elements.rdd(),
                    inTask,
                    CollectionConverters.asScala(IntStream.range(0, elements.getNumPartitions())
                                    .mapToObj(i -> (Object) i)
                                    .toList())
                            .toSeq(),
                    onDriver,
                    ClassTag$.MODULE$.apply(type));
        } finally {
            spark.removeJobTag(tag);
            if (!onDriver.end(elements.getNumPartitions())) spark.cancelJobsWithTag(tag);
        }
    }

    /** Accepts results until the job ends: Spark passes on those of tasks that end after it failed. */
    private static final class OnDriver<R> extends AbstractFunction2<Object, R, BoxedUnit> {
        private final Result<R> results;
        private int accepted;
        private boolean ended;

        OnDriver(Result<R> results) {
            this.results = results;
        }

        @Override
        public synchronized BoxedUnit apply(Object partition, R found) {
            if (!ended) {
                ended = true; // stays if this result cannot be used
                results.accept((Integer) partition, found);
                ended = false;
                accepted++;
            }
            return BoxedUnit.UNIT;
        }

        /** {@return whether all results were accepted; from now on none is} */
        synchronized boolean end(int wanted) {
            ended = true;
            return accepted == wanted;
        }
    }
}
