package io.github.panascope.budget;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.panascope.LeakCheck;
import io.github.panascope.dashboard.DashboardConfig;
import io.github.panascope.lens.RowsAtOnce;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Torch;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * What libtorch is asked for on the CPU: operators by name, FLOPs of its products, bytes that it allocates. Compared
 * with what tests/resources/budgets.json recorded, so that a fused operator that is lost, a copy too many or a product
 * done twice fails here, where a clock would not notice. Where a change is meant,
 * {@code mvn test -Dtest=CpuBudgetTest -Dpanascope.budgets=write} records anew.
 */
@ExtendWith(LeakCheck.class)
class CpuBudgetTest {
    private static final Path RECORDED = Path.of("tests/resources/budgets.json");
    private static final Path COUNTERS = Path.of("target/native-build/plain/libcounters.so");
    /** How many features are active, and with it a little memory, depends on the processor's rounding. */
    private static final double BYTES = 0.01;

    private static TestLibrary counters;
    private static SmallCase small;

    @TempDir
    private static Path weights;

    @TempDir
    private Path folder;

    /** Of one piece of work. */
    record Counts(long gemmFlops, long allocatedBytes, long operators, Map<String, Long> byName) {}

    @BeforeAll
    static void load() {
        Torch.version(); // which the library counts in
        counters = new TestLibrary(COUNTERS.toAbsolutePath());
        small = new SmallCase(weights);
    }

    @AfterAll
    static void close() {
        small.close();
    }

    private static Counts counted(Runnable work) {
        work.run(); // what is made once is made
        counters.run("counters_start");
        work.run();
        counters.run("counters_stop");
        return new Counts(
                counters.number("counters_flops"),
                counters.number("counters_bytes"),
                counters.number("counters_operators"),
                new TreeMap<>(counters.table("counters_report")));
    }

    @Test
    void libtorchIsAskedForNoMoreThanBefore() throws IOException {
        Map<String, Counts> found = new LinkedHashMap<>();
        found.put("cell", counted(() -> small.cell(32, RowsAtOnce.on(Device.CPU, SmallCase.CONTEXT))));
        int[] round = new int[1];
        found.put(
                "dashboards",
                counted(() -> small.dashboards(folder.resolve("plain" + round[0]++), 32, DashboardConfig.DEFAULT)));
        found.put(
                "ablation",
                counted(() -> small.dashboards(
                        folder.resolve("ablation" + round[0]++),
                        8,
                        DashboardConfig.builder()
                                .performAblationExperiments(true)
                                .nQuantiles(2)
                                .topActsGroupSize(3)
                                .quantileGroupSize(2)
                                .build())));
        found.put("prompt", counted(() -> small.prompt()));
        if ("write".equals(System.getProperty("panascope.budgets"))) {
            Map<String, Object> recorded = new LinkedHashMap<>();
            recorded.put("libtorch", Torch.version());
            recorded.put("counts", found);
            Files.writeString(
                    RECORDED,
                    JsonMapper.builder()
                                    .enable(SerializationFeature.INDENT_OUTPUT)
                                    .build()
                                    .writeValueAsString(recorded) + "\n");
        }
        JsonNode recorded = JsonMapper.shared().readTree(Files.readString(RECORDED));
        assumeTrue(
                recorded.get("libtorch").stringValue().equals(Torch.version()),
                "another libtorch calls other operators inside");
        found.forEach((what, counts) -> compare(what, recorded.get("counts").get(what), counts));
    }

    private static void compare(String what, JsonNode expected, Counts found) {
        Map<String, Long> byName = new TreeMap<>();
        expected.get("byName").forEachEntry((name, count) -> byName.put(name, count.longValue()));
        Map<String, String> changed = new TreeMap<>();
        for (String name : byName.keySet())
            changed.put(name, byName.get(name) + " before, now " + found.byName.getOrDefault(name, 0L));
        found.byName.forEach((name, count) -> changed.putIfAbsent(name, "0 before, now " + count));
        changed.keySet().removeIf(name -> byName.getOrDefault(name, 0L).equals(found.byName.getOrDefault(name, 0L)));
        assertEquals(Map.of(), changed, what + ": calls of operators");
        assertEquals(expected.get("gemmFlops").longValue(), found.gemmFlops, what + ": FLOPs of products");
        long bytes = expected.get("allocatedBytes").longValue();
        assertTrue(
                Math.abs(found.allocatedBytes - bytes) <= BYTES * bytes,
                what + ": " + found.allocatedBytes + " bytes allocated, where " + bytes + " were");
    }
}
