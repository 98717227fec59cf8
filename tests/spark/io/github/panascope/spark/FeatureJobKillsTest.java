package io.github.panascope.spark;

import static io.github.panascope.spark.CollectedFixture.CONTEXT;
import static io.github.panascope.spark.CollectedFixture.UNIT_ROWS;
import static io.github.panascope.spark.CollectedFixture.assertNothingLeft;
import static io.github.panascope.spark.CollectedFixture.assertThoseOfOneMachine;
import static io.github.panascope.spark.CollectedFixture.collect;
import static io.github.panascope.spark.CollectedFixture.job;
import static io.github.panascope.spark.CollectedFixture.rows;
import static io.github.panascope.spark.CollectedFixture.tokens;
import static io.github.panascope.spark.CollectedFixture.units;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/**
 * Executors and drivers that are killed: the bytes stay those of one machine. {@code -Dpanascope.spark.kills=20} kills
 * 20 executors, each in a job of its own.
 */
@Tag("spark")
@ExtendWith(Cluster.class)
class FeatureJobKillsTest {
    private static final int KILLS = Integer.getInteger("panascope.spark.kills", 2);
    private static final long SEED = 17;
    private static final int EXECUTORS = 2;
    private static final int LATEST = 300;

    @TempDir
    private Path folder;

    @TempDir
    private Path scratch;

    @Test
    void executorsMayBeKilledAtAnyMoment() throws Exception {
        SparkSession spark = Cluster.session();
        FaultyFileSystem.faults(Map.of());
        Random random = new Random(SEED);
        long all = rows(spark).rows();
        int killed = 0;
        int repeated = 0;
        for (int round = 0; killed < KILLS; round++) {
            assertTrue(round < 3 * KILLS, "most jobs end before their executor can be killed");
            awaitExecutors();
            Path place = folder.resolve("round" + round);
            AtomicLong done = new AtomicLong();
            CompletableFuture<CollectedFeatures> job = CompletableFuture.supplyAsync(
                    () -> job().progress(done::set).collect(rows(spark), "a few documents", place.toString()));
            long from = random.nextLong(all / 2);
            while (!job.isDone() && (done.get() < from || !Files.exists(place.resolve("job.json")))) Thread.sleep(1);
            Thread.sleep(random.nextInt(LATEST));
            List<ProcessHandle> executors = Cluster.executors();
            boolean early = done.get() < all && !job.isDone();
            executors.get(random.nextInt(executors.size())).destroyForcibly();
            CollectedFeatures collected = job.get(5, TimeUnit.MINUTES);
            assertThoseOfOneMachine(place.toString(), scratch);
            assertNothingLeft(place);
            assertEquals(all * CONTEXT, tokens(collected));
            if (early) killed++;
            else repeated++;
        }
        System.out.println(killed + " executors were killed while units ran, " + repeated + " after the last unit");
    }

    private static void awaitExecutors() throws InterruptedException {
        while (Cluster.executors().size() < EXECUTORS
                || Cluster.session().sparkContext().statusTracker().getExecutorInfos().length <= EXECUTORS)
            Thread.sleep(100);
    }

    @Test
    void aJobWhoseDriverWasKilledCollectsWhatIsMissing() throws Exception {
        Process driver = new ProcessBuilder(Stream.of(
                                Stream.of(Path.of(System.getProperty("java.home"), "bin", "java")
                                        .toString()),
                                ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
                                        .filter(argument -> !argument.startsWith("-javaagent")),
                                Stream.of(
                                        "-cp",
                                        System.getProperty("java.class.path"),
                                        Driver.class.getName(),
                                        folder.toString()))
                        .flatMap(part -> part)
                        .toList())
                .redirectErrorStream(true)
                .redirectOutput(scratch.resolve("driver.log").toFile())
                .start();
        try {
            while (driver.isAlive() && markers() == 0) Thread.sleep(1);
        } finally {
            driver.destroyForcibly().waitFor();
        }
        assertTrue(Files.exists(folder.resolve("_running")), Files.readString(scratch.resolve("driver.log")));
        int there = units(folder.toString()).size();
        SparkSession spark = Cluster.session();
        long all = Math.ceilDiv(rows(spark).rows(), (long) UNIT_ROWS);
        assertTrue(there > 0 && there < all, there + " of " + all + " units");

        spark.sparkContext().conf().set("spark.panascope.lock.timeout", "1s");
        try {
            Thread.sleep(1_000);
            CollectedFeatures rest = collect(spark, folder.toString());
            long missing = Math.ceilDiv(tokens(rest), (long) UNIT_ROWS * CONTEXT);
            assertEquals(all, there + missing);
        } finally {
            spark.sparkContext().conf().remove("spark.panascope.lock.timeout");
        }
        assertThoseOfOneMachine(folder.toString(), scratch);
        assertNothingLeft(folder);
    }

    private int markers() {
        File[] markers = folder.resolve("units").toFile().listFiles((_, name) -> name.matches("\\d.*\\.json"));
        return markers == null ? 0 : markers.length;
    }

    /** The driver that is killed. */
    static final class Driver {
        private Driver() {}

        public static void main(String[] arguments) throws IOException {
            SparkSession spark = SparkSession.builder()
                    .master("local[1]")
                    .config("spark.ui.enabled", "false")
                    .config(
                            "spark.local.dir",
                            Files.createTempDirectory("spark-killed").toString())
                    .getOrCreate();
            collect(spark, arguments[0]);
        }
    }
}
