package io.github.panascope.torch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.LeakCheck;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** The way from TorchScript into Java and back: whatever a hook does, the JVM lives and the caller hears of it. */
@ExtendWith(LeakCheck.class)
class RunHooksTest {
    private static ScriptModule module(TensorScope scope) {
        return ScriptModule.create("M", scope).define("""
            def forward(self, x: Tensor) -> Tensor:
                return lens.hook_point(lens.hook_point(x, "first") + 1, "second")
            """);
    }

    private static double run(ActivationHook hook, String... names) {
        try (TensorScope scope = TensorScope.open();
                RunHooks hooks = new RunHooks(List.of(names), hook)) {
            return module(scope)
                    .call("forward", hooks, Tensor.of(new float[] {1, 1}, Shape.of(1, 2)))
                    .toFloats()[0];
        }
    }

    @Test
    void aHookMayReadReplaceOrLeaveWhatFlows() {
        assertEquals(2, run((x, name) -> null, "first"));
        assertEquals(2, run((x, name) -> x, "first"));
        assertEquals(4, run((x, name) -> x.mul(3), "first"));
        assertEquals(6, run((x, name) -> x.mul(3), "second"));
        assertEquals(2, run((x, name) -> x.mul(3), "elsewhere"));
        assertEquals(
                6,
                run(
                        (x, name) -> {
                            x.add_(x); // an edit in place takes effect
                            return x.alias();
                        },
                        "first",
                        "second"));
    }

    @Test
    void whatAHookThrowsReachesTheCallerAsItself() {
        for (Throwable thrown : List.of(
                new IllegalStateException("a"),
                new IOException("b"),
                new AssertionError("c"),
                new OutOfMemoryError("d"))) {
            Throwable caught = assertThrows(
                    Throwable.class, () -> run((x, name) -> RunHooksTest.<RuntimeException>raise(thrown), "first"));
            assertSame(thrown, caught);
        }
        assertEquals(2, run((x, name) -> null, "first"));
    }

    @SuppressWarnings("unchecked")
    private static <T extends Throwable> Tensor raise(Throwable thrown) throws T {
        throw (T) thrown;
    }

    @Test
    void aHookThatOverflowsTheStackLeavesTheJvmAlive() {
        assertThrows(StackOverflowError.class, () -> run((x, name) -> endless(x), "second"));
        assertEquals(2, run((x, name) -> null, "first"));
    }

    /** A hook that runs the module again, with itself: on stacks of many sizes, none of which may end the JVM. */
    @Test
    void aHookThatRunsTheModelWithItselfOverflowsTheStackToo() throws InterruptedException {
        for (int kilobytes = 256; kilobytes <= 1280; kilobytes += 64) {
            AtomicReference<Throwable> thrown = new AtomicReference<>();
            Thread thread = new Thread(
                    null,
                    () -> {
                        try {
                            again(null, null);
                        } catch (Throwable e) {
                            thrown.set(e);
                        }
                    },
                    "deep",
                    kilobytes * 1024L);
            thread.start();
            thread.join();
            assertTrue(
                    thrown.get() instanceof StackOverflowError || thrown.get() instanceof IllegalStateException,
                    kilobytes + " KB: " + thrown.get());
        }
    }

    private static Tensor again(Tensor x, String name) {
        run(RunHooksTest::again, "first");
        return null;
    }

    private static Tensor endless(Tensor x) {
        return endless(endless(x));
    }

    @Test
    void aHookThatReturnsSomethingUnfitIsRefused() {
        assertUnfit("rank", x -> x.select(0, 0));
        assertUnfit("dtype", x -> x.to(DType.FLOAT64));
        Tensor[] closed = new Tensor[1];
        try (var _ = TensorScope.open()) {
            closed[0] = Tensor.zeros(DType.FLOAT32, Shape.of(1, 2));
        }
        assertThrows(IllegalStateException.class, () -> run((x, name) -> closed[0], "first"));
    }

    private static void assertUnfit(String what, UnaryOperator<Tensor> hook) {
        IllegalArgumentException e =
                assertThrows(IllegalArgumentException.class, () -> run((x, name) -> hook.apply(x), "second"));
        assertTrue(
                e.getMessage().contains("hook at second") && e.getMessage().contains("the " + what + " must stay"),
                e.getMessage());
    }

    @Test
    void theActivationEndsWithTheHook() {
        Tensor[] leaked = new Tensor[1];
        Tensor[] kept = new Tensor[1];
        try (TensorScope scope = TensorScope.open();
                RunHooks hooks = new RunHooks(List.of("first"), (x, name) -> {
                    leaked[0] = x;
                    kept[0] = x.promote();
                    return null;
                })) {
            module(scope).call("forward", hooks, Tensor.of(new float[] {1, 1}, Shape.of(1, 2)));
            assertThrows(IllegalStateException.class, () -> leaked[0].add(1));
            assertEquals(1, kept[0].toFloats()[0]);
        }
    }

    @Test
    void aHookMayRunAnotherModuleWithHooksOfItsOwn() {
        assertEquals(
                5,
                run(
                        (x, name) -> {
                            double inner = run((y, n) -> y.mul(2), "first");
                            return x.add(inner);
                        },
                        "first"));
    }
}
