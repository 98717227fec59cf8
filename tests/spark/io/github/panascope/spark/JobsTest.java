package io.github.panascope.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** A job ends with the first result that the driver cannot use, and accepts none afterwards. */
@Tag("spark")
@ExtendWith(Cluster.class)
class JobsTest {
    private static final int TASKS = 10;

    @TempDir
    private Path folder;

    @Test
    void aResultThatCannotBeUsedEndsTheJobAndItsTasks() throws Exception {
        AtomicInteger accepted = new AtomicInteger();
        String begun = folder.toString();
        CollectedFixture.assertRefused(
                () -> Failures.unwrapped(() -> {
                    Jobs.run(
                            Cluster.context()
                                    .parallelize(
                                            IntStream.range(0, TASKS).boxed().toList(), TASKS),
                            (task, _) -> begin(begun, task.partitionId()),
                            (_, _) -> {
                                accepted.incrementAndGet();
                                sleep(500); // the other executor's result arrives in the meantime
                                throw new InputException("the result cannot be used.");
                            },
                            Integer.class);
                    return null;
                }),
                "the result cannot be used.");
        CollectedFixture.awaitIdle(Cluster.session());
        sleep(500);
        CollectedFixture.awaitIdle(Cluster.session());
        assertEquals(1, accepted.get());
        try (var files = Files.list(folder)) {
            long tasks = files.count();
            assertTrue(tasks >= 2 && tasks < TASKS, tasks + " tasks began");
        }
    }

    private static int begin(String folder, int partition) {
        try {
            Files.createFile(Path.of(folder, Integer.toString(partition)));
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
        sleep(300);
        return partition;
    }

    private static void sleep(int milliseconds) {
        try {
            Thread.sleep(milliseconds);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }
}
