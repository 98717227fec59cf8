package io.github.panascope.spark;

import static io.github.panascope.spark.CollectedFixture.assertNothingLeft;
import static io.github.panascope.spark.CollectedFixture.assertThoseOfOneMachine;
import static io.github.panascope.spark.CollectedFixture.awaitIdle;
import static io.github.panascope.spark.CollectedFixture.collect;
import static io.github.panascope.spark.CollectedFixture.rows;
import static io.github.panascope.spark.CollectedFixture.tokens;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.spark.SparkConf;
import org.apache.spark.deploy.master.Master;
import org.apache.spark.deploy.worker.Worker;
import org.apache.spark.rpc.RpcEnv;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import scala.Option;

/** A slow task runs a second time: the attempt that ends first counts, and the other one leaves nothing. */
@Tag("spark")
@ExtendWith(Cluster.class)
class FeatureJobSpeculationTest {
    private static final String SLOW = "000000000000-000000000032";

    @TempDir
    private Path folder;

    @TempDir
    private Path scratch;

    private final List<RpcEnv> processes = new ArrayList<>();

    /** Spark runs the second attempt on another host only, so that this cluster has two addresses of this machine. */
    private SparkSession twoHosts() throws IOException {
        SparkConf conf = new SparkConf()
                .set("spark.driver.host", "127.0.0.1")
                .set("spark.master.rest.enabled", "false")
                .set("spark.deploy.maxExecutorRetries", "-1");
        var master = Master.startRpcEnvAndEndpoint("127.0.0.1", 0, 0, conf);
        processes.add(master._1());
        String url = "spark://" + master._1().address().hostPort();
        for (int host = 1; host <= 2; host++)
            processes.add(Worker.startRpcEnvAndEndpoint(
                    "127.0.0." + host,
                    0,
                    0,
                    1,
                    2048,
                    new String[] {url},
                    Files.createTempDirectory("spark-worker").toString(),
                    Option.apply(host),
                    conf,
                    Option.empty()));
        Map<String, String> settings = new HashMap<>();
        settings.put("spark.master", url);
        settings.put("spark.speculation", "true");
        settings.put("spark.speculation.interval", "100ms");
        settings.put("spark.speculation.minTaskRuntime", "200ms");
        settings.put("spark.speculation.quantile", "0.5");
        settings.put("spark.speculation.multiplier", "2");
        return Cluster.session(settings);
    }

    @AfterEach
    void stop() {
        Cluster.stop();
        for (RpcEnv process : processes.reversed()) process.shutdown();
        for (RpcEnv process : processes.reversed()) process.awaitTermination();
    }

    @Test
    void theAttemptThatEndsFirstCounts() throws Exception {
        SparkSession spark = twoHosts();
        String place = FaultyFileSystem.uri(folder);
        FaultyFileSystem.faults(Map.of("create", ".*/" + SLOW + "/.*/\\.rows-.*", "attempts", "1", "sleep", "20000"));
        AtomicInteger second = new AtomicInteger();
        spark.sparkContext().addSparkListener(new SparkListener() {
            @Override
            public void onTaskEnd(SparkListenerTaskEnd end) {
                if (end.taskInfo().speculative() && end.taskInfo().successful()) second.incrementAndGet();
            }
        });
        CollectedFeatures collected = collect(spark, place);
        FaultyFileSystem.faults(Map.of());
        assertEquals(rows(spark).rows() * CollectedFixture.CONTEXT, tokens(collected));
        assertThoseOfOneMachine(place, scratch);
        awaitIdle(spark);
        assertTrue(second.get() > 0, "no second attempt was the first to end");
        assertNothingLeft(folder);
    }
}
