package io.github.panascope.cli;

import io.github.panascope.torch.Device;
import io.github.panascope.torch.NativeLibraryException;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Torch;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** What of the installation works, what does not, and what to do. */
@Command(name = "doctor", mixinStandardHelpOptions = true, description = "Looks at the installation: Java, libtorch, the shim, MKL, CUDA, threads, glibc.")
final class DoctorCommand implements Callable<Integer> {
    @Option(names = "--debug", description = "show stack traces and libtorch's whole description of itself")
    private boolean debug;

    @Option(names = "--bench", paramLabel = "MODEL", arity = "0..1", fallbackValue = "gpt2-small", description = "also measure loading: a model of this size (default: ${FALLBACK-VALUE}) and an SAE of 24,576 features, beside reading their files")
    private String bench;

    @Override
    public Integer call() {
        line("ok", "panascope", Version.number());
        line("ok", "java", Runtime.version() + " (" + System.getProperty("java.vendor") + "), " + System.getProperty("java.home"));
        line("ok", "system", System.getProperty("os.name") + " " + System.getProperty("os.version") + " " + System.getProperty("os.arch"));
        String libc = Torch.libcVersion();
        line(libc == null ? "??" : "ok", "glibc", libc == null ? "none: libtorch needs glibc 2.29 or newer, and musl has none" : libc + " (libtorch needs 2.29)");
        try {
            line("ok", "libtorch", Torch.version() + ", " + Torch.origin());
        } catch (NativeLibraryException e) {
            line("NO", "libtorch", e.getMessage());
            if (debug) e.printStackTrace();
            return Main.FAILED;
        }
        String description = Torch.description();
        line(description.contains("Math Kernel Library") ? "ok" : "--", "MKL", firstLine(description, "Math Kernel Library", "not in this libtorch: matrix products will be slower"));
        line(description.contains("MKL-DNN") ? "ok" : "--", "oneDNN", firstLine(description, "MKL-DNN v", "not in this libtorch: bfloat16 will be slow"));
        device("CUDA", Device.CUDA);
        line("ok", "threads", Torch.threads() + " for an operator, of " + Runtime.getRuntime().availableProcessors() + " processors (OMP_NUM_THREADS sets it)");
        demo();
        if (!computes()) return Main.FAILED;
        if (bench != null) LoadBench.run(bench);
        return 0;
    }

    private static void device(String name, Device device) {
        try {
            device.requireUsable();
            line("ok", name, Device.count(device.type()) + " usable");
        } catch (IllegalArgumentException e) {
            line("--", name, e.getMessage());
        }
    }

    private static void demo() {
        try {
            line("ok", "demo", Demo.find().folder().toString());
        } catch (io.github.panascope.hub.InputException e) {
            line("--", "demo", e.getMessage());
        }
    }

    /** A product whose result is known. */
    private static boolean computes() {
        try (var _ = TensorScope.open()) {
            Tensor ones = Tensor.zeros(io.github.panascope.torch.DType.FLOAT32, Shape.of(64, 64)).add(1);
            boolean right = ones.matmul(ones).mean().item() == 64;
            line(right ? "ok" : "NO", "compute", right ? "a matrix product is right" : "a matrix product is wrong: this libtorch does not fit this processor");
            return right;
        }
    }

    private static String firstLine(String description, String mark, String otherwise) {
        return description.lines().filter(line -> line.contains(mark)).findFirst().map(line -> line.replaceFirst("^ *- *", "")).orElse(otherwise);
    }

    private static void line(String state, String what, String text) {
        System.out.printf("%-3s %-10s %s%n", state, what, text);
    }
}
