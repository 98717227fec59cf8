package io.github.panascope.cli;

import io.github.panascope.InputException;
import io.github.panascope.Panascope;
import io.github.panascope.demo.DemoBundle;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.NativeLibraryException;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Torch;
import java.lang.module.ModuleDescriptor;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** The command {@code doctor}, which checks the installation and prints what works, what fails, and how to fix it. */
@Command(
        name = "doctor",
        mixinStandardHelpOptions = true,
        description = "Looks at the installation: Java, the system, libtorch, the shim, MKL, CUDA, threads.")
final class DoctorCommand implements Callable<Integer> {
    @Option(names = "--debug", description = "show stack traces and libtorch's whole description of itself")
    private boolean debug;

    @Option(
            names = "--bench",
            paramLabel = "MODEL",
            arity = "0..1",
            fallbackValue = "gpt2-small",
            description = "also measure loading: a model of this size (default: ${FALLBACK-VALUE}) and an SAE of 24,576"
                    + " features, beside reading their files")
    private String bench;

    @Override
    public Integer call() {
        line("ok", "panascope", Panascope.version());
        line(
                "ok",
                "java",
                Runtime.version() + " (" + System.getProperty("java.vendor") + "), " + System.getProperty("java.home"));
        system();
        try {
            line("ok", "libtorch", Torch.version() + ", " + Torch.origin());
        } catch (NativeLibraryException e) {
            line("NO", "libtorch", e.getMessage());
            if (debug) e.printStackTrace();
            return CommandRunner.FAILED;
        }
        String description = Torch.description();
        line(
                description.contains("Math Kernel Library") ? "ok" : "--",
                "MKL",
                firstLine(description, "Math Kernel Library", "not in this libtorch: matrix products will be slower"));
        line(
                description.contains("MKL-DNN") ? "ok" : "--",
                "oneDNN",
                firstLine(description, "MKL-DNN v", "not in this libtorch: bfloat16 will be slow"));
        device("CUDA", Device.CUDA);
        line(
                "ok",
                "threads",
                Torch.threads() + " for an operator, of " + Runtime.getRuntime().availableProcessors()
                        + " processors (OMP_NUM_THREADS sets it)");
        demo();
        for (Device each : usable()) if (!computes(each)) return CommandRunner.FAILED;
        if (bench != null) LoadBench.run(bench);
        return 0;
    }

    /** Prints what the system is, and which of its libraries are too old for libtorch. */
    private static void system() {
        String os = System.getProperty("os.name");
        String arch = System.getProperty("os.arch");
        line("ok", "system", os + " " + System.getProperty("os.version") + " " + arch);
        try {
            String platform = Torch.platform();
            line(platform.contains("(") ? "--" : "ok", "platform", platform);
        } catch (NativeLibraryException e) {
            line("NO", "platform", e.getMessage());
        }
        if (!os.equals("Linux")) return;
        needed("glibc", Torch.libcVersion(), arch.equals("aarch64") ? "2.28" : "2.29");
        needed("libstdc++", Torch.libstdcxxVersion(), arch.equals("aarch64") ? "6.0.22" : "6.0.26");
    }

    private static void needed(String library, String version, String least) {
        if (version == null) {
            line("??", library, "none was found, and libtorch needs " + least + " or newer");
        } else if (ModuleDescriptor.Version.parse(version).compareTo(ModuleDescriptor.Version.parse(least)) < 0) {
            line("NO", library, version + ", and libtorch needs " + least + " or newer: take a newer system");
        } else {
            line("ok", library, version + " (libtorch needs " + least + ")");
        }
    }

    private static void device(String name, Device device) {
        try {
            device.requireUsable();
            for (Device each : Device.all(device.type())) line("ok", name, each + described(each.describe()));
        } catch (IllegalArgumentException e) {
            line("--", name, e.getMessage());
        }
    }

    private static String described(Device.Description device) {
        String size = device.totalBytes() == 0
                ? ""
                : String.format(Locale.ROOT, ", %.1f GiB of memory", device.totalBytes() / 0x1p30);
        return (device.name().isEmpty() ? "" : ", " + device.name()) + size;
    }

    private static void demo() {
        try {
            line("ok", "demo", DemoBundle.find().folder().toString());
        } catch (InputException e) {
            line("--", "demo", e.getMessage());
        }
    }

    private static List<Device> usable() {
        List<Device> usable = new ArrayList<>(List.of(Device.CPU));
        usable.addAll(Device.all(Device.Type.CUDA));
        return usable;
    }

    /** Computes a matrix product on a device, prints whether it is right, and returns that. */
    private static boolean computes(Device device) {
        try (var _ = TensorScope.open()) {
            Tensor ones = Tensor.zeros(DType.FLOAT32, Shape.of(64, 64), device).add(1);
            boolean right = ones.matmul(ones).mean().item() == 64;
            String on = device.isCpu() ? "" : " on " + device;
            line(
                    right ? "ok" : "NO",
                    "compute",
                    right
                            ? "a matrix product is right" + on
                            : "a matrix product is wrong" + on + ": this libtorch does not fit this processor or GPU");
            return right;
        }
    }

    private static String firstLine(String description, String mark, String otherwise) {
        return description
                .lines()
                .filter(line -> line.contains(mark))
                .findFirst()
                .map(line -> line.replaceFirst("^ *- *", ""))
                .orElse(otherwise);
    }

    private static void line(String state, String what, String text) {
        System.out.printf("%-3s %-10s %s%n", state, what, text);
    }
}
