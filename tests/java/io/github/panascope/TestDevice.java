package io.github.panascope;

import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.model.WeightProcessing;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Tensor;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The device that tests {@link OnEachDevice} run on: the CPU, or the one that {@code -Dpanascope.test.device} names.
 * The build runs them on both, on the second with the stand-in for CUDA that build-native.sh makes, since libtorch can
 * be loaded once in a JVM.
 */
public final class TestDevice {
    public static final Device DEVICE = Device.parse(System.getProperty("panascope.test.device", "cpu"));
    /** For models: float32, all of the weight processing. */
    public static final HookedTransformer.Options OPTIONS = options(WeightProcessing.DEFAULT);

    private TestDevice() {}

    public static HookedTransformer.Options options(WeightProcessing processing) {
        return HookedTransformer.Options.DEFAULT.processing(processing).device(DEVICE);
    }

    /** An SAE of a folder, in float32. */
    public static Sae sae(Path folder) {
        return Sae.fromPretrained(folder.toString(), Sae.Options.DEFAULT.device(DEVICE));
    }

    public static Tensor on(Tensor tensor) {
        return tensor.to(DEVICE);
    }

    /** The library of the stand-in for CUDA, if there is one where LIBTORCH points. */
    public static Path standIn() {
        return Path.of(System.getenv("LIBTORCH"), "lib", "libtorch_cuda.so");
    }

    /** Whether tests run on the stand-in for CUDA. */
    public static boolean isStandIn() {
        return !DEVICE.isCpu() && DEVICE.describe().name().startsWith("Stand-in");
    }

    /** Whether the libtorch that the tests were told to use is there; the stand-in is not made for every version. */
    static boolean isThere() {
        String libtorch = System.getenv("LIBTORCH");
        return DEVICE.isCpu() || libtorch == null || Files.exists(Path.of(libtorch, "lib", "libtorch_cuda.so"));
    }
}
