package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Device;
import java.util.Locale;
import picocli.CommandLine.Option;

/** The options for the model, the SAE and the device, shared by all commands. */
final class ModelOptions {
    /** The values of --processing. */
    enum Processing {
        DEFAULT,
        NONE,
        CENTERED;

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    @Option(
            names = "--model",
            paramLabel = "ID|DIR",
            description =
                    "TransformerLens name, hub id, or folder of config.json and model.safetensors, also a URI such"
                            + " as hdfs://nn/gpt2 (default: the demo's, or what the SAE names)")
    private String model;

    @Option(
            names = "--sae",
            paramLabel = "RELEASE/SAE_ID|DIR",
            description =
                    "such as gpt2-small-res-jb/blocks.8.hook_resid_pre, OWNER/REPO/PATH on the hub, or a folder of"
                            + " cfg.json and sae_weights.safetensors, also a URI (default: the demo's)")
    private String sae;

    @Option(
            names = "--device",
            paramLabel = "auto|cpu|cuda|cuda:N",
            defaultValue = "auto",
            description = "default: the GPU that Spark assigns to a task, else the CPU")
    private String device;

    @Option(
            names = "--dtype",
            paramLabel = "float32|bfloat16",
            defaultValue = "float32",
            description = "of the model and the SAE (default: ${DEFAULT-VALUE})")
    private String dtype;

    @Option(
            names = "--exact",
            description =
                    "goes step by step as TransformerLens does, without fused operators and shortcuts: slower, and the"
                            + " same but for rounding")
    private boolean exact;

    @Option(
            names = "--processing",
            paramLabel = "default|none|centered",
            defaultValue = "default",
            description = "TransformerLens's weight processing (default: all of it)")
    private Processing processing;

    @Option(names = "--debug", description = "show stack traces")
    private boolean debug;

    @Option(names = "--quiet", description = "no progress and no comments")
    private boolean quiet;

    /**
     * {@return the names of the model and the SAE}
     *
     * @throws InputException if an option has a value that cannot be used
     */
    ModelAndSae names() {
        if (sae == null && model != null)
            throw new InputException("--model is given without --sae: name the SAE that belongs to it.");
        if (!dtype.equals("float32") && !dtype.equals("bfloat16"))
            throw new InputException("--dtype should be float32 or bfloat16, not '" + dtype + "'.");
        try {
            if (!device.equalsIgnoreCase("auto")) Device.parse(device);
        } catch (IllegalArgumentException e) {
            throw new InputException("--device should be auto, cpu or cuda (or cuda:1), not '" + device + "'.", e);
        }
        return new ModelAndSae(model, sae, dtype, processing.toString(), exact, device.toLowerCase(Locale.ROOT));
    }

    boolean demo() {
        return model == null && sae == null;
    }

    boolean quiet() {
        return quiet;
    }

    void print(String text) {
        if (!quiet) System.out.println(text);
    }

    /** Loads the model and the SAE for the driver, and says what they are. */
    Executor.Loaded load(ModelAndSae names) {
        Executor.Loaded loaded = Executor.onDriver(names);
        Sae found = loaded.sae();
        print("SAE: " + names.saeName() + " (" + found.config().architecture() + ", d_in "
                + found.config().dIn() + ", d_sae " + found.config().dSae() + ", hook "
                + found.config().hookName()
                + (found.config().hookNameOut().equals(found.config().hookName())
                        ? ""
                        : " to " + found.config().hookNameOut())
                + ")");
        found.advice().forEach(this::print);
        print("Loaded pretrained model " + names.modelName(found) + " into HookedTransformer");
        loaded.model().advice().forEach(this::print);
        return loaded;
    }
}
