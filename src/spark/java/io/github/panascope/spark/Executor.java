package io.github.panascope.spark;

import io.github.panascope.dashboard.StoreIdentity;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Architecture;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.TensorScope;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.TaskContext;

/**
 * What an executor's JVM loads once for all tasks: models and SAEs with their weights. They stay until the JVM ends, as
 * later jobs of an application mostly use them again. On the driver it serves local mode and what the driver itself
 * needs.
 */
final class Executor {
    private static final Map<Key, Loaded> LOADED = new HashMap<>();

    private Executor() {}

    private record Key(ModelAndSae names, Device device) {}

    /** A model and its SAE, ready to run. Any number of tasks may use them at once. */
    static final class Loaded {
        private final HookedTransformer model;
        private final Sae sae;
        private final Sae shown;
        private final Map<String, StoreIdentity> identities = new ConcurrentHashMap<>();

        private Loaded(HookedTransformer model, Sae sae) {
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

        /** {@return the identity of rows of features, computed once for a text: it reads all weights} */
        StoreIdentity identity(String text, int context, int rowsAtOnce) {
            return identities.computeIfAbsent(
                    text + "\n" + context + " " + rowsAtOnce,
                    _ -> StoreIdentity.of(model, shown, text, context, rowsAtOnce));
        }
    }

    /**
     * Returns the model and the SAE on the device of the calling task; the first task of a JVM loads them while others
     * wait.
     */
    static Loaded load(ModelAndSae names) {
        return load(names, names.deviceOfTask());
    }

    /** Returns the model and the SAE on the CPU, for the driver. */
    static Loaded onDriver(ModelAndSae names) {
        return load(names, Device.CPU);
    }

    private static Loaded load(ModelAndSae names, Device device) {
        synchronized (LOADED) {
            return LOADED.computeIfAbsent(new Key(names, device), key -> {
                try (var _ = TensorScope.open()) {
                    Sae sae = names.loadSae(device);
                    HookedTransformer model = names.loadModel(device, sae);
                    sae.requireFits(model);
                    return new Loaded(model, sae);
                }
            });
        }
    }

    /** {@return the number of threads that the calling task may use: spark.task.cpus} */
    static int threads() {
        TaskContext task = TaskContext.get();
        return task == null ? 1 : task.cpus();
    }
}
