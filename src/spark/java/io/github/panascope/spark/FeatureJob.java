package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.dashboard.DashboardConfig.CorrelationScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.LongConsumer;
import java.util.stream.Collectors;
import org.apache.hadoop.fs.FileStatus;
import org.apache.spark.Partitioner;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaSparkContext;

/**
 * Collects the features of a corpus on the executors of a Spark application, into a folder of any Hadoop file system.
 * The rows are cut into units; a task collects one unit into a {@link io.github.panascope.dashboard.FeatureStore} of
 * its own. The driver writes a marker for each unit that is done, so that nothing counts twice, whatever is retried or
 * runs speculatively, and so that a job that is submitted again collects only what is missing. The numbers are those of
 * one machine with the instruction set of the executors, whatever the number of partitions and executors is.
 *
 * <pre>{@code
 * static CollectedFeatures collect(SparkSession spark, Dataset<Row> pile) {
 *     ModelAndSae names = ModelAndSae.of("gpt2-small-res-jb/blocks.8.hook_resid_pre");
 *     Documents documents = Documents.of(pile, "text").orderedBy("id");
 *     try (TokenRows rows = TokenRows.of(
 *             documents, names, ChunkingStrategy.CHARACTER_CHUNKS, 128, true)) {
 *         return FeatureJob.of(names).collect(rows, "pile", "hdfs:///features/pile");
 *     }
 * }
 * }</pre>
 */
public final class FeatureJob {
    /** The folder of units within the folder of a job. */
    static final String UNITS = "units";

    private static final int SHARD_ROWS = 256;
    private static final long MOST_UNIT_ROWS = 1 << 15;
    /** Units for each task that runs at a time, so that executors that are faster do more of them. */
    private static final int UNITS_A_SLOT = 4;

    private final ModelAndSae names;
    private int[] features;
    private boolean chosenOnly;
    private long unitRows;
    private int rowsAtOnce;
    private LongConsumer progress = _ -> {};

    private FeatureJob(ModelAndSae names) {
        this.names = names;
    }

    /**
     * Prepares a job for all features of an SAE.
     *
     * @param names the model and the SAE
     * @return the job
     */
    public static FeatureJob of(ModelAndSae names) {
        return new FeatureJob(names);
    }

    /**
     * Sets the features of which dashboards will be made: correlations with neurons are summed for them alone, which
     * takes 16 bytes for each dimension of the activation. The default is all features.
     *
     * @param chosen      the features
     * @param correlated  among which features correlated ones will be looked for; with {@code CHOSEN} only the chosen
     *     features are encoded
     * @return this job
     */
    public FeatureJob features(int[] chosen, CorrelationScope correlated) {
        features = Arrays.stream(chosen).distinct().sorted().toArray();
        chosenOnly = correlated == CorrelationScope.CHOSEN;
        return this;
    }

    /**
     * Sets the number of rows of a unit, the part of the work that is lost if an executor dies. The default gives each
     * task slot four units, of at most 32,768 rows. A folder keeps the number that it was begun with.
     *
     * @param rows the number of rows, at least 1
     * @return this job
     * @throws IllegalArgumentException if the number is less than 1 or more than 32,768
     */
    public FeatureJob unitRows(long rows) {
        if (rows < 1 || rows > MOST_UNIT_ROWS)
            throw new IllegalArgumentException("a unit has 1 to " + MOST_UNIT_ROWS + " rows, not " + rows);
        unitRows = rows;
        return this;
    }

    /**
     * Sets the number of rows that run together on a GPU.
     *
     * @param rows the number of rows, at least 1; the CPU ignores it
     * @return this job
     * @throws IllegalArgumentException if the number is less than 1
     */
    public FeatureJob rowsAtOnce(int rows) {
        if (rows < 1) throw new IllegalArgumentException("at least one row runs at once, not " + rows);
        rowsAtOnce = rows;
        return this;
    }

    /**
     * Sets a listener that is notified of progress on the driver.
     *
     * @param listener called with the number of rows that are done, when a unit is
     * @return this job
     */
    public FeatureJob progress(LongConsumer listener) {
        progress = listener;
        return this;
    }

    /**
     * Collects the rows that the folder lacks.
     *
     * @param rows   the rows
     * @param text   a description of the text, which the folder keeps
     * @param folder the URI of the folder, which need not exist, in a file system that driver and executors reach
     * @return the features in the folder
     * @throws InputException if the folder holds other features, is being written by another job, is damaged or cannot
     *     be written; if an executor cannot load the model and the SAE, or has another instruction set than the rows
     *     that are there
     */
    public CollectedFeatures collect(TokenRows rows, String text, String folder) {
        HadoopFiles files = HadoopFiles.at(folder);
        JavaSparkContext spark = JavaSparkContext.fromSparkContext(rows.rdd().context());
        HadoopFiles units = files.within(UNITS);
        UnitTask task = new UnitTask(names, text, rows.context(), rowsAtOnce, features, chosenOnly, units.toString());
        try (JobLock lock = JobLock.take(spark, files)) {
            JobPlan plan = new JobPlan(identity(spark, task), rows.fingerprint(), rows.rows(), unitRows(spark, rows))
                    .in(files);
            Map<Unit, UnitFiles> done = new TreeMap<>((a, b) -> Long.compare(a.first(), b.first()));
            List<Unit> missing = new ArrayList<>();
            for (Unit unit : plan.units()) {
                UnitFiles there = UnitFiles.read(units, unit);
                if (there == null || !there.isThere(units)) missing.add(unit);
                else done.put(unit, there);
            }
            lock.requireHeld();
            sweep(units, done);
            Map<String, CollectedFeatures.Share> shares = new TreeMap<>();
            if (!missing.isEmpty()) run(spark, rows, task, plan, missing, done, shares, lock);
            lock.requireHeld();
            sweep(units, done);
            return new CollectedFeatures(
                    spark,
                    names,
                    text,
                    files,
                    plan,
                    List.copyOf(done.values()),
                    rows.context(),
                    features,
                    chosenOnly,
                    shares);
        }
    }

    private long unitRows(JavaSparkContext spark, TokenRows rows) {
        if (unitRows > 0) return unitRows;
        long even = Math.ceilDiv(rows.rows(), (long) UNITS_A_SLOT * spark.defaultParallelism());
        return Math.min(MOST_UNIT_ROWS, Math.ceilDiv(even, SHARD_ROWS) * SHARD_ROWS);
    }

    /** {@return the entries of the identity of the rows, as an executor has it} */
    private Map<String, String> identity(JavaSparkContext spark, UnitTask task) {
        Map<String, String> entries = Jobs.described(
                spark.sc(),
                "Loading " + names.saeName(),
                () -> spark.parallelize(List.of(0), 1)
                        .map(_ -> new LinkedHashMap<>(task.identity().entries()))
                        .first());
        if (features != null && !chosenOnly)
            entries.put(
                    "neurons",
                    Arrays.stream(features).mapToObj(Integer::toString).collect(Collectors.joining(",")));
        return entries;
    }

    private void run(
            JavaSparkContext spark,
            TokenRows rows,
            UnitTask task,
            JobPlan plan,
            List<Unit> missing,
            Map<Unit, UnitFiles> done,
            Map<String, CollectedFeatures.Share> shares,
            JobLock lock) {
        HadoopFiles units = HadoopFiles.at(task.folder());
        ByUnit byUnit = new ByUnit(
                plan.unitRows(), missing.stream().mapToLong(Unit::first).toArray());
        JavaPairRDD<Long, int[]> wanted =
                rows.rdd().filter(row -> byUnit.has(row._1)).partitionBy(byUnit);
        List<Unit> ordered = List.copyOf(missing);
        long[] count = {done.keySet().stream().mapToLong(Unit::rows).sum()};
        String description = "Collecting features of " + names.saeName() + ": " + missing.size() + " units of "
                + plan.unitRows() + " rows";
        Jobs.described(spark.sc(), description, () -> {
            Jobs.run(
                    wanted,
                    (context, some) -> task.run(ordered.get(context.partitionId()), some),
                    (_, found) -> {
                        requireIdentity(found, plan);
                        lock.requireHeld();
                        UnitFiles files = found.files();
                        units.put(UnitFiles.marker(files.unit()), files.toJson());
                        done.put(files.unit(), files);
                        shares.merge(
                                found.executor(),
                                new CollectedFeatures.Share(files.unit().rows() * rows.context(), found.seconds()),
                                CollectedFeatures.Share::plus);
                        progress.accept(count[0] += files.unit().rows());
                    },
                    UnitTask.Done.class);
            return null;
        });
    }

    private static void requireIdentity(UnitTask.Done found, JobPlan plan) {
        String difference = JobPlan.difference(found.identity(), withoutNeurons(plan.identity()));
        if (!difference.isEmpty())
            throw new InputException("executor " + found.executor() + " computes other numbers: " + difference
                    + ". Executors of one job should have one kind of device, one instruction set (the environment"
                    + " variable ATEN_CPU_CAPABILITY=avx2 sets it on all of them) and one version of the library.");
    }

    private static Map<String, String> withoutNeurons(Map<String, String> identity) {
        Map<String, String> entries = new HashMap<>(identity);
        entries.remove("neurons");
        return entries;
    }

    /** Deletes what attempts left that do not count. The lock is held, so that no other job writes there. */
    private static void sweep(HadoopFiles units, Map<Unit, UnitFiles> done) {
        Map<String, String> counting = new HashMap<>();
        done.values().forEach(files -> counting.put(files.unit().toString(), files.attempt()));
        units.deleteParts();
        for (FileStatus unit : units.list()) {
            if (!unit.isDirectory()) continue;
            String name = unit.getPath().getName();
            Set<String> left = new HashSet<>();
            for (FileStatus attempt : units.within(name).list())
                left.add(attempt.getPath().getName());
            left.remove(counting.get(name));
            for (String attempt : left) units.delete(name + "/" + attempt);
        }
    }

    /** Sends the rows of each missing unit to a partition of its own. */
    private static final class ByUnit extends Partitioner {
        private static final long serialVersionUID = 1L;
        private final long unitRows;
        private final long[] firsts;

        ByUnit(long unitRows, long[] firsts) {
            this.unitRows = unitRows;
            this.firsts = firsts;
        }

        boolean has(long row) {
            return place(row) >= 0;
        }

        private int place(long row) {
            return Arrays.binarySearch(firsts, row / unitRows * unitRows);
        }

        @Override
        public int numPartitions() {
            return firsts.length;
        }

        @Override
        public int getPartition(Object row) {
            return place((Long) row);
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof ByUnit that && unitRows == that.unitRows && Arrays.equals(firsts, that.firsts);
        }

        @Override
        public int hashCode() {
            return Arrays.hashCode(firsts);
        }
    }
}
