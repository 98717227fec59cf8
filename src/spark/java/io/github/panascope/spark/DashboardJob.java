package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.dashboard.DashboardConfig;
import io.github.panascope.dashboard.DashboardFacts;
import io.github.panascope.dashboard.DashboardPage;
import io.github.panascope.dashboard.DashboardSinks;
import io.github.panascope.dashboard.FeatureDashboard;
import io.github.panascope.dashboard.FeatureTable;
import io.github.panascope.dashboard.NeuronpediaBatches;
import io.github.panascope.dashboard.SaeDashboardJson;
import io.github.panascope.sae.Neuronpedia;
import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.PushbackInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.UUID;
import java.util.function.LongConsumer;
import java.util.stream.Stream;
import org.apache.spark.api.java.JavaSparkContext;
import org.jspecify.annotations.Nullable;

/**
 * Makes dashboards of collected features on the executors, a group of features in each task, and writes them as a page,
 * as JSON, in Neuronpedia's batches or as a table. The bytes are those that one machine writes. Every executor that
 * makes dashboards has the folder of features on its disk, unless that is mounted there, and holds a group of features
 * in memory. The driver passes the dashboards, one after another, to the files, so that its memory does not grow with
 * the number of features.
 *
 * <pre>{@code
 * static void write(CollectedFeatures features) {
 *     DashboardJob.of(features)
 *             .features(0, 1, 14057)
 *             .page("hdfs:///features/page.html")
 *             .table("hdfs:///features/table.parquet")
 *             .write();
 * }
 * }</pre>
 */
public final class DashboardJob {
    /** The features of a task: their sums take 12.6 MB for 1,024 features and 768 dimensions. */
    private static final int MOST_IN_GROUP = 1024;

    private static final int GROUPS_A_SLOT = 4;

    private final CollectedFeatures collected;
    private DashboardConfig config = DashboardConfig.DEFAULT;
    private int[] features;
    private String dataset;
    private @Nullable String page, json, neuronpedia, table;
    private LongConsumer progress = _ -> {};

    private DashboardJob(CollectedFeatures collected) {
        this.collected = collected;
        this.features = collected.features();
        this.dataset = collected.text();
    }

    /**
     * Prepares dashboards of all features that were collected with their sums.
     *
     * @param collected the features
     * @return the job
     */
    public static DashboardJob of(CollectedFeatures collected) {
        return new DashboardJob(collected);
    }

    /**
     * Sets the features whose dashboards are made.
     *
     * @param chosen the features, in any order; repetitions are ignored
     * @return this job
     */
    public DashboardJob features(int... chosen) {
        features = Arrays.stream(chosen).distinct().sorted().toArray();
        return this;
    }

    /**
     * Sets the contents of the dashboards.
     *
     * @param contents the contents
     * @return this job
     */
    public DashboardJob config(DashboardConfig contents) {
        config = contents;
        return this;
    }

    /**
     * Sets the name of the dataset that Neuronpedia's batches carry. The default is the description of the text.
     *
     * @param name the name
     * @return this job
     */
    public DashboardJob dataset(String name) {
        dataset = name;
        return this;
    }

    /**
     * Writes an HTML page, see {@link DashboardPage}.
     *
     * @param uri the file, in any Hadoop file system that the driver reaches; one that is there is replaced
     * @return this job
     */
    public DashboardJob page(@Nullable String uri) {
        page = uri;
        return this;
    }

    /**
     * Writes a file as SAEDashboard's {@code save_json} does, see {@link SaeDashboardJson}.
     *
     * @param uri the file, in any Hadoop file system that the driver reaches; one that is there is replaced
     * @return this job
     */
    public DashboardJob json(@Nullable String uri) {
        json = uri;
        return this;
    }

    /**
     * Writes files {@code batch-N.json} as Neuronpedia takes them, see {@link NeuronpediaBatches}.
     *
     * @param uri the folder, in any Hadoop file system that the driver reaches; later batches there are deleted
     * @return this job
     */
    public DashboardJob neuronpedia(@Nullable String uri) {
        neuronpedia = uri;
        return this;
    }

    /**
     * Writes a row for each feature as Parquet, see {@link FeatureTable}.
     *
     * @param uri the file, in any Hadoop file system that the driver reaches; one that is there is replaced
     * @return this job
     */
    public DashboardJob table(@Nullable String uri) {
        table = uri;
        return this;
    }

    /**
     * Sets a listener that is notified of progress on the driver.
     *
     * @param listener called with the number of features whose dashboards are made
     * @return this job
     */
    public DashboardJob progress(LongConsumer listener) {
        progress = listener;
        return this;
    }

    /**
     * Makes the dashboards and writes them.
     *
     * @throws InputException if a file cannot be written; if the folder of features is damaged or holds more than 2^31
     *     - 1 positions; if it keeps no sums of a feature, or only chosen features while correlated ones are looked for
     *     among all
     */
    public void write() {
        require();
        JavaSparkContext spark = collected.spark();
        HadoopFiles made = collected.files().within("dashboards-" + UUID.randomUUID());
        GroupTask task = new GroupTask(
                collected.names(),
                collected.units(),
                collected.files().within(FeatureJob.UNITS).toString(),
                config,
                features,
                made.toString());
        List<int[]> groups = groups(spark);
        String description = "Dashboards of " + features.length + " features in " + groups.size() + " groups";
        try {
            long[] count = {0};
            GroupTask.Done[] done = new GroupTask.Done[groups.size()];
            Jobs.described(spark.sc(), description, () -> {
                Jobs.run(
                        spark.parallelize(groups, groups.size()),
                        (_, some) -> task.run(some.iterator().next()),
                        (group, found) -> {
                            done[group] = found;
                            progress.accept(count[0] += groups.get(group).length);
                        },
                        GroupTask.Done.class);
                return null;
            });
            write(made, done);
        } finally {
            made.deleteQuietly();
        }
    }

    private void require() {
        if (page == null && json == null && neuronpedia == null && table == null)
            throw new InputException("there is nothing to write: name a page, or another output.");
        requirePositions(collected.rows(), collected.context());
        if (features.length == 0) throw new InputException("there is no feature to make a dashboard of: choose some.");
        int[] summed = collected.features();
        for (int feature : features)
            if (Arrays.binarySearch(summed, feature) < 0)
                throw new InputException(collected.folder() + " keeps no sums of feature " + feature
                        + ": collect the features into another folder, with this one among those that are chosen.");
        if (collected.chosenOnly() && config.correlatedFeatures() == DashboardConfig.CorrelationScope.ALL)
            throw new InputException(collected.folder()
                    + " keeps the chosen features alone: correlated ones can only be" + " looked for among these.");
    }

    /**
     * Checks that dashboards can be made of so many positions.
     *
     * @throws InputException if they are too many
     */
    static void requirePositions(long rows, int context) {
        if (rows * context > Integer.MAX_VALUE)
            throw new InputException(rows + " rows of " + context + " tokens are " + rows * context
                    + " positions, and dashboards are made of at most " + Integer.MAX_VALUE
                    + ": take a part of the corpus.");
    }

    private List<int[]> groups(JavaSparkContext spark) {
        int even = Math.ceilDiv(features.length, GROUPS_A_SLOT * spark.defaultParallelism());
        int size = Math.clamp(even, 1, MOST_IN_GROUP);
        List<int[]> groups = new ArrayList<>();
        for (int start = 0; start < features.length; start += size)
            groups.add(Arrays.copyOfRange(features, start, Math.min(features.length, start + size)));
        return groups;
    }

    private void write(HadoopFiles made, GroupTask.Done[] done) {
        Executor.Loaded loaded = Executor.onDriver(collected.names());
        DashboardFacts head = new DashboardFacts(
                collected.names().modelName(loaded.sae()),
                collected.names().saeName(),
                loaded.sae().config(),
                collected.text(),
                loaded.folds(),
                config);
        Map<String, String> facts = head.of(collected.rows(), collected.context(), done[0].excluded());
        Outputs outputs = new Outputs();
        try (DashboardSinks sinks = new DashboardSinks()) {
            var tokenizer = loaded.model().tokenizer();
            if (table != null) sinks.add(FeatureTable.open(outputs.file(table), tokenizer, facts));
            if (json != null) sinks.add(SaeDashboardJson.open(outputs.file(json)));
            if (neuronpedia != null)
                sinks.add(NeuronpediaBatches.open(
                        outputs.folder(neuronpedia),
                        loaded.shown().config(),
                        tokenizer,
                        Math.toIntExact(collected.rows()),
                        collected.context(),
                        dataset));
            if (page != null)
                sinks.add(DashboardPage.open(
                        outputs.file(page),
                        new DashboardPage.Header(
                                head.title(),
                                facts,
                                Neuronpedia.featurePages(loaded.shown().config())
                                        .orElse(null)),
                        tokenizer));
            try (Reading dashboards = new Reading(made, done)) {
                DashboardSinks.replay(dashboards, Runtime.getRuntime().availableProcessors(), sinks);
            }
            outputs.put();
        } finally {
            outputs.delete();
        }
    }

    /** The files and folders that are written: in place where they are local, else copied at the end. */
    private static final class Outputs {
        private final List<Runnable> copies = new ArrayList<>();
        private Path scratch;

        Path file(String uri) {
            return place(uri, false);
        }

        Path folder(String uri) {
            return place(uri, true);
        }

        private Path place(String uri, boolean isFolder) {
            HadoopFiles target = HadoopFiles.at(uri);
            if (target.isLocal()) return target.local();
            if (scratch == null) scratch = UnitTask.scratch("outputs");
            Path local = scratch.resolve(Integer.toString(copies.size()));
            copies.add(isFolder ? () -> putAll(local, target) : () -> target.put(local, ""));
            return local;
        }

        private static void putAll(Path from, HadoopFiles target) {
            try (Stream<Path> files = Files.list(from)) {
                List<Path> sorted = files.sorted().toList();
                for (Path file : sorted) target.put(file, file.getFileName().toString());
                for (int later = sorted.size(); target.size("batch-" + later + ".json") >= 0; later++)
                    target.delete("batch-" + later + ".json");
            } catch (IOException e) {
                throw new InputException(from + " cannot be read: " + InputException.reason(e) + ".", e);
            }
        }

        void put() {
            copies.forEach(Runnable::run);
        }

        void delete() {
            if (scratch != null) UnitTask.delete(scratch);
        }
    }

    /** The dashboards of all groups, one after another; one file at a time is on the driver's disk. */
    private static final class Reading implements Iterator<FeatureDashboard>, AutoCloseable {
        private final HadoopFiles made;
        private final GroupTask.Done[] done;
        private final Path scratch = UnitTask.scratch("reading");
        private int next;
        private @Nullable PushbackInputStream bytes;
        private @Nullable DataInputStream in;

        Reading(HadoopFiles made, GroupTask.Done[] done) {
            this.made = made;
            this.done = done;
        }

        @Override
        public boolean hasNext() {
            try {
                while (true) {
                    if (bytes != null) {
                        int first = bytes.read();
                        if (first >= 0) {
                            bytes.unread(first);
                            return true;
                        }
                        bytes.close();
                        bytes = null;
                    }
                    if (next == done.length) return false;
                    Path file = scratch.resolve("group");
                    made.fetch(done[next++].file(), file);
                    bytes = new PushbackInputStream(new BufferedInputStream(Files.newInputStream(file), 1 << 16));
                    in = new DataInputStream(bytes);
                }
            } catch (IOException e) {
                throw cannot(e);
            }
        }

        @Override
        public FeatureDashboard next() {
            if (!hasNext()) throw new NoSuchElementException();
            try {
                return FeatureDashboard.readFrom(in);
            } catch (IOException e) {
                throw cannot(e);
            }
        }

        private InputException cannot(IOException e) {
            return new InputException(
                    made + " cannot be read: "
                            + (e instanceof EOFException ? "it ends early" : InputException.reason(e)) + ".",
                    e);
        }

        @Override
        public void close() {
            try {
                if (bytes != null) bytes.close();
            } catch (IOException e) {
                // nothing is written to it
            }
            UnitTask.delete(scratch);
        }
    }
}
