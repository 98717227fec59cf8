package io.github.panascope.budget;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.dashboard.DashboardConfig;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/**
 * How often a GPU is waited for, and how many kernels it is asked for, counted by the stand-in for CUDA: no clock, so
 * no noise. A wait is a number or a copy that the host reads before it goes on, a copy to the device that it waits for,
 * or an operator whose result is as large as its data has it.
 */
@OnEachDevice
@ExtendWith(LeakCheck.class)
class DeviceBudgetTest {
    private static TestLibrary standin;
    private static SmallCase small;

    @TempDir
    private static Path weights;

    @TempDir
    private Path folder;

    @BeforeAll
    static void load() {
        assumeTrue(TestDevice.isStandIn(), "only the stand-in for CUDA counts");
        standin = new TestLibrary(TestDevice.standIn());
        small = new SmallCase(weights);
        small.cell(1, 1);
    }

    @AfterAll
    static void close() {
        if (small != null) small.close();
    }

    private static Map<String, Long> counted(Runnable work) {
        standin.run("standin_reset");
        work.run();
        Map<String, Long> counts = standin.table("standin_report");
        return counts;
    }

    private static void assertAtMost(long most, String what, Map<String, Long> counts) {
        long found = counts.getOrDefault(what, 0L);
        assertTrue(found <= most, found + " " + what + " where " + most + " are allowed: " + counts);
    }

    @Test
    void theTutorialsCellWaitsRarely() {
        Map<String, Long> counts = counted(() -> small.cell(32, 256));
        assertAtMost(6, "waits", counts);
        assertAtMost(1000, "kernels", counts);
        // However many rows: once a batch, and while the next one runs.
        assertAtMost(3, "waits", counted(() -> small.cell(24, 8)));
    }

    @Test
    void dashboardsWaitAndLaunchRarely() {
        Map<String, Long> counts = counted(() -> small.dashboards(folder, 256, DashboardConfig.DEFAULT));
        assertAtMost(4, "waits", counts);
        assertAtMost(1500, "kernels", counts);
    }

    @Test
    void ablationsWaitTwiceAFeature() {
        int[] shown = new int[1];
        Map<String, Long> counts = counted(() -> shown[0] = small.dashboards(
                folder,
                64,
                DashboardConfig.builder()
                        .performAblationExperiments(true)
                        .nQuantiles(4)
                        .topActsGroupSize(6)
                        .quantileGroupSize(3)
                        .build()));
        assertTrue(shown[0] > 10 * small.features.length, shown[0] + " sequences");
        assertAtMost(4 + 2 * small.features.length, "waits", counts);
    }

    @Test
    void aPromptWaitsRarely() {
        assertAtMost(6, "waits", counted(() -> small.prompt()));
    }

    /** The counts themselves: that a wait is seen where there is one. */
    @Test
    void theStandInCounts() {
        try (var _ = TensorScope.open()) {
            var ones =
                    Tensor.zeros(DType.FLOAT32, Shape.of(4), TestDevice.DEVICE).add(1);
            Map<String, Long> counts = counted(() -> {
                assertEquals(4, ones.sum(0, false).item());
                ones.to(Device.CPU);
            });
            assertEquals(2L, counts.get("waits"), counts.toString());
            assertEquals(1L, counts.get("aten::sum.IntList_out"), counts.toString());
        }
    }
}
