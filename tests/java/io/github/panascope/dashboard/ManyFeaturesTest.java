package io.github.panascope.dashboard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.dashboard.FeatureDashboard.Ablation;
import io.github.panascope.dashboard.FeatureDashboard.Entry;
import io.github.panascope.dashboard.FeatureDashboard.LogitsTable;
import io.github.panascope.dashboard.FeatureDashboard.Sequence;
import io.github.panascope.dashboard.FeatureDashboard.SequenceGroup;
import io.github.panascope.dashboard.FeatureDashboard.Statistics;
import io.github.panascope.dashboard.FeatureDashboard.Tables;
import io.github.panascope.internal.ConfigFile;
import io.github.panascope.sae.SaeConfig;
import io.github.panascope.tokens.Tokenizer;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Dashboards of many features that were made elsewhere, written to files of all kinds in a JVM with a small heap, whose
 * used part does not grow with the features. Prints memory, time and sizes. {@code -Dpanascope.features=24576} takes as
 * many as an SAE of GPT-2 has. For a million, the lists of a dashboard should be shorter.
 */
class ManyFeaturesTest {
    private static final int FEATURES = Integer.getInteger("panascope.features", 6200);
    private static final int QUANTILES =
            Integer.getInteger("panascope.features.quantiles", Dashboards.quantiles().length);
    /** The default is far more than a dashboard has, so that the first measurements follow a whole row group. */
    private static final int LOGITS = Integer.getInteger("panascope.features.logits", 300);

    private static final int SEQUENCES = Integer.getInteger("panascope.features.sequences", 3);
    private static final String HEAP = System.getProperty("panascope.features.heap", "96m");
    /** Measurements are after whole batches of Neuronpedia, and after the first third of the features. */
    private static final int BATCH = 128;

    private static final int MEASUREMENTS = 8;
    private static final int EVERY = FEATURES / 3 * 2 / MEASUREMENTS / BATCH * BATCH;
    private static final int FIRST = FEATURES - MEASUREMENTS * EVERY;
    private static final int THREADS = 2;
    private static final int VOCABULARY = 50_257;
    /** What threads hold varies by some 50 KB, which is 25 bytes a feature for the default number of features. */
    private static final double BYTES_A_FEATURE = 64;

    @TempDir
    private Path folder;

    /** Writes the dashboards into a folder, in a JVM of its own. */
    static final class Writing {
        private Writing() {}

        public static void main(String[] arguments) {
            Path folder = Path.of(arguments[0]);
            Tokenizer tokenizer = Tokenizer.gpt2();
            SaeConfig sae = SaeConfig.parse(ConfigFile.parse(
                            "a text", "{\"hook_point\": \"blocks.2.hook_resid_pre\", \"d_in\": 8, \"d_sae\": 8}"))
                    .config();
            DashboardPage.Header header = new DashboardPage.Header("Features", Map.of("Model", "gpt2-small"), null);
            try (DashboardSinks sinks = new DashboardSinks()) {
                sinks.add(FeatureTable.open(folder.resolve("table.parquet"), tokenizer, header.facts()));
                sinks.add(SaeDashboardJson.open(folder.resolve("dashboards.json")));
                sinks.add(NeuronpediaBatches.open(folder.resolve("neuronpedia"), sae, tokenizer, 45, 64, "a text"));
                sinks.add(DashboardPage.open(folder.resolve("page.html"), header, tokenizer));
                Iterator<FeatureDashboard> made = IntStream.range(0, FEATURES)
                        .mapToObj(feature -> {
                            if (feature >= FIRST && (feature - FIRST) % EVERY == 0) measure();
                            return dashboard(feature);
                        })
                        .iterator();
                DashboardSinks.replay(made, THREADS, sinks);
            }
        }

        private static void measure() {
            System.gc();
            System.out.println(
                    ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed());
        }
    }

    private static FeatureDashboard dashboard(int feature) {
        Random random = new Random(feature);
        float[] activations = floats(random, 100);
        Histogram histogram = Histogram.of(activations, activations.length, 50);
        double first = random.nextDouble();
        double[] quantiles = IntStream.range(0, QUANTILES)
                .mapToDouble(i -> Histogram.rounded(first + i * 1e-3, 6))
                .toArray();
        List<Entry> entries = List.of(
                new Entry(feature, random.nextDouble(), 0.5),
                new Entry(7, random.nextDouble(), 0.25),
                new Entry(3, 0.125, -0.25));
        double max = 2 + random.nextDouble();
        return new FeatureDashboard(
                feature,
                new Statistics(
                        2880,
                        45,
                        100,
                        0.03,
                        (float) max,
                        0.1,
                        0.5,
                        random.nextDouble(),
                        3,
                        random.nextDouble(),
                        quantiles),
                new Tables(entries, entries, entries),
                histogram,
                histogram,
                new LogitsTable(
                        ids(random, LOGITS), floats(random, LOGITS), ids(random, LOGITS), floats(random, LOGITS)),
                List.of(
                        new SequenceGroup(SequenceGroup.Kind.TOP, Double.NaN, max, Double.NaN, sequences(random)),
                        new SequenceGroup(SequenceGroup.Kind.INTERVAL, 1, 2, 0.01, sequences(random))));
    }

    private static List<Sequence> sequences(Random random) {
        return Stream.generate(() -> new Sequence(
                        random.nextInt(45),
                        11,
                        8,
                        ids(random, 8),
                        floats(random, 8),
                        floats(random, 8),
                        new Ablation(
                                floats(random, 8),
                                floats(random, 8),
                                eight(() -> ids(random, 2)).toArray(int[][]::new),
                                eight(() -> floats(random, 2)).toArray(float[][]::new),
                                eight(() -> ids(random, 2)).toArray(int[][]::new),
                                eight(() -> floats(random, 2)).toArray(float[][]::new))))
                .limit(SEQUENCES)
                .toList();
    }

    private static <T> Stream<T> eight(Supplier<T> made) {
        return Stream.generate(made).limit(8);
    }

    private static int[] ids(Random random, int count) {
        return random.ints(count, 0, VOCABULARY).toArray();
    }

    private static float[] floats(Random random, int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) values[i] = random.nextFloat();
        return values;
    }

    @Test
    void memoryDoesNotGrowWithTheFeatures() throws Exception {
        long start = System.nanoTime();
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-Xmx" + HEAP,
                        "-XX:+UseSerialGC",
                        "-XX:MarkSweepAlwaysCompactCount=1",
                        "-Djava.io.tmpdir=" + folder,
                        "-Dpanascope.features=" + FEATURES,
                        "-Dpanascope.features.quantiles=" + QUANTILES,
                        "-Dpanascope.features.logits=" + LOGITS,
                        "-Dpanascope.features.sequences=" + SEQUENCES,
                        "-cp",
                        System.getProperty("java.class.path"),
                        Writing.class.getName(),
                        folder.toString())
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), "with a heap of " + HEAP);
        long[] used = printed.lines().mapToLong(Long::parseLong).toArray();
        for (int i = 0; i < used.length; i++)
            System.out.printf(
                    Locale.ROOT, "heap after %d features: %.2f MB of %s%n", FIRST + i * EVERY, used[i] / 1e6, HEAP);
        System.out.printf(Locale.ROOT, "%d features: %.1f s", FEATURES, (System.nanoTime() - start) / 1e9);
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : files.sorted().toList())
                System.out.printf(Locale.ROOT, ", %s %.1f MB", file.getFileName(), bytes(file) / 1e6);
        }
        System.out.println();
        assertEquals(MEASUREMENTS, used.length, printed);
        // Of several measurements the smallest counts, because threads hold a few dashboards at others.
        int half = MEASUREMENTS / 2;
        long before = LongStream.of(used).limit(half).min().orElseThrow();
        long after = LongStream.of(used).skip(half).min().orElseThrow();
        double growth = (double) (after - before) / (half * EVERY);
        assertTrue(growth < BYTES_A_FEATURE, growth + " bytes a feature");
    }

    private static long bytes(Path of) throws IOException {
        try (Stream<Path> files = Files.walk(of)) {
            return files.mapToLong(file -> file.toFile().length()).sum();
        }
    }
}
