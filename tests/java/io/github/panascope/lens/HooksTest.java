package io.github.panascope.lens;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.model.HookPoint;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Hooks at every point of a model, well-behaved and not. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class HooksTest {
    private static HookedTransformer model;

    @BeforeAll
    static void load() {
        model = Golden.standardA().loadModel();
    }

    @AfterAll
    static void close() {
        model.close();
    }

    private static Tensor tokens() {
        return model.toTokens("When John and Mary went");
    }

    @Test
    void hookPointsAreThoseThatEveryRunReachesInItsOrder() {
        List<String> names = model.hookPoints().stream().map(HookPoint::name).toList();
        List<String> onRequest = HookPoint.onRequest(model.config()).stream()
                .map(HookPoint::name)
                .toList();
        assertEquals(
                model.hookNames().stream()
                        .filter(name -> !onRequest.contains(name))
                        .toList(),
                names);
        List<String> reached = new ArrayList<>();
        try (var _ = TensorScope.open()) {
            model.runWithHooks(tokens(), Hooks.where(names::contains, (x, point) -> {
                reached.add(point.name());
                return null;
            }));
        }
        assertEquals(names, reached);
    }

    @Test
    void aViewWithoutHooksIsPlain() {
        assertTrue(model.with(Hooks.NONE).isPlain());
        assertFalse(model.with(Hooks.at("hook_embed", (x, point) -> x)).isPlain());
    }

    @Test
    void aHookPointKnowsItsBlockAndItsPart() {
        for (HookPoint point : model.hookPoints()) {
            boolean inBlock = point.name().startsWith("blocks.");
            assertEquals(
                    point.name(),
                    inBlock ? "blocks." + point.block() + "." + point.part() : point.part(),
                    point.name());
            if (!inBlock)
                assertEquals(
                        point.name().startsWith("ln_final.") ? HookPoint.AFTER_BLOCKS : HookPoint.BEFORE_BLOCKS,
                        point.block(),
                        point.name());
            else assertTrue(point.block() >= 0 && point.block() < model.config().nLayers(), point.name());
            assertEquals(point, HookPoint.of(point.name()).orElseThrow());
        }
    }

    @Test
    void aFailingHookAtAnyPointReachesTheCallerAndLeavesNothing() {
        try (var _ = TensorScope.open()) {
            Tensor expected = model.run(tokens());
            for (String point : model.hookNames()) {
                Error thrown = new Error(point);
                assertSame(
                        thrown,
                        assertThrows(
                                Error.class,
                                () -> model.runWithHooks(tokens(), Hooks.at(point, (x, name) -> {
                                    throw thrown;
                                }))));
                IllegalArgumentException unfit = assertThrows(
                        IllegalArgumentException.class,
                        () -> model.runWithHooks(tokens(), Hooks.at(point, (x, name) -> x.unsqueeze(0))));
                assertTrue(unfit.getMessage().contains(point), unfit.getMessage());
                assertThrows(
                        StackOverflowError.class,
                        () -> model.runWithHooks(tokens(), Hooks.at(point, (x, name) -> endless(x))));
            }
            assertTrue(expected.sameElements(model.run(tokens())));
        }
    }

    private static Tensor endless(Tensor x) {
        return endless(endless(x));
    }

    @Test
    void aReplacementAtEachPointIsWhatFlowsOn() {
        try (var _ = TensorScope.open()) {
            HookedTransformer model =
                    HooksTest.model.exact(); // else fused operators compute what no hook is on, with other rounding
            Tensor plain = model.run(tokens());
            for (String point : model.hookNames()) {
                Tensor same = model.runWithHooks(tokens(), Hooks.at(point, (x, name) -> x.copy()));
                assertTrue(plain.sameElements(same), point);
                Tensor changed = model.runWithHooks(tokens(), Hooks.at(point, (x, name) -> x.mul(0.5)));
                // Halving the last LayerNorm's scale or a residual stream shows too; only what is not read on would
                // not.
                assertTrue(!plain.sameElements(changed), point);
            }
        }
    }

    @Test
    void severalHooksAtAPointRunInOrderAndTheCacheSeesTheLast() {
        try (var _ = TensorScope.open()) {
            List<String> order = new ArrayList<>();
            Hooks hooks = Hooks.at("blocks.1.hook_resid_pre", (x, name) -> {
                        order.add("a");
                        return x.mul(2);
                    })
                    .and("blocks.1.hook_resid_pre", (x, name) -> {
                        order.add("b");
                        return x.add(1);
                    });
            Forward plain = model.forward(tokens()).caching("blocks.1.hook_resid_pre"::equals);
            plain.logits();
            Forward hooked = model.forward(tokens()).hooks(hooks).caching("blocks.1.hook_resid_pre"::equals);
            hooked.logits();
            assertEquals(List.of("a", "b"), order);
            Tensor expected =
                    plain.cache().get("blocks.1.hook_resid_pre").mul(2).add(1);
            assertTrue(expected.sameElements(hooked.cache().get("blocks.1.hook_resid_pre")));
            assertEquals(List.of("blocks.1.hook_resid_pre"), hooked.cache().names());
            assertThrows(IllegalArgumentException.class, () -> hooked.cache().get("blocks.1.hook_resid_pos"));
        }
    }

    @Test
    void anUnknownPointNamesTheNearest() {
        try (var _ = TensorScope.open()) {
            IllegalArgumentException e = assertThrows(
                    IllegalArgumentException.class,
                    () -> model.runWithHooks(tokens(), Hooks.at("blocks.1.hook_resid_prr", (x, name) -> x)));
            assertEquals(
                    "the model has no hook point 'blocks.1.hook_resid_prr'. Did you mean 'blocks.1.hook_resid_pre'?",
                    e.getMessage());
        }
    }

    @Test
    void wrongTokensAreRefused() {
        try (var _ = TensorScope.open()) {
            assertThrows(IllegalArgumentException.class, () -> model.run(Tensor.zeros(DType.INT64, Shape.of(1, 129))));
            assertThrows(IllegalArgumentException.class, () -> model.run(Tensor.zeros(DType.FLOAT32, Shape.of(1, 3))));
            assertThrows(IllegalArgumentException.class, () -> model.run(Tensor.zeros(DType.INT64, Shape.of(1, 0))));
            assertThrows(IndexOutOfBoundsException.class, () -> model.run(Tensor.ofTokens(50257)));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> model.forward(Tensor.ofTokens(1)).loss());
        }
    }

    @Test
    void eightThreadsRunDifferentHooksOverTheSameWeights() throws Exception {
        List<Double> expected = new ArrayList<>();
        for (int i = 0; i < 8; i++) expected.add(lossWith(i));
        try (ExecutorService pool = Executors.newFixedThreadPool(8)) {
            List<Future<Boolean>> results = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                int factor = i;
                results.add(pool.submit(() -> {
                    for (int run = 0; run < 20; run++) if (lossWith(factor) != expected.get(factor)) return false;
                    return true;
                }));
            }
            for (Future<Boolean> result : results) assertTrue(result.get());
        }
    }

    private static double lossWith(int factor) {
        try (var _ = TensorScope.open()) {
            return model.forward(tokens())
                    .hooks(Hooks.at("blocks.1.hook_resid_pre", (x, name) -> x.mul(factor)))
                    .loss();
        }
    }
}
