package io.github.panascope.cli;

import io.github.panascope.InputException;
import io.github.panascope.demo.DemoBundle;
import io.github.panascope.hub.Hub;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.model.WeightProcessing;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import picocli.CommandLine.Option;

/** The options for the model, the SAE and the device, shared by all commands that run a model. */
final class InputOptions {
    /** The values of --processing. */
    enum Processing {
        DEFAULT(WeightProcessing.DEFAULT),
        NONE(WeightProcessing.NONE),
        CENTERED(WeightProcessing.CENTERED);

        final WeightProcessing steps;

        Processing(WeightProcessing steps) {
            this.steps = steps;
        }

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    private static final String TUTORIAL_DATASET = "NeelNanda/pile-10k";

    @Option(
            names = "--model",
            paramLabel = "ID|DIR",
            description = "TransformerLens name, hub id, or folder of config.json and model.safetensors (default: the"
                    + " demo's, or what the SAE names)")
    private String model;

    @Option(
            names = "--sae",
            paramLabel = "RELEASE/SAE_ID|DIR",
            description =
                    "such as gpt2-small-res-jb/blocks.8.hook_resid_pre (`panascope saes` lists them), OWNER/REPO/PATH"
                            + " on the hub, or a folder of cfg.json and sae_weights.safetensors (default: the demo's)")
    private String sae;

    @Option(
            names = "--registry",
            paramLabel = "FILE",
            description = "releases of your own, in the format of SAELens's pretrained_saes.yaml")
    private Path registry;

    @Option(
            names = "--device",
            paramLabel = "auto|cpu|cuda|cuda:N|mps",
            defaultValue = "auto",
            description = "default: mps, else cuda, else cpu; cuda:1 is the second of several GPUs")
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

    @Option(names = "--debug", description = "show stack traces and skipped configuration keys")
    private boolean debug;

    @Option(names = "--quiet", description = "no progress and no comments")
    private boolean quiet;

    private Hub hub;
    /** The model, if it is loaded at the same time as the SAE; otherwise null. */
    private CompletableFuture<HookedTransformer> early;

    boolean quiet() {
        return quiet;
    }

    synchronized Hub hub() {
        if (hub == null) hub = Hub.fromEnvironment().reporting(new Downloads(quiet));
        return hub;
    }

    SaeRegistry registry() {
        return registry == null ? SaeRegistry.bundled() : SaeRegistry.bundled().with(registry);
    }

    boolean demo() {
        return model == null && sae == null;
    }

    /** {@return the local files from which the model, the SAE and the registry may be read} */
    List<Path> files() {
        List<Path> files = new ArrayList<>();
        if (demo()) {
            files.addAll(Outputs.readFrom(DemoBundle.find().model()));
            files.addAll(Outputs.readFrom(DemoBundle.find().sae()));
        }
        if (model != null) files.addAll(Outputs.readFrom(model));
        if (sae != null) files.addAll(Outputs.readFrom(sae));
        if (registry != null) files.add(registry);
        return files;
    }

    void print(String text) {
        if (!quiet) System.out.println(text);
    }

    /** Chooses the device, and prints it, with the reason if the CPU is chosen automatically. */
    Device chooseDevice() {
        Device chosen;
        try {
            chosen = device.equalsIgnoreCase("auto") ? Device.best() : Device.parse(device);
        } catch (IllegalArgumentException e) {
            throw new InputException("--device should be auto, cpu, cuda (or cuda:1) or mps, not '" + device + "'.", e);
        }
        try {
            chosen.requireUsable();
        } catch (IllegalArgumentException e) {
            throw new InputException("--device " + device + ": " + e.getMessage() + ".", e);
        }
        print("Device: " + chosen.toString().replace(":0", "")
                + (chosen.equals(Device.CPU) && device.equals("auto") ? " (" + whyNotCuda() + ")" : ""));
        return chosen;
    }

    private static String whyNotCuda() {
        try {
            Device.CUDA.requireUsable();
            return "";
        } catch (IllegalArgumentException e) {
            return e.getMessage();
        }
    }

    DType dtype() {
        DType chosen;
        try {
            chosen = DType.ofName(dtype);
        } catch (IllegalArgumentException e) {
            throw new InputException("--dtype should be float32 or bfloat16, not '" + dtype + "'.", e);
        }
        if (chosen != DType.FLOAT32 && chosen != DType.BFLOAT16)
            throw new InputException("--dtype should be float32 or bfloat16, not '" + dtype + "'.");
        return chosen;
    }

    /** Loads the SAE, and prints SAELens's advice if its authors use other processing of the model's weights. */
    Sae loadSae(Device device) {
        if (sae == null && model != null)
            throw new InputException("--model is given without --sae: name the SAE that belongs to it.");
        String known = model != null ? model : demo() ? DemoBundle.find().model() : null;
        if (known != null && Files.isDirectory(Path.of(known)))
            early = CompletableFuture.supplyAsync(
                    () -> fromPretrained(known, device, dtype()),
                    task -> Thread.ofPlatform().daemon().name("panascope-model").start(task));
        Sae loaded;
        try {
            loaded = saeIn(dtype(), device);
        } catch (RuntimeException | Error e) {
            if (early != null)
                early.thenAccept(HookedTransformer::close)
                        .exceptionally(_ -> null)
                        .join();
            throw e;
        }
        print("SAE: " + (demo() ? "demo" : sae) + " (" + loaded.config().architecture() + ", d_in "
                + loaded.config().dIn() + ", d_sae " + loaded.config().dSae() + ", hook "
                + loaded.config().hookName()
                + (loaded.config().hookNameOut().equals(loaded.config().hookName())
                        ? ""
                        : " to " + loaded.config().hookNameOut())
                + ")");
        if (!loaded.config().modelKwargs().unknown().isEmpty()) {
            print("This SAE's authors load its model with "
                    + loaded.config().modelKwargs().unknown() + ", which is not supported: its numbers may differ.");
        }
        if (model != null && !loaded.config().modelKwargs().revision().isEmpty()) {
            print("This SAE's authors load its model with "
                    + loaded.config().modelKwargs().revision() + "; --model " + model + " is loaded as it is named.");
        }
        loaded.advice().forEach(this::print);
        showSkipped("SAE cfg.json", loaded.skippedKeys());
        return loaded;
    }

    /** Loads the model: the one that the options name, else the demo's, else the one that the SAE names. */
    HookedTransformer loadModel(Device device, Sae sae) {
        String name = model != null
                ? model
                : demo() ? DemoBundle.find().model() : sae.config().modelAtRevision();
        if (name == null)
            throw new InputException("the SAE does not say which model it belongs to: name it with --model.");
        HookedTransformer loaded = early != null ? join(early) : fromPretrained(name, device, dtype());
        early = null;
        print("Loaded pretrained model " + modelName(sae) + " into HookedTransformer");
        adviseProcessing(loaded, sae);
        loaded.advice().forEach(this::print);
        showSkipped("model config.json", loaded.skippedKeys());
        return loaded;
    }

    /** Says how the SAE's authors load the model, where that changes activations: not with RMSNorm. */
    private void adviseProcessing(HookedTransformer loaded, Sae sae) {
        Map<String, Object> kwargs = sae.config().modelKwargs().processing();
        if (kwargs.isEmpty()
                || processing == Processing.CENTERED
                || loaded.config().isRms()) return;
        print("This SAE has non-empty model_from_pretrained_kwargs " + kwargs
                + ". For optimal performance, load the model without other processing: --processing centered");
    }

    /** Loads the SAE in a dtype, without output. */
    Sae saeIn(DType other, Device device) {
        return Sae.fromPretrained(
                demo() ? DemoBundle.find().sae() : sae,
                Sae.Options.DEFAULT
                        .device(device)
                        .dtype(other)
                        .exact(exact)
                        .hub(hub())
                        .registry(registry()));
    }

    /** Loads the model in a dtype, without output. */
    HookedTransformer modelIn(DType other, Device device, Sae sae) {
        return fromPretrained(
                model != null
                        ? model
                        : demo() ? DemoBundle.find().model() : sae.config().modelAtRevision(),
                device,
                other);
    }

    private HookedTransformer fromPretrained(String name, Device device, DType as) {
        return HookedTransformer.fromPretrained(
                name,
                HookedTransformer.Options.DEFAULT
                        .processing(processing.steps)
                        .device(device)
                        .dtype(as)
                        .exact(exact)
                        .hub(hub()));
    }

    private static <T> T join(CompletableFuture<T> future) {
        try {
            return future.join();
        } catch (CompletionException e) {
            if (e.getCause() instanceof RuntimeException cause) throw cause;
            if (e.getCause() instanceof Error cause) throw cause;
            throw e;
        }
    }

    /**
     * {@return the model's name for messages and metrics.json; "demo" for the demo, not a folder of the installation}
     */
    String modelName(Sae sae) {
        return model != null ? model : demo() ? "demo" : sae.config().modelAtRevision();
    }

    String saeName() {
        return demo() ? "demo" : sae;
    }

    /** {@return the dataset to use if none is named: the demo's with the demo, the tutorial's otherwise} */
    String defaultDataset() {
        return demo() ? DemoBundle.find().dataset() : TUTORIAL_DATASET;
    }

    private void showSkipped(String what, List<String> keys) {
        if (debug && !keys.isEmpty()) System.err.println("skipped in the " + what + ": " + String.join(", ", keys));
    }
}
