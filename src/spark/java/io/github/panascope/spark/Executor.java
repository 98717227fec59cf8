package io.github.panascope.spark;

import io.github.panascope.dashboard.StoreIdentity;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Architecture;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.TensorScope;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.TaskContext;
import org.apache.spark.util.TaskCompletionListener;

/**
 * What an executor's JVM loads once for all tasks: models and SAEs with their weights. They stay for later jobs, until
 * a task needs others while no task uses them. What the driver loads for itself stays until its JVM ends.
 */
final class Executor {
    private static final Map<Key, Loaded> LOADED = new HashMap<>();

    private Executor() {}

    private record Key(ModelAndSae names, Device device) {}

    /** A model and its SAE, ready to run. Any number of tasks may use them at once. */
    static final class Loaded {
        private final ModelAndSae names;
        private final HookedTransformer model;
        private final Sae sae;
        private final Sae shown;
        private final Map<String, StoreIdentity> identities = new ConcurrentHashMap<>();
        /** The attempts of tasks that use it. */
        private final Set<Long> tasks = new HashSet<>();

        private boolean usedByDriver;

        private Loaded(ModelAndSae names, HookedTransformer model, Sae sae) {
            this.names = names;
            this.model = model;
            this.sae = sae;
            this.shown = folds() ? sae.foldWDecNorm() : sae;
        }

        HookedTransformer model() {
            return model;
        }

        /** {@return the SAE as it was published} */
        Sae sae() {
            return sae;
        }

        /**
         * {@return whether dashboards show features after folding the decoder norms; scaling a TopK SAE's features
         * would change which are the k largest}
         */
        boolean folds() {
            return sae.config().architecture() != Architecture.TOPK
                    || sae.config().rescaleActsByDecoderNorm();
        }

        /** {@return the SAE whose features dashboards show} */
        Sae shown() {
            return shown;
        }

        private void close() {
            if (shown != sae) shown.close();
            sae.close();
            model.close();
        }

        /**
         * Returns the identity of rows of features, computed once for a text, because it reads all weights. Model and
         * SAE have the names that the job gives them, not the places where this machine keeps copies.
         */
        StoreIdentity identity(String text, int context, int rowsAtOnce) {
            return identities.computeIfAbsent(text + "\n" + context + " " + rowsAtOnce, _ -> {
                Map<String, String> entries =
                        new LinkedHashMap<>(StoreIdentity.of(model, shown, text, context, rowsAtOnce)
                                .entries());
                entries.put("model", names.modelName(sae));
                entries.put("sae", names.saeName());
                return new StoreIdentity(entries);
            });
        }
    }

    /**
     * Returns the model and the SAE on the device of the calling task, which may use them until it ends. The first task
     * of a JVM loads them while others wait.
     */
    static Loaded load(ModelAndSae names) {
        return load(names, names.deviceOfTask());
    }

    /** Returns the model and the SAE on the CPU, for the driver. */
    static Loaded onDriver(ModelAndSae names) {
        return load(names, Device.CPU);
    }

    private static Loaded load(ModelAndSae names, Device device) {
        Key key = new Key(names, device);
        synchronized (LOADED) {
            Loaded found = LOADED.get(key);
            if (found == null) {
                closeUnused();
                found = open(names, device);
                LOADED.put(key, found);
            }
            use(found);
            return found;
        }
    }

    private static Loaded open(ModelAndSae names, Device device) {
        try (var _ = TensorScope.open()) {
            Sae sae = names.loadSae(device);
            try {
                HookedTransformer model = names.loadModel(device, sae);
                try {
                    sae.requireFits(model);
                    return new Loaded(names, model, sae);
                } catch (RuntimeException | Error e) {
                    model.close();
                    throw e;
                }
            } catch (RuntimeException | Error e) {
                sae.close();
                throw e;
            }
        }
    }

    /** Notes that the calling task uses weights, until it ends. */
    private static void use(Loaded loaded) {
        TaskContext task = TaskContext.get();
        if (task == null) loaded.usedByDriver = true;
        else if (loaded.tasks.add(task.taskAttemptId())) {
            TaskCompletionListener ends = ended -> {
                synchronized (LOADED) {
                    loaded.tasks.remove(ended.taskAttemptId());
                }
            };
            task.addTaskCompletionListener(ends);
        }
    }

    private static void closeUnused() {
        LOADED.values().removeIf(loaded -> {
            if (loaded.usedByDriver || !loaded.tasks.isEmpty()) return false;
            loaded.close();
            return true;
        });
    }

    /** {@return how many models with their SAEs this JVM holds} */
    static int held() {
        synchronized (LOADED) {
            return LOADED.size();
        }
    }

    /** {@return the number of threads that the calling task may use: spark.task.cpus} */
    static int threads() {
        TaskContext task = TaskContext.get();
        return task == null ? 1 : task.cpus();
    }
}
