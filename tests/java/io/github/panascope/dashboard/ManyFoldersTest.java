package io.github.panascope.dashboard;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.lang.management.MemoryType;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Many folders that are merged, and that are read as one. Prints times and memory, which say something for numbers that
 * take minutes and gigabytes: {@code -Dpanascope.folders=1000 -Dpanascope.folders.features=24576}.
 */
class ManyFoldersTest {
    private static final int FOLDERS = Integer.getInteger("panascope.folders", 20);
    private static final int FEATURES = Integer.getInteger("panascope.folders.features", 600);
    private static final int D_IN = Integer.getInteger("panascope.folders.dimensions", 8);
    private static final int ROWS_IN_FOLDER = 2;
    private static final int CONTEXT = 128;
    private static final int SLICE = 512;

    @TempDir
    private Path folder;

    private static <T> T measured(String what, Callable<T> work) throws Exception {
        List<MemoryPoolMXBean> heap = ManagementFactory.getMemoryPoolMXBeans().stream()
                .filter(pool -> pool.getType() == MemoryType.HEAP)
                .toList();
        System.gc();
        heap.forEach(MemoryPoolMXBean::resetPeakUsage);
        long start = System.nanoTime();
        T found = work.call();
        double seconds = (System.nanoTime() - start) / 1e9;
        long peak =
                heap.stream().mapToLong(pool -> pool.getPeakUsage().getUsed()).sum();
        System.gc();
        long after = heap.stream().mapToLong(pool -> pool.getUsage().getUsed()).sum();
        System.out.printf(
                Locale.ROOT,
                "%-36s %8.2f s, heap %6d MB at most, %6d MB kept%n",
                what,
                seconds,
                peak >> 20,
                after >> 20);
        return found;
    }

    @Test
    void foldersAreMergedAndReadAsOne() throws Exception {
        SyntheticStore rows = new SyntheticStore(
                new StoreIdentity(Map.of("hook", "here")),
                IntStream.range(0, FEATURES).toArray(),
                D_IN,
                CONTEXT);
        List<Path> folders = new ArrayList<>();
        for (int i = 0; i < FOLDERS; i++) folders.add(folder.resolve("part-" + i));
        measured("writing " + FOLDERS + " folders", () -> {
            for (int i = 0; i < FOLDERS; i++)
                rows.add(folders.get(i), i * ROWS_IN_FOLDER, (i + 1) * ROWS_IN_FOLDER, ROWS_IN_FOLDER);
            return null;
        });
        System.out.println(bytes(folders.getFirst()) / 1e6 + " MB each");
        int[] slice = IntStream.range(FEATURES - SLICE, FEATURES).toArray();
        NeuronCorrelationSums found;
        try (FeatureStore joined = measured("opening them as one", () -> FeatureStore.readJoined(folders))) {
            measured("opening the shards", joined::shards);
            found = measured(
                    "reading sums of " + SLICE + " features",
                    () -> joined.sumsByFeatures().apply(slice));
        }
        try (FeatureStore merged = measured("merging", () -> FeatureStore.merged(folder.resolve("merged"), folders))) {
            assertEquals((long) FOLDERS * ROWS_IN_FOLDER, merged.rows());
            for (int feature : slice)
                for (int j = 0; j < D_IN; j++)
                    assertEquals(merged.sums().xy(feature, j), found.xy(found.place(feature), j));
            for (int j = 0; j < D_IN; j++) assertEquals(merged.sums().y(j), found.y(j));
        }
    }

    private static long bytes(Path of) throws IOException {
        try (Stream<Path> files = Files.list(of)) {
            long bytes = 0;
            for (Path file : files.toList()) bytes += Files.size(file);
            return bytes;
        }
    }
}
