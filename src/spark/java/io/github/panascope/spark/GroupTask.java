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
import java.util.ArrayList;
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

    /** The dashboards' maker of this JVM, for the task that it was made for; all tasks of a job use it. */
    private static GroupTask madeFor;

    private static Dashboards maker;

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
        synchronized (GroupTask.class) {
            if (madeFor == null || !madeFor.target.equals(target)) {
                Executor.Loaded loaded = Executor.load(names);
                FeatureStore store = FeatureStore.readJoined(here());
                maker = Dashboards.of(loaded.model(), loaded.shown(), store, config);
                madeFor = this;
            }
            return maker;
        }
    }

    /** Returns the folders of all units: in place if the file system is local or mounted, else copied to this disk. */
    private List<Path> here() {
        HadoopFiles files = HadoopFiles.at(folder);
        List<Path> folders = new ArrayList<>();
        Path copies = files.isLocal() ? null : UnitTask.scratch("units");
        for (UnitFiles unit : units) {
            HadoopFiles attempt = files.within(unit.unit() + "/" + unit.attempt());
            Path place = copies == null
                    ? attempt.local()
                    : copies.resolve(unit.unit().toString());
            if (copies != null)
                for (HadoopFiles.Entry file : unit.files()) attempt.fetch(file, place.resolve(file.name()));
            folders.add(place);
        }
        return folders;
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
