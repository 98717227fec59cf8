package io.github.panascope;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.dashboard.DashboardConfig;
import io.github.panascope.dashboard.Dashboards;
import io.github.panascope.dashboard.FeatureCollector;
import io.github.panascope.dashboard.FeatureStore;
import io.github.panascope.dashboard.PromptDashboard;
import io.github.panascope.dashboard.StoreIdentity;
import io.github.panascope.data.TextDataset;
import io.github.panascope.lens.ActivationCache;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.lens.Patching;
import io.github.panascope.metrics.SaeEvals;
import io.github.panascope.metrics.TutorialMetrics;
import io.github.panascope.sae.FeatureAttribution;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.ChunkingStrategy;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Torch;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/**
 * What takes long stops where it is when its thread is interrupted: nothing native is left, the interrupt status is
 * set, and the number of threads is as it was.
 */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class InterruptionTest {
    private static final int CONTEXT = 32;
    private static final int ROWS = 24;

    @TempDir
    private Path folder;

    private TensorScope scope;
    private HookedTransformer model;
    private Sae sae;
    private TokenDataset tokens;

    @BeforeEach
    void load() {
        Golden golden = Golden.standardA();
        scope = TensorScope.open();
        model = HookedTransformer.fromPretrained(golden.model().toString(), TestDevice.OPTIONS.hub(golden.hub()));
        sae = golden.loadSae();
        tokens = golden.tokens(model, CONTEXT);
    }

    @AfterEach
    void close() {
        sae.close();
        model.close();
        scope.close();
    }

    /** Several at once, each of which would put back what it found. */
    @Test
    void promptsThatOverlapLeaveTheNumberOfThreadsAsItWas() throws Exception {
        int[] prompt = tokens.row(0);
        int before = Torch.threads();
        try (ExecutorService pool = Executors.newFixedThreadPool(3)) {
            Torch.setThreads(3);
            List<Future<?>> running = new ArrayList<>();
            for (int i = 0; i < 12; i++)
                running.add(pool.submit(() -> PromptDashboard.of(model, sae, prompt, DashboardConfig.DEFAULT)));
            for (Future<?> each : running) each.get();
            assertEquals(3, Torch.threads());
            for (int i = 0; i < 3; i++)
                assertEquals(3, pool.submit(Torch::threads).get());
            int[] found = new int[1];
            Thread.ofPlatform().start(() -> found[0] = Torch.threads()).join();
            assertEquals(3, found[0], "a new thread");
        } finally {
            Torch.setThreads(before);
        }
    }

    /**
     * Runs something that reports each step to what it is given; the first report interrupts, and there may be so many
     * more.
     */
    private static void assertStops(String doing, int more, Consumer<Runnable> work) {
        Thread thread = Thread.currentThread();
        AtomicInteger reports = new AtomicInteger();
        long handles = Torch.liveHandles();
        int threads = Torch.threads();
        boolean kept;
        RuntimeException thrown = null;
        try {
            work.accept(() -> {
                reports.incrementAndGet();
                thread.interrupt();
            });
        } catch (RuntimeException e) {
            thrown = e;
        } finally {
            kept = Thread.interrupted();
        }
        RunInterruptedException e = assertInstanceOf(RunInterruptedException.class, thrown);
        assertTrue(kept, "the interrupt status is kept");
        assertTrue(
                Stream.of(doing.split("\\|")).anyMatch(each -> e.getMessage().contains("interrupted while " + each)),
                e.getMessage());
        assertTrue(reports.get() >= 1 && reports.get() <= 1 + more, reports + " reports");
        assertEquals(handles, Torch.liveHandles());
        assertEquals(threads, Torch.threads());
    }

    @Test
    void evaluationsStop() {
        assertStops("evaluating an SAE", 1, step -> {
            try (var _ = TensorScope.open()) {
                TutorialMetrics.run(model, sae, tokens.batch(0, ROWS), 2, done -> step.run());
            }
        });
        assertStops("evaluating an SAE", 1, step -> {
            try (var _ = TensorScope.open()) {
                if (!TestDevice.DEVICE.isCpu()) step.run(); // whose batches are larger than this
                SaeEvals.run(model, sae, tokens.batch(0, ROWS), 4, 4, true, done -> step.run());
            }
        });
    }

    @Test
    void collectingStopsAndWhatIsOnTheDiskStays() {
        int[] features = IntStream.range(0, sae.config().dSae()).toArray();
        Path state = folder.resolve("state");
        try (FeatureStore store = FeatureStore.open(
                state,
                StoreIdentity.of(model, sae, "test", CONTEXT, 4),
                features,
                sae.config().dIn())) {
            FeatureCollector.into(store, model, sae)
                    .shardRows(4)
                    .threads(2)
                    .collect(row -> tokens.row((int) row), 0, 4);
            assertStops(
                    "collecting features|running the model|using ",
                    4,
                    step -> FeatureCollector.into(store, model, sae)
                            .shardRows(4)
                            .threads(2)
                            .progress(done -> step.run())
                            .collect(row -> tokens.row((int) row), 0, ROWS));
        }
        try (FeatureStore store = FeatureStore.open(
                state,
                StoreIdentity.of(model, sae, "test", CONTEXT, 4),
                features,
                sae.config().dIn())) {
            assertTrue(store.rows() >= 4 && store.rows() < ROWS, store.rows() + " rows");
            FeatureCollector.into(store, model, sae)
                    .shardRows(4)
                    .threads(2)
                    .collect(row -> tokens.row((int) row), 0, ROWS);
            for (boolean ablation : new boolean[] {false, true}) {
                DashboardConfig config = DashboardConfig.builder()
                        .performAblationExperiments(ablation)
                        .nQuantiles(1)
                        .topActsGroupSize(2)
                        .quantileGroupSize(1)
                        .build();
                assertStops(
                        ablation ? "making dashboards|running the model" : "making dashboards",
                        0,
                        step -> Dashboards.of(model, sae, store, config).forEach(features, 2, dashboard -> step.run()));
            }
        }
    }

    @Test
    void promptsAndTextsStop() {
        int[] prompt = tokens.row(0);
        assertStops("looking at a prompt", 0, step -> {
            step.run();
            PromptDashboard.of(model, sae, prompt, DashboardConfig.DEFAULT);
        });
        assertStops("generating text", 0, step -> {
            try (var _ = TensorScope.open()) {
                model.generate("Once")
                        .stopAtEos(false)
                        .onToken(token -> step.run())
                        .run();
            }
        });
        assertStops(
                "tokenizing documents",
                0,
                step -> TokenDataset.tokenizeAndConcatenate(
                        documents -> Collections.nCopies(50, "a text").forEach(text -> {
                            documents.accept(text);
                            step.run();
                        }),
                        model.tokenizer(),
                        ChunkingStrategy.CHARACTER_CHUNKS,
                        CONTEXT));
        assertStops(
                "tokenizing documents",
                0,
                step -> TokenDataset.concatAndBatchSequences(
                        documents -> Collections.nCopies(50, "a text").forEach(text -> {
                            documents.accept(text);
                            step.run();
                        }),
                        model.tokenizer(),
                        CONTEXT,
                        true,
                        1000));
        assertStops(
                "tokenizing documents",
                0,
                step -> TokenDataset.ofTokens(
                        documents -> List.of(prompt, prompt, prompt).forEach(row -> {
                            documents.accept(row);
                            step.run();
                        }),
                        model.config().dVocab(),
                        CONTEXT,
                        1000));
        // A file channel that an interrupted thread reads is closed, at whichever place reads first.
        Golden golden = Golden.standardA();
        assertStops("reading", 0, step -> {
            step.run();
            TokenDataset.tokenizeAndConcatenate(
                    TextDataset.of(golden.dataset().toString(), golden.hub())::forEach,
                    model.tokenizer(),
                    ChunkingStrategy.CHARACTER_CHUNKS,
                    CONTEXT);
        });
    }

    @Test
    void patchingStops() {
        try (var _ = TensorScope.open()) {
            Tensor row = tokens.batch(0, 1);
            ActivationCache cache = model.runWithCache(
                            row, name -> name.endsWith("hook_resid_pre") || name.endsWith("hook_z"))
                    .cache();
            Patching patching = Patching.of(model, row, cache, logits -> {
                Thread.currentThread().interrupt();
                return logits.select(0, 0).select(0, 3).select(0, 5).item();
            });
            for (Runnable work : List.<Runnable>of(
                    () -> patching.byPosition("hook_resid_pre"),
                    () -> patching.byHead("attn.hook_z"),
                    () -> patching.byPositionAndHead("attn.hook_z"),
                    patching::blockEvery,
                    () -> patching.each(List.of(Hooks.NONE, Hooks.NONE)))) {
                assertStops("patching|running the model", 0, step -> {
                    try (var _ = TensorScope.open()) {
                        work.run();
                    } finally {
                        step.run();
                    }
                });
            }
            assertStops("taking features away|running the model", 0, step -> {
                try (var _ = TensorScope.open()) {
                    FeatureAttribution.byAblation(model, sae, row, logits -> {
                        step.run();
                        return 0;
                    });
                }
            });
        }
    }
}
