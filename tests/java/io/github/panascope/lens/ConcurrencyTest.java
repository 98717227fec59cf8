package io.github.panascope.lens;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Torch;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Many threads over the same weights. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class ConcurrencyTest {
    private static final int THREADS = 8;
    private static final int RUNS = 1000;

    private static HookedTransformer model() {
        return Golden.standardA().loadModel();
    }

    /**
     * What a thread does: its own tokens, its own hook, at its own point; the residual stream before the unembedding.
     */
    private static float[] run(HookedTransformer model, int thread) {
        try (var _ = TensorScope.open()) {
            Tensor tokens = Tensor.ofTokens(50256, 100 + thread, 200 + thread, 300);
            Hooks hooks = Hooks.at(
                    "blocks." + thread % 3 + (thread % 2 == 0 ? ".hook_mlp_out" : ".attn.hook_result"),
                    (x, name) -> x.mul(1 + thread / 10.0));
            return model.forward(tokens).hooks(hooks).stopAtLayer(3).toFloats();
        }
    }

    @Test
    void eightThreadsWithDifferentHooksGiveTheSerialResultsBitByBit() throws Exception {
        try (HookedTransformer model = model();
                ExecutorService pool = Executors.newFixedThreadPool(THREADS)) {
            List<float[]> serial = IntStream.range(0, THREADS)
                    .mapToObj(thread -> run(model, thread))
                    .toList();
            for (int thread = 1; thread < THREADS; thread++)
                assertNotEquals(Arrays.hashCode(serial.get(0)), Arrays.hashCode(serial.get(thread)));
            CountDownLatch together = new CountDownLatch(THREADS);
            List<Future<?>> futures = IntStream.range(0, THREADS)
                    .<Future<?>>mapToObj(thread -> pool.submit(() -> {
                        together.countDown();
                        together.await();
                        for (int i = 0; i < RUNS; i++)
                            assertArrayEquals(
                                    serial.get(thread), run(model, thread), "thread " + thread + ", run " + i);
                        return null;
                    }))
                    .toList();
            for (Future<?> future : futures) future.get();
        }
    }

    @Test
    void aThreadThatIsCancelledInTheMiddleLeavesNothingBehind() throws Exception {
        try (HookedTransformer model = model();
                ExecutorService pool = Executors.newFixedThreadPool(2)) {
            float[] expected = run(model, 0);
            long before = Torch.liveHandles();
            for (int round = 0; round < 20; round++) {
                CountDownLatch inside = new CountDownLatch(1);
                Future<?> cancelled = pool.submit(() -> {
                    try (var _ = TensorScope.open()) {
                        model.runWithHooks(Tensor.ofTokens(1, 2, 3), Hooks.at("blocks.1.attn.hook_z", (x, name) -> {
                            Tensor kept = x.mul(2).promote();
                            inside.countDown();
                            Thread.sleep(60_000); // the interruption ends it
                            return kept;
                        }));
                    }
                });
                inside.await();
                assertArrayEquals(expected, run(model, 0), "another thread meanwhile");
                cancelled.cancel(true);
                assertTrue(cancelled.isCancelled());
                ExecutionException e = Assertions.assertThrows(
                        ExecutionException.class,
                        () -> pool.submit(() -> {
                                    try (var _ = TensorScope.open()) {
                                        model.runWithHooks(
                                                Tensor.ofTokens(1, 2, 3), Hooks.where(name -> true, (x, name) -> {
                                                    if (name.name().equals("blocks.2.hook_resid_mid"))
                                                        throw new CancellationException("enough");
                                                    return null;
                                                }));
                                    }
                                })
                                .get());
                assertEquals("enough", e.getCause().getMessage());
            }
            assertArrayEquals(expected, run(model, 0));
            pool.shutdown();
            assertTrue(pool.awaitTermination(10, TimeUnit.SECONDS));
            assertEquals(before, Torch.liveHandles());
        }
    }
}
