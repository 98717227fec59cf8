package io.github.panascope.torch;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The scope of all threads, whose tensors the garbage collector frees. */
class CollectedScopeTest {
    private static final float[] VALUES = {1, -2, 3, 4};

    @AfterEach
    void close() {
        TensorScope.collected().close();
    }

    private static Tensor values() {
        return Tensor.of(VALUES, Shape.of(2, 2));
    }

    private static <T> T elsewhere(Callable<T> work) throws Exception {
        try (var threads = Executors.newSingleThreadExecutor()) {
            return threads.submit(work).get();
        }
    }

    /** Calls the collector until the scope has as many tensors as expected; its frees happen on another thread. */
    private static void awaitTensors(int expected) throws InterruptedException {
        String wanted = "TensorScope(of all threads, " + expected + (expected == 1 ? " tensor of" : " tensors of");
        for (int i = 0; i < 100; i++) {
            System.gc();
            if (TensorScope.collected().toString().startsWith(wanted)) return;
            Thread.sleep(20);
        }
        assertEquals(wanted, TensorScope.collected().toString());
    }

    @Test
    void threadsShareTensorsWithoutScopesOfTheirOwn() throws Exception {
        TensorScope scope = TensorScope.collected();
        assertSame(scope, TensorScope.collected());
        Tensor x = elsewhere(CollectedScopeTest::values);
        assertArrayEquals(new float[] {2, -4, 6, 8}, x.add(x).toFloats());
        x.add_(values()); // frees a handle to its result at once
        assertArrayEquals(new float[] {2, -4, 6, 8}, elsewhere(x::toFloats));
        x.free();
        assertEquals(4, x.shape().elements());
    }

    @Test
    void blocksKeepTheirOwnScopes() {
        TensorScope.collected();
        Tensor kept;
        Tensor lost;
        try (TensorScope inner = TensorScope.open()) {
            lost = values();
            assertSame(inner, TensorScope.current());
            kept = lost.relu().promote();
        }
        assertArrayEquals(new float[] {1, 0, 3, 4}, kept.toFloats());
        assertThrows(IllegalStateException.class, lost::toFloats);
        assertThrows(IllegalStateException.class, kept::promote);
    }

    @Test
    void closingEndsIt() {
        Tensor x = TensorScope.collected().adopt(inScope());
        TensorScope.collected().close();
        IllegalStateException closed = assertThrows(IllegalStateException.class, x::toFloats);
        assertEquals("the scope of all threads was closed", closed.getMessage());
        assertThrows(IllegalStateException.class, CollectedScopeTest::values);
        TensorScope.collected();
        assertThrows(IllegalStateException.class, x::relu);
        assertArrayEquals(VALUES, values().toFloats());
    }

    private static Tensor inScope() {
        TensorScope.collected();
        return values();
    }

    @Test
    void whatNothingRefersToIsFreed() throws Exception {
        List<Tensor> held = new ArrayList<>();
        TensorScope.collected();
        for (int i = 0; i < 10; i++) held.add(values());
        awaitTensors(10);
        held.subList(3, 10).clear();
        awaitTensors(3);
        assertArrayEquals(VALUES, held.get(2).toFloats());
        held.clear();
        awaitTensors(0);
    }

    @Test
    void aSegmentKeepsItsTensor() throws Exception {
        TensorScope.collected();
        MemorySegment segment = values().segment();
        awaitTensors(1);
        assertArrayEquals(VALUES, segment.toArray(ValueLayout.JAVA_FLOAT));
        segment = null;
        awaitTensors(0);
    }

    @Test
    void memoryIsBoundedThoughHandlesAreSmall() throws IOException {
        TensorScope.collected();
        long before = residentMegabytes();
        float sum = 0;
        for (int i = 0; i < 80; i++) {
            Tensor x = Tensor.zeros(DType.FLOAT32, Shape.of(8, 1 << 20)); // 32 MB, of which 2.5 GB are made
            sum += x.shape().size(0);
        }
        assertEquals(640, sum);
        long grown = residentMegabytes() - before;
        assertTrue(grown < 1000, "80 tensors of 32 MB grew the process by " + grown + " MB");
    }

    @Test
    void viewsAskForNoCollections() throws Exception {
        TensorScope.collected();
        Tensor large = Tensor.zeros(DType.FLOAT32, Shape.of(4096, 4096)); // 64 MB
        Tensor one = Tensor.ones(DType.FLOAT32, Shape.of(1, 1));
        List<Tensor> views = new ArrayList<>();
        for (int i = 0; i < 100; i++) {
            views.add(large.t());
            views.add(large.select(1, i));
            views.add(one.expand(1 << 20, 1 << 20)); // 4 TB, were they elements of their own
        }
        awaitTensors(302); // without the results of zero_ and fill_
        // The columns hold 16 kB each.
        assertEquals(
                "TensorScope(of all threads, 302 tensors of 65 MB)",
                TensorScope.collected().toString());
        views.clear();
        awaitTensors(2);
        assertEquals(
                "TensorScope(of all threads, 2 tensors of 64 MB)",
                TensorScope.collected().toString());
        assertEquals(0, large.get(1, 2) + one.get(0, 0) - 1);
    }

    private static long residentMegabytes() throws IOException {
        return Files.readAllLines(Path.of("/proc/self/status")).stream()
                .filter(line -> line.startsWith("VmRSS:"))
                .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) >> 10)
                .findFirst()
                .orElseThrow();
    }

    /** Operands that only an argument list still refers to must outlive the call. */
    @Test
    void operandsOutliveTheirCallsWhileCollectionsRun() throws Exception {
        TensorScope.collected();
        List<Future<Boolean>> results = new ArrayList<>();
        try (var threads = Executors.newFixedThreadPool(3)) {
            for (int thread = 0; thread < 2; thread++) {
                results.add(threads.submit(() -> {
                    boolean right = true;
                    for (int i = 0; i < 500; i++)
                        right &= Tensor.cat(0, values(), values())
                                        .matmul(values().t())
                                        .sum(DType.FLOAT32)
                                        .item()
                                == 40;
                    return right;
                }));
            }
            Future<?> collector = threads.submit(() -> {
                while (!Thread.interrupted()) System.gc();
            });
            for (Future<Boolean> result : results) assertTrue(result.get());
            collector.cancel(true);
        }
    }
}
