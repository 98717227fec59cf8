package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.dashboard.DashboardConfig;
import io.github.panascope.dashboard.DashboardSink;
import io.github.panascope.dashboard.Dashboards;
import io.github.panascope.dashboard.FeatureDashboard;
import io.github.panascope.dashboard.FeatureStore;
import io.github.panascope.torch.TensorScope;
import java.io.BufferedOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.Serializable;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.spark.TaskContext;

/**
 * What a task does for a group of features: it makes their dashboards from all units, which the executor has on its
 * disk, and writes them to a file that the driver reads.
 *
 * @param names  the model and the SAE
 * @param units  the files of all units
 * @param folder the URI of the folder of all units
 * @param config the contents of the dashboards
 * @param chosen all features whose dashboards are made, by this task or others
 * @param target the URI of the folder for the files of all groups
 */
record GroupTask(
        ModelAndSae names, List<UnitFiles> units, String folder, DashboardConfig config, int[] chosen, String target)
        implements Serializable {
    /**
     * What a task did.
     *
     * @param file     the file with the dashboards of the group
     * @param excluded the number of positions at which features count as zero
     */
    record Done(HadoopFiles.Entry file, int excluded) implements Serializable {}

    /** The dashboards' maker of this JVM, for the job and the weights that it was made for. */
    private record Maker(String target, Executor.Loaded loaded, Dashboards dashboards) {}

    private static Maker maker;

    /** Copies of units on this executor's disk, for later jobs on them. */
    private record Copies(String folder, List<UnitFiles> units, Path scratch) {}

    private static Copies copies;

    Done run(int[] group) {
        Dashboards dashboards = maker();
        Path scratch = UnitTask.scratch("dashboards");
        try (var _ = TensorScope.open()) {
            Path file = scratch.resolve("group");
            try (Writing sink = new Writing(file)) {
                dashboards.forEach(group, chosen, Executor.threads(), sink);
            }
            String name = group[0] + "-" + TaskContext.get().taskAttemptId();
            return new Done(HadoopFiles.at(target).put(file, name), dashboards.excluded());
        } finally {
            UnitTask.delete(scratch);
        }
    }

    /** Returns the maker of dashboards; the first task of a job reads all activations once. */
    private Dashboards maker() {
        Executor.Loaded loaded = Executor.load(names);
        synchronized (GroupTask.class) {
            if (maker == null || !maker.target.equals(target) || maker.loaded != loaded) {
                FeatureStore store = FeatureStore.readJoined(here());
                maker = new Maker(target, loaded, Dashboards.of(loaded.model(), loaded.shown(), store, config));
            }
            return maker.dashboards;
        }
    }

    /** Returns the folders of all units: in place if the file system is local or mounted, else copied to this disk. */
    private List<Path> here() {
        HadoopFiles files = HadoopFiles.at(folder);
        if (files.isLocal())
            return units.stream()
                    .map(unit ->
                            files.within(unit.unit() + "/" + unit.attempt()).local())
                    .toList();
        if (copies == null || !copies.folder.equals(folder) || !copies.units.equals(units)) {
            if (copies != null) UnitTask.delete(copies.scratch);
            copies = null;
            Path scratch = UnitTask.scratch("units");
            try {
                for (UnitFiles unit : units)
                    for (HadoopFiles.Entry file : unit.files())
                        files.within(unit.unit() + "/" + unit.attempt())
                                .fetch(file, place(scratch, unit).resolve(file.name()));
                copies = new Copies(folder, units, scratch);
            } finally {
                if (copies == null) UnitTask.delete(scratch);
            }
        }
        return units.stream().map(unit -> place(copies.scratch, unit)).toList();
    }

    private static Path place(Path scratch, UnitFiles unit) {
        return scratch.resolve(unit.unit().toString());
    }

    /** Writes dashboards one after another. */
    private static final class Writing implements DashboardSink {
        private final Path file;
        private final DataOutputStream out;

        Writing(Path file) {
            this.file = file;
            try {
                out = new DataOutputStream(new BufferedOutputStream(Files.newOutputStream(file), 1 << 16));
            } catch (IOException e) {
                throw cannot(e);
            }
        }

        @Override
        public void accept(FeatureDashboard dashboard) {
            TaskContext.get().killTaskIfInterrupted();
            try {
                dashboard.writeTo(out);
            } catch (IOException e) {
                throw cannot(e);
            }
        }

        @Override
        public void complete() {
            try {
                out.close();
            } catch (IOException e) {
                throw cannot(e);
            }
        }

        @Override
        public void close() {
            try {
                out.close();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        private InputException cannot(IOException e) {
            return new InputException(file + " cannot be written: " + InputException.reason(e) + ".", e);
        }
    }
}
