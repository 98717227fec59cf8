package io.github.panascope.spark;

import java.io.Serializable;
import java.util.stream.IntStream;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaRDDLike;
import scala.Function2;
import scala.collection.Iterator;
import scala.jdk.javaapi.CollectionConverters;
import scala.reflect.ClassTag$;
import scala.runtime.BoxedUnit;

/** Spark jobs whose results reach the driver one by one, as tasks end, which Spark's Java API does not offer. */
final class Jobs {
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
     * Runs a task for each partition.
     *
     * @param type the class of results
     */
    static <T, R> void run(JavaRDDLike<T, ?> elements, Work<T, R> work, Result<R> results, Class<R> type) {
        Function2<TaskContext, Iterator<T>, R> inTask = (Function2<TaskContext, Iterator<T>, R> & Serializable)
                (task, some) -> work.run(task, () -> CollectionConverters.asJava(some));
        Function2<Object, R, BoxedUnit> onDriver = (partition, found) -> {
            results.accept((Integer) partition, found);
            return BoxedUnit.UNIT;
        };
        elements.context()
                .runJob(
                        elements.rdd(),
                        inTask,
                        CollectionConverters.asScala(IntStream.range(0, elements.getNumPartitions())
                                        .mapToObj(i -> (Object) i)
                                        .toList())
                                .toSeq(),
                        onDriver,
                        ClassTag$.MODULE$.apply(type));
    }
}
