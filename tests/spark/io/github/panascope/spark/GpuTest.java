package io.github.panascope.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.panascope.demo.DemoBundle;
import io.github.panascope.tokens.ChunkingStrategy;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** A task runs on the GPU that Spark assigned to it; the stand-in for CUDA is the GPU. */
@Tag("spark")
@ExtendWith(Cluster.class)
class GpuTest {
    private static final Path STAND_IN = Path.of("target/native-build/standin").toAbsolutePath();

    @TempDir
    Path folder;

    @Test
    void tasksRunOnTheGpuThatSparkAssigned() throws IOException {
        assumeTrue(Files.isDirectory(STAND_IN), "there is no stand-in for CUDA: PANASCOPE_NATIVE_TESTS=no left it out");
        Path script = folder.resolve("gpus.sh");
        Files.writeString(script, "#!/bin/sh\necho '{\"name\": \"gpu\", \"addresses\": [\"0\"]}'\n");
        Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwx------"));
        SparkSession spark = Cluster.session(Map.of(
                "spark.executorEnv.LIBTORCH", STAND_IN.toString(),
                "spark.worker.resource.gpu.amount", "1",
                "spark.worker.resource.gpu.discoveryScript", script.toString(),
                "spark.executor.resource.gpu.amount", "1",
                "spark.task.resource.gpu.amount", "1"));
        List<String> devices = JavaSparkContext.fromSparkContext(spark.sparkContext())
                .parallelize(List.of(0), 1)
                .map(_ -> TaskContext.get().resourcesJMap().get("gpu").addresses()[0] + " "
                        + ModelAndSae.DEMO.deviceOfTask())
                .collect();
        assertEquals(List.of("0 cuda:0"), devices);
        Documents documents =
                Documents.of(spark.read().parquet(DemoBundle.find().dataset()).limit(40), "text");
        try (TokenRows rows = TokenRows.of(documents, ModelAndSae.DEMO, ChunkingStrategy.PER_DOCUMENT, 32, true)) {
            String features = folder.resolve("features").toString();
            CollectedFeatures found = FeatureJob.of(ModelAndSae.DEMO).collect(rows, "demo", features);
            assertTrue(JobPlan.read(HadoopFiles.at(features))
                    .identity()
                    .get("device")
                    .startsWith("cuda "));
            assertEquals(rows.rows(), found.rows());
        }
    }
}
