package io.github.panascope.torch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.bindings.Psc;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * That nothing on the host looks into a device's memory: in a process in which the stand-in for CUDA lets kernels alone
 * touch it. Any other command can be tried in the same way, with STANDIN_PROTECT=1, and takes long.
 */
@OnEachDevice
class ProtectedMemoryTest {
    @TempDir
    private Path folder;

    /** Reads a device's memory as no host should. */
    static final class Stray {
        public static void main(String[] arguments) {
            try (var _ = TensorScope.open();
                    Scratch scratch = Scratch.open()) {
                Tensor there = Tensor.zeros(DType.FLOAT32, Shape.of(1 << 20), Device.CUDA);
                System.out.println("sum " + there.sum(DType.FLOAT32).item());
                var info = scratch.bytes(io.github.panascope.bindings.psc_tensor_info.sizeof());
                Native.check(Psc.psc_tensor_describe(there.handle(), info), "describing");
                MemorySegment memory = MemorySegment.ofAddress(
                                io.github.panascope.bindings.psc_tensor_info.address(info))
                        .reinterpret(4);
                System.out.println("read " + memory.get(ValueLayout.JAVA_FLOAT, 0));
            }
        }
    }

    private record Ended(int status, String output) {}

    private Ended run(String... main) throws IOException, InterruptedException {
        String java = ProcessHandle.current().info().command().orElseThrow();
        List<String> command = new ArrayList<>(List.of(
                java,
                "--enable-native-access=ALL-UNNAMED",
                "-XX:-CreateCoredumpOnCrash",
                "-XX:ErrorFile=" + folder.resolve("crash.log"),
                "-cp",
                System.getProperty("java.class.path")));
        command.addAll(List.of(main));
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().put("STANDIN_PROTECT", "1");
        Process process = builder.start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Ended(process.waitFor(), output);
    }

    @Test
    void kernelsAloneTouchADevicesMemory() throws Exception {
        assumeTrue(TestDevice.isStandIn(), "only the stand-in for CUDA protects its memory");
        Ended stray = run(Stray.class.getName());
        assertTrue(
                stray.output.contains("sum 0.0") && stray.output.contains("SIGSEGV") && !stray.output.contains("read "),
                stray.output);
        assertNotEquals(0, stray.status);
        Ended prompt = run("io.github.panascope.cli.Main", "prompt", "--device", "cuda");
        assertTrue(prompt.output.contains("Under the reconstruction at"), prompt.output);
        assertEquals(0, prompt.status);
    }
}
