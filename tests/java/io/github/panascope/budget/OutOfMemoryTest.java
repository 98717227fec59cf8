package io.github.panascope.budget;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.metrics.TutorialMetrics;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.TorchOutOfMemoryException;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * A GPU whose memory is used up in the midst of a run: what was there is freed, and fewer rows at once go on, to the
 * same result.
 */
@OnEachDevice
@ExtendWith(LeakCheck.class)
class OutOfMemoryTest {
    private static final long PLENTY = 8L << 30;
    private static final int ROWS = 64;
    private static final int CONTEXT = 64;
    private TestLibrary standin;

    @BeforeEach
    void open() {
        assumeTrue(TestDevice.isStandIn(), "only the stand-in for CUDA has as much memory as a test says");
        standin = new TestLibrary(TestDevice.standIn());
    }

    @AfterEach
    void giveBack() {
        if (standin != null) standin.set("standin_limit", PLENTY);
    }

    @Test
    void fewerRowsAtOnceGoOn() {
        Golden golden = Golden.standardA();
        Device device = TestDevice.DEVICE;
        try (var _ = TensorScope.open();
                HookedTransformer model = golden.loadModel();
                Sae sae = golden.loadSae()) {
            long[] ids = IntStream.range(0, ROWS * CONTEXT)
                    .mapToLong(i -> i % CONTEXT == 0 ? 50256 : i * 31L % 50257)
                    .toArray();
            Tensor tokens = Tensor.of(ids, Shape.of(ROWS, CONTEXT));
            TutorialMetrics whole = TutorialMetrics.run(model, sae, tokens, ROWS, done -> {});
            device.trim();
            Device.Memory before = device.memory();
            standin.set("standin_limit", before.allocatedBytes() + (300L << 20));
            TorchOutOfMemoryException e = assertThrows(
                    TorchOutOfMemoryException.class, () -> TutorialMetrics.run(model, sae, tokens, ROWS, done -> {}));
            assertEquals(device, e.device());
            assertTrue(e.requestedBytes() > 300L << 20 && e.usedBytes() >= before.allocatedBytes(), e.getMessage());
            assertTrue(
                    e.getMessage().contains("cuda:0 is out of memory")
                            && e.getMessage().contains("Fewer rows at once"),
                    e.getMessage());
            assertEquals(before.allocatedBytes(), device.memory().allocatedBytes(), "what the run had is free");
            TutorialMetrics again = TutorialMetrics.run(model, sae, tokens, 4, done -> {});
            assertEquals(whole.loss().original(), again.loss().original(), 1e-5);
            assertEquals(whole.l0().mean(), again.l0().mean(), 0.01);
        }
    }
}
