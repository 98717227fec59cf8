package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.demo.DemoBundle;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.model.WeightProcessing;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import java.io.Serializable;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import org.apache.spark.TaskContext;
import org.apache.spark.resource.ResourceInformation;
import org.jspecify.annotations.Nullable;

/**
 * The names of a model and an SAE, and how they are loaded. A job carries the names; each executor loads the weights
 * once, from its own disk, a folder that all machines see, or a Hadoop file system. Weights are never sent with a task.
 *
 * @param model      a TransformerLens name, a hub id, a folder, or the URI of a folder such as {@code hdfs://nn/gpt2};
 *     null for the model that the SAE names, or the demo's if there is no SAE either
 * @param sae        a release and an SAE id, a folder, or the URI of a folder; null for the demo's
 * @param dtype      {@code float32} or {@code bfloat16}
 * @param processing {@code default}, {@code none} or {@code centered}: the processing of the model's weights
 * @param exact      true to run step by step, see {@link HookedTransformer#exact}
 * @param device     {@code auto} for the GPU that Spark assigned to a task, or else the CPU; or the name of a device
 */
public record ModelAndSae(
        @Nullable String model, @Nullable String sae, String dtype, String processing, boolean exact, String device)
        implements Serializable {
    /** The model and the SAE of the demo, which need no download. */
    public static final ModelAndSae DEMO = new ModelAndSae(null, null, "float32", "default", false, "auto");

    private static final String GPU = "gpu";

    /**
     * Checks the values.
     *
     * @throws InputException if a model is given without an SAE, or a value is none of those listed
     */
    public ModelAndSae {
        if (model != null && sae == null)
            throw new InputException(
                    "the model " + model + " is given without an SAE: name the SAE that belongs to it.");
        if (!dtype.equals("float32") && !dtype.equals("bfloat16"))
            throw new InputException("the dtype should be float32 or bfloat16, not '" + dtype + "'.");
        steps(processing);
        Objects.requireNonNull(device, "the device should not be null: 'auto' chooses one");
    }

    /**
     * Names a published SAE and the model that it belongs to.
     *
     * @param sae a release and an SAE id such as {@code gpt2-small-res-jb/blocks.8.hook_resid_pre}, or a folder
     * @return the names, in float32 with the default processing
     */
    public static ModelAndSae of(String sae) {
        return of(null, sae);
    }

    /**
     * Names a model and an SAE.
     *
     * @param model the model; null for the one that the SAE names
     * @param sae   the SAE
     * @return the names, in float32 with the default processing
     */
    public static ModelAndSae of(@Nullable String model, String sae) {
        return new ModelAndSae(model, sae, "float32", "default", false, "auto");
    }

    /**
     * Returns these names with weights of another dtype.
     *
     * @param other {@code float32} or {@code bfloat16}
     * @return the names
     * @throws InputException if it is another one
     */
    public ModelAndSae dtype(String other) {
        return new ModelAndSae(model, sae, other, processing, exact, device);
    }

    /**
     * Returns these names with another processing of the model's weights.
     *
     * @param other {@code default}, {@code none} or {@code centered}
     * @return the names
     * @throws InputException if it is another one
     */
    public ModelAndSae processing(String other) {
        return new ModelAndSae(model, sae, dtype, other, exact, device);
    }

    /**
     * Returns these names for a model and an SAE that run step by step, or for ones that do not.
     *
     * @param other true to run step by step
     * @return the names
     */
    public ModelAndSae exact(boolean other) {
        return new ModelAndSae(model, sae, dtype, processing, other, device);
    }

    /**
     * Returns these names with another device.
     *
     * @param other {@code auto}, {@code cpu}, {@code cuda}, {@code cuda:1} and so on
     * @return the names
     */
    public ModelAndSae device(String other) {
        return new ModelAndSae(model, sae, dtype, processing, exact, other);
    }

    /** {@return whether both are the demo's} */
    public boolean isDemo() {
        return sae == null;
    }

    /** {@return the name of the SAE for pages and messages} */
    String saeName() {
        return isDemo() ? "demo" : sae;
    }

    /** {@return the name of the model for pages and messages} */
    String modelName(Sae loaded) {
        return model != null
                ? model
                : isDemo() ? "demo" : String.valueOf(loaded.config().modelAtRevision());
    }

    private static WeightProcessing steps(String processing) {
        return switch (processing.toLowerCase(Locale.ROOT)) {
            case "default" -> WeightProcessing.DEFAULT;
            case "none" -> WeightProcessing.NONE;
            case "centered" -> WeightProcessing.CENTERED;
            default ->
                throw new InputException(
                        "the processing should be default, none or centered, not '" + processing + "'.");
        };
    }

    /**
     * Returns the device of the calling task: the GPU that Spark assigned to it, or else the CPU, unless another one is
     * named.
     *
     * @throws InputException if the device cannot be used on this machine
     */
    Device deviceOfTask() {
        Device chosen;
        if (device.equalsIgnoreCase("auto")) {
            ResourceInformation gpu = assigned().get(GPU);
            chosen = gpu == null || gpu.addresses().length == 0
                    ? Device.CPU
                    : Device.parse("cuda:" + gpu.addresses()[0]);
        } else {
            try {
                chosen = Device.parse(device);
            } catch (IllegalArgumentException e) {
                throw new InputException("the device should be auto, cpu, cuda or cuda:N, not '" + device + "'.", e);
            }
        }
        try {
            chosen.requireUsable();
        } catch (IllegalArgumentException e) {
            throw new InputException("the device " + chosen + " cannot be used here: " + e.getMessage() + ".", e);
        }
        return chosen;
    }

    private static Map<String, ResourceInformation> assigned() {
        TaskContext task = TaskContext.get();
        return task == null ? Map.of() : task.resourcesJMap();
    }

    /** Loads the SAE on a device; the caller closes it. */
    Sae loadSae(Device on) {
        return Sae.fromPretrained(
                isDemo() ? DemoBundle.find().sae() : LocalFolders.of(sae),
                Sae.Options.DEFAULT.device(on).dtype(DType.ofName(dtype)).exact(exact));
    }

    /** Loads the model on a device; the caller closes it. */
    HookedTransformer loadModel(Device on, Sae loaded) {
        String name = model != null
                ? LocalFolders.of(model)
                : isDemo() ? DemoBundle.find().model() : loaded.config().modelAtRevision();
        if (name == null)
            throw new InputException("the SAE " + sae + " does not say which model it belongs to: name it.");
        return HookedTransformer.fromPretrained(
                name,
                HookedTransformer.Options.DEFAULT
                        .processing(steps(processing))
                        .device(on)
                        .dtype(DType.ofName(dtype))
                        .exact(exact));
    }
}
