package io.github.panascope.spark;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.dashboard.DashboardConfig.CorrelationScope;
import io.github.panascope.data.TextDataset;
import io.github.panascope.demo.DemoBundle;
import io.github.panascope.tokens.ChunkingStrategy;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.spark.executor.TaskMetrics;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

/**
 * What a second executor brings, what a token costs, and whether executors need more memory for more rows. It measures
 * for some minutes and runs only if asked: {@code -Dpanascope.spark.scale=MODEL,SAE,ROWS}, with folders of a model and
 * an SAE.
 */
@Tag("spark")
@EnabledIfSystemProperty(named = "panascope.spark.scale", matches = ".+")
class ScaleTest {
    private static final int CONTEXT = 128;

    @TempDir
    Path folder;

    /** The bytes that tasks moved. */
    private static final class Moved extends SparkListener {
        private long shuffled, results;

        @Override
        public synchronized void onTaskEnd(SparkListenerTaskEnd end) {
            TaskMetrics metrics = end.taskMetrics();
            if (metrics == null) return;
            shuffled += metrics.shuffleWriteMetrics().bytesWritten();
            results += metrics.resultSize();
        }
    }

    private static long bytes(Path folder, String pattern) throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            long sum = 0;
            for (Path file : files.filter(Files::isRegularFile).toList())
                if (file.getFileName().toString().matches(pattern)) sum += Files.size(file);
            return sum;
        }
    }

    /** The largest resident memory that an executor had so far, in MB. */
    private static List<Long> peaks() throws IOException {
        List<Long> found = new ArrayList<>();
        for (ProcessHandle executor : Cluster.executors())
            for (String line : Files.readAllLines(Path.of("/proc/" + executor.pid() + "/status")))
                if (line.startsWith("VmHWM")) found.add(Long.parseLong(line.replaceAll("\\D", "")) / 1024);
        return found;
    }

    private static TokenRows rows(SparkSession spark, ModelAndSae names, int documents) {
        List<String> texts = new ArrayList<>();
        TextDataset.of(DemoBundle.find().dataset()).forEach(texts::add);
        List<String> many = IntStream.range(0, documents)
                .mapToObj(i -> texts.get(i % texts.size()))
                .toList();
        return TokenRows.of(
                Documents.of(spark.createDataset(many, Encoders.STRING())),
                names,
                ChunkingStrategy.CHARACTER_CHUNKS,
                CONTEXT,
                true);
    }

    /** All features are encoded; the sums of ten are kept, as those of all would be written for each small unit. */
    private static FeatureJob job(ModelAndSae names) {
        return FeatureJob.of(names).features(IntStream.range(0, 10).toArray(), CorrelationScope.ALL);
    }

    @Test
    void executorsTokensAndMemory() throws IOException {
        String[] asked = System.getProperty("panascope.spark.scale").split(",");
        ModelAndSae names = asked[0].equals("demo") ? ModelAndSae.DEMO : ModelAndSae.of(asked[0], asked[1]);
        int documents = Integer.parseInt(asked[asked.length - 1]);
        double[] seconds = new double[3];
        for (int executors : new int[] {1, 2, 1, 2}) {
            SparkSession spark = Cluster.session(
                    Map.of("spark.master", "local-cluster[" + executors + ",1,3072]", "spark.executor.memory", "3g"));
            Moved moved = new Moved();
            spark.sparkContext().addSparkListener(moved);
            Path out = folder.resolve(executors + "-" + System.nanoTime());
            try (TokenRows few = rows(spark, names, Math.max(20, documents / 8))) { // loads weights
                job(names).unitRows(8).collect(few, "few", out + "-few");
            }
            String before = "peak " + peaks();
            long began = System.nanoTime();
            try (TokenRows rows = rows(spark, names, documents)) {
                double tokenized = (System.nanoTime() - began) / 1e9;
                long units = 4L * 2; // as many with one executor as with two
                CollectedFeatures found =
                        job(names).unitRows(Math.ceilDiv(rows.rows(), units)).collect(rows, "scale", out.toString());
                double all = (System.nanoTime() - began) / 1e9;
                double tokens = (double) rows.rows() * CONTEXT;
                System.out.printf(
                        Locale.ROOT,
                        "%d executors: %d rows, tokenized in %.1f s, %.1f s in all, %.0f tokens/s; shares %s; %s, then"
                                + " %s MB; bytes a token: shuffled %.1f, results %.2f, rows %.1f, sums %.1f%n",
                        executors,
                        rows.rows(),
                        tokenized,
                        all,
                        tokens / all,
                        found.shares(),
                        before,
                        peaks(),
                        moved.shuffled / tokens,
                        moved.results / tokens,
                        bytes(out, "rows-.*") / tokens,
                        bytes(out, "sums-.*") / tokens);
                seconds[executors] += all;
            }
        }
        Cluster.stop();
        System.out.printf(Locale.ROOT, "two executors against one: %.2f times%n", seconds[1] / seconds[2]);
        assertTrue(seconds[1] > 0);
    }
}
