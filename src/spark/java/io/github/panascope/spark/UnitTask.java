package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.dashboard.FeatureCollector;
import io.github.panascope.dashboard.FeatureStore;
import io.github.panascope.dashboard.StoreIdentity;
import io.github.panascope.lens.RowsAtOnce;
import io.github.panascope.sae.Sae;
import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import scala.Tuple2;

/**
 * What a task does for a unit of rows: it collects their features into a store on the executor's own disk, and copies
 * the store's files into a folder of this attempt. A failed or repeated attempt leaves nothing that is read.
 *
 * @param names      the model and the SAE
 * @param text       the description of the text, for the identity of the rows
 * @param context    tokens in a row
 * @param rowsAtOnce rows that run together on a GPU; 0 for a number that suits it
 * @param features   the features whose sums are kept; null for all
 * @param chosenOnly true if only these features are encoded
 * @param folder     the URI of the folder of all units
 */
record UnitTask(
        ModelAndSae names, String text, int context, int rowsAtOnce, int[] features, boolean chosenOnly, String folder)
        implements Serializable {
    /** Each shard writes the sums of its unit again, 302 MB for all features of an SAE of GPT-2. */
    private static final int SHARD_ROWS = 1024;

    private static final int SUM_BYTES = 16;

    /**
     * What a task did.
     *
     * @param files    the files of the unit
     * @param identity the entries of the identity of the rows, as this executor has it
     * @param executor the id and the host of the executor
     * @param seconds  the time from the first row to the last file
     */
    record Done(UnitFiles files, Map<String, String> identity, String executor, double seconds)
            implements Serializable {}

    /** {@return the identity of the rows, on the device of the calling task} */
    StoreIdentity identity() {
        Executor.Loaded loaded = Executor.load(names);
        int dSae = loaded.sae().config().dSae();
        if (features != null && features.length > 0 && (features[0] < 0 || features[features.length - 1] >= dSae))
            throw new InputException("features " + features[0] + " to " + features[features.length - 1]
                    + " are not all among the SAE's features 0 to " + (dSae - 1) + ".");
        int atOnce = rowsAtOnce > 0 ? rowsAtOnce : RowsAtOnce.on(loaded.model().device(), context);
        StoreIdentity all = loaded.identity(text, context, atOnce);
        return chosenOnly ? all.ofChosen(features) : all;
    }

    /**
     * Collects a unit.
     *
     * @param rows the token ids of its rows, by number
     */
    Done run(Unit unit, Iterable<Tuple2<Long, int[]>> rows) {
        long began = System.nanoTime();
        Map<Long, int[]> tokens = new HashMap<>();
        for (Tuple2<Long, int[]> row : rows) tokens.put(row._1, row._2);
        if (tokens.size() != unit.rows())
            throw new IllegalStateException("unit " + unit + " got " + tokens.size() + " rows");
        Executor.Loaded loaded = Executor.load(names);
        Sae sae = loaded.shown();
        StoreIdentity identity = identity();
        int[] summed = features != null
                ? features
                : IntStream.range(0, sae.config().dSae()).toArray();
        requireHeap(summed.length, sae.config().dIn());
        TaskContext task = TaskContext.get();
        Path scratch = scratch("unit");
        try {
            try (FeatureStore store =
                    FeatureStore.open(scratch, identity, summed, sae.config().dIn())) {
                FeatureCollector.into(store, loaded.model(), sae)
                        .threads(Executor.threads())
                        .shardRows(SHARD_ROWS)
                        .progress(_ -> task.killTaskIfInterrupted())
                        .collect(tokens::get, unit.first(), unit.end());
            }
            task.killTaskIfInterrupted();
            String attempt = task.taskAttemptId() + "-" + UUID.randomUUID();
            List<HadoopFiles.Entry> entries =
                    put(filesIn(scratch), HadoopFiles.at(folder).within(unit + "/" + attempt));
            return new Done(
                    new UnitFiles(unit, attempt, entries),
                    new LinkedHashMap<>(identity.entries()),
                    SparkEnv.get().executorId() + " on "
                            + SparkEnv.get().blockManager().blockManagerId().host(),
                    (System.nanoTime() - began) / 1e9);
        } finally {
            delete(scratch);
        }
    }

    /** Refuses to begin what would end for want of memory after hours. */
    private static void requireHeap(int features, int dIn) {
        SparkConf conf = SparkEnv.get().conf();
        int tasks = Math.max(
                1, conf.getInt("spark.executor.cores", 1) / TaskContext.get().cpus());
        long sums = (features + 2L) * dIn * SUM_BYTES * tasks;
        if (sums > Runtime.getRuntime().maxMemory())
            throw new InputException(
                    "the sums of " + features + " features take " + (sums >> 20) + " MB in the heap of an"
                            + " executor with " + tasks + " tasks, and it has "
                            + (Runtime.getRuntime().maxMemory() >> 20) + " MB: set spark.executor.memory higher, or"
                            + " spark.task.cpus, or choose fewer features.");
    }

    /** Copies files. If one cannot be written, none stays: the place may be full. */
    private static List<HadoopFiles.Entry> put(List<Path> files, HadoopFiles target) {
        List<HadoopFiles.Entry> entries = new ArrayList<>();
        try {
            for (Path file : files)
                entries.add(target.put(file, file.getFileName().toString()));
            return entries;
        } finally {
            if (entries.size() < files.size()) target.deleteQuietly();
        }
    }

    private static List<Path> filesIn(Path folder) {
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(file -> file.getFileName().toString().matches(".*\\.(bin|json)"))
                    .sorted()
                    .toList();
        } catch (IOException e) {
            throw new InputException(folder + " cannot be read: " + InputException.reason(e) + ".", e);
        }
    }

    /** Makes a folder where Spark keeps what it deletes with the executor. */
    static Path scratch(String purpose) {
        Path parent =
                SparkEnv.get().blockManager().diskBlockManager().localDirs()[0].toPath();
        try {
            return Files.createTempDirectory(parent, "panascope-" + purpose);
        } catch (IOException e) {
            throw new InputException(parent + " cannot be written: " + InputException.reason(e) + ".", e);
        }
    }

    static void delete(Path folder) {
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) Files.deleteIfExists(file);
        } catch (IOException e) {
            // Spark deletes it with the executor
        }
    }
}
