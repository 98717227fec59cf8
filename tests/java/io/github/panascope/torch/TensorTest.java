package io.github.panascope.torch;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.LeakCheck;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.Channels;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Tensors, scopes and operators: results, ownership and errors. */
@ExtendWith(LeakCheck.class)
class TensorTest {
    @Test
    void operatorsComputeAndDescribeThemselves() {
        try (var _ = TensorScope.open()) {
            Tensor x = Tensor.of(new float[] {1, 2, 3, 4, 5, 6}, Shape.of(2, 3));
            assertArrayEquals(new float[] {14, 32, 32, 77}, x.matmul(x.t()).toFloats());
            assertArrayEquals(new float[] {2, 5}, x.mean(-1, false).toFloats());
            assertArrayEquals(
                    new float[] {-1, 0, 1, 1, 2, 3},
                    x.sub(Tensor.of(new float[] {2, 3}, Shape.of(2, 1))).toFloats());
            assertArrayEquals(new long[] {1, 3}, x.gt(2).sum(-1, false).toLongs());
            assertArrayEquals(
                    new float[] {3, 2}, x.select(0, 0).topk(2).values().toFloats());
            assertArrayEquals(
                    new float[] {1, 0, 3, 4, 0, 6},
                    x.indexFill(1, Tensor.of(new long[] {1}, Shape.of(1)), 0).toFloats());
            assertEquals(21, x.sum(DType.FLOAT64).item());
            assertEquals(DType.FLOAT64, x.sum(DType.FLOAT64).dtype());
            assertEquals(Math.sqrt(14), x.norm(-1, true).toDoubles()[0], 1e-6);
            assertEquals(x.norm(-1, true).norm().item(), x.norm().item(), 1e-6);
            assertEquals(1, x.std(-1, 1, true).toDoubles()[0], 1e-6);
            assertArrayEquals(
                    new float[] {1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6},
                    Tensor.cat(0, x, x).toFloats());
            assertEquals("Tensor(float32, [2, 3], cpu)", x.describe());
            assertEquals(Shape.of(3, 2), x.t().shape());
            assertFalse(x.t().isContiguous());
            assertEquals(DType.BFLOAT16, x.to(DType.BFLOAT16).dtype());
            assertArrayEquals(
                    new float[] {1, 2, 3, 4, 5, 6}, x.to(DType.BFLOAT16).toFloats());
            assertTrue(x.softmax(-1).sum(-1, false).toFloats()[1] > 0.9999f);
        }
    }

    @Test
    void anyOperatorIsReachableByName() {
        try (var _ = TensorScope.open()) {
            Op topk = Op.of("aten::topk", "");
            assertTrue(
                    topk.schema().startsWith("topk(Tensor self, SymInt k")
                            || topk.schema().startsWith("aten::topk(Tensor self, SymInt k"),
                    topk.schema());
            Object[] results = Op.of("aten::split", "Tensor").call(Tensor.zeros(DType.INT64, Shape.of(4)), 2);
            assertEquals(2, results.length);
            assertEquals(
                    false,
                    Op.of("aten::equal", "")
                            .call(Tensor.zeros(DType.INT64, Shape.of(4)), Tensor.zeros(DType.INT64, Shape.of(5)))[0]);
            TorchException unknown = assertThrows(TorchException.class, () -> Op.of("aten::no_such_thing", ""));
            assertTrue(unknown.getMessage().contains("aten::no_such_thing"), unknown.getMessage());
        }
    }

    @Test
    void misfitsSayTheOperatorTheShapesAndTheReason() {
        try (var _ = TensorScope.open()) {
            Tensor a = Tensor.zeros(DType.FLOAT32, Shape.of(2, 3));
            Tensor b = Tensor.zeros(DType.FLOAT32, Shape.of(2, 3));
            TorchException e = assertThrows(TorchException.class, () -> a.matmul(b));
            assertEquals(
                    "aten::matmul(float32[2, 3], float32[2, 3]): mat1 and mat2 shapes cannot be multiplied (2x3 and"
                            + " 2x3)",
                    e.getMessage());
            assertThrows(IndexOutOfBoundsException.class, () -> a.select(0, 7));
            assertThrows(
                    UnsupportedOperationException.class,
                    () -> Tensor.zeros(DType.INT64, Shape.of(2)).softmax(0));
            assertThrows(
                    TorchOutOfMemoryException.class, () -> Tensor.empty(DType.FLOAT32, Shape.of(1L << 50), Device.CPU));
            assertThrows(
                    TorchException.class, () -> Op.of("aten::add", "Tensor").call(a, 3));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> Op.of("aten::add", "Tensor").call(a, new Object()));
            assertThrows(IllegalArgumentException.class, () -> Tensor.of(new float[3], Shape.of(2)));
            assertThrows(IllegalStateException.class, a::item);
            assertThrows(IllegalArgumentException.class, () -> Device.MPS.requireUsable());
        }
    }

    @Test
    void wrappingSharesMemoryBothWays() {
        try (Arena arena = Arena.ofConfined();
                var _ = TensorScope.open()) {
            MemorySegment memory = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 1, 2, 3, 4);
            Tensor tensor = Tensor.wrap(memory, DType.FLOAT32, Shape.of(4));
            assertEquals(memory.address(), tensor.segment().address());
            memory.setAtIndex(ValueLayout.JAVA_FLOAT, 0, 10);
            assertEquals(10, tensor.toFloats()[0]);
            tensor.add_(Tensor.of(new float[] {1}, Shape.of(1)));
            assertEquals(11, memory.getAtIndex(ValueLayout.JAVA_FLOAT, 0));
            assertThrows(IllegalArgumentException.class, () -> Tensor.wrap(memory, DType.FLOAT32, Shape.of(5)));
            assertThrows(
                    IllegalArgumentException.class, () -> Tensor.wrap(memory.asReadOnly(), DType.FLOAT32, Shape.of(4)));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> Tensor.wrap(MemorySegment.ofArray(new float[4]), DType.FLOAT32, Shape.of(4)));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> Tensor.wrap(memory.asSlice(1, 8), DType.FLOAT32, Shape.of(2)));
            assertThrows(
                    IllegalStateException.class, () -> tensor.reshape(2, 2).t().segment());
        }
    }

    @Test
    void resultsBelongToTheInnermostScope() {
        Tensor kept, lost;
        MemorySegment view;
        try (TensorScope outer = TensorScope.open()) {
            Tensor x = Tensor.zeros(DType.FLOAT32, Shape.of(2));
            try (var _ = TensorScope.open()) {
                lost = x.add(1);
                kept = lost.promote();
                view = lost.segment();
            }
            assertThrows(IllegalStateException.class, () -> lost.add(1));
            assertThrows(IllegalStateException.class, () -> view.get(ValueLayout.JAVA_FLOAT, 0));
            assertEquals("Tensor(closed)", lost.toString());
            assertEquals("Tensor(closed)", lost.describe());
            assertArrayEquals(new float[] {1, 1}, kept.toFloats());
            assertSameScopeEnds(outer, kept);
        }
        assertThrows(IllegalStateException.class, kept::shape);
        assertEquals(
                "no TensorScope is open on this thread: open one with try (var scope = TensorScope.open()) { ... };"
                        + " a shell or notebook calls TensorScope.collected()",
                assertThrows(IllegalStateException.class, () -> Tensor.of(1)).getMessage());
    }

    private static void assertSameScopeEnds(TensorScope scope, Tensor tensor) {
        assertEquals(scope, tensor.scope());
    }

    @Test
    void freeingEarlyEndsOneHandleOnly() {
        try (var _ = TensorScope.open()) {
            long before = Torch.liveHandles();
            Tensor x = Tensor.zeros(DType.FLOAT32, Shape.of(2));
            Tensor alias = x.alias();
            x.free();
            x.free();
            assertEquals(before + 1, Torch.liveHandles());
            assertThrows(IllegalStateException.class, () -> x.add(1));
            assertArrayEquals(new float[] {0, 0}, alias.toFloats());
        }
    }

    @Test
    void withoutAScopeNothingIsMade() {
        assertThrows(IllegalStateException.class, () -> Tensor.zeros(DType.FLOAT32, Shape.of(2)));
        assertThrows(IllegalStateException.class, TensorScope::current);
    }

    @Test
    void scopesCloseInOrder() {
        TensorScope outer = TensorScope.open();
        TensorScope inner = TensorScope.open();
        assertThrows(IllegalStateException.class, outer::close);
        inner.close();
        outer.close();
        outer.close();
    }

    @Test
    @SuppressWarnings("try") // closing by the wrong thread is what is tested
    void aConfinedScopeIsItsThreadsAlone() throws InterruptedException {
        try (TensorScope scope = TensorScope.open()) {
            Tensor x = Tensor.zeros(DType.FLOAT32, Shape.of(2));
            AtomicReference<Throwable> use = new AtomicReference<>();
            AtomicReference<Throwable> close = new AtomicReference<>();
            Thread thread = new Thread(() -> {
                try (var _ = TensorScope.open()) {
                    x.add(1);
                } catch (Throwable t) {
                    use.set(t);
                }
                try {
                    scope.close();
                } catch (Throwable t) {
                    close.set(t);
                }
            });
            thread.start();
            thread.join();
            assertEquals(WrongThreadException.class, use.get().getClass());
            assertEquals(WrongThreadException.class, close.get().getClass());
            assertArrayEquals(new float[] {0, 0}, x.toFloats());
        }
    }

    @Test
    void aSharedScopeIsReadByAllAndDoesNotCloseWhileItIsUsed() throws InterruptedException {
        TensorScope shared = TensorScope.shared();
        ScriptModule module = ScriptModule.create("M", shared);
        try (var _ = TensorScope.open()) {
            module.parameter("weight", shared.adopt(Tensor.of(new float[] {2}, Shape.of(1))));
        }
        module.define(
                "def forward(self, x: Tensor) -> Tensor:\n    return lens.hook_point(x, \"here\") * self.weight\n");
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch goOn = new CountDownLatch(1);
        AtomicReference<Object> result = new AtomicReference<>();
        Thread thread = new Thread(() -> {
            try (var _ = TensorScope.open();
                    RunHooks hooks = new RunHooks(List.of("here"), (x, name) -> {
                        inside.countDown();
                        goOn.await();
                        return null;
                    })) {
                result.set(module.call("forward", hooks, Tensor.of(new float[] {3}, Shape.of(1)))
                        .item());
            } catch (Throwable t) {
                result.set(t);
            }
        });
        thread.start();
        inside.await();
        assertThrows(IllegalStateException.class, shared::close);
        assertTrue(shared.isOpen());
        goOn.countDown();
        thread.join();
        assertEquals(6.0, result.get());
        shared.close();
        try (var _ = TensorScope.open()) {
            assertThrows(
                    IllegalStateException.class,
                    () -> module.call("forward", null, Tensor.zeros(DType.FLOAT32, Shape.of(1))));
        }
    }

    @Test
    void manyArgumentsAndDeepNestingHaveRoom() {
        try (var _ = TensorScope.open()) {
            Tensor[] parts = new Tensor[10_000];
            for (int i = 0; i < parts.length; i++) parts[i] = Tensor.of(new float[] {i}, Shape.of(1));
            assertEquals(9_999, Tensor.cat(0, parts).toFloats()[9_999]);
        }
    }

    @Test
    void aMissingTensorInAListIsRefused() {
        try (var _ = TensorScope.open()) {
            Tensor x = Tensor.zeros(DType.FLOAT32, Shape.of(2));
            assertThrows(TorchException.class, () -> Tensor.cat(0, x, null));
            assertThrows(TorchException.class, () -> Op.of("aten::stack", "").call(new Tensor[] {null}, 0));
        }
    }

    @Test
    void whatOthersMaySeeOutlivesFree() {
        try (var _ = TensorScope.open();
                TensorScope shared = TensorScope.shared()) {
            Tensor large = Tensor.zeros(DType.FLOAT32, Shape.of(1 << 24));
            MemorySegment memory = large.segment();
            large.free();
            assertEquals(0, memory.get(ValueLayout.JAVA_FLOAT, memory.byteSize() - 4));
            assertThrows(IllegalStateException.class, () -> large.add(1));
            Tensor adopted = shared.adopt(Tensor.zeros(DType.FLOAT32, Shape.of(2)));
            assertThrows(IllegalStateException.class, adopted::free);
            assertEquals(0, adopted.toFloats()[0]);
        }
    }

    @Test
    void memoryThatIsGoneCannotBeWrapped() throws Exception {
        try (var _ = TensorScope.open()) {
            Arena closed = Arena.ofConfined();
            Arena other = Arena.ofConfined();
            MemorySegment gone = closed.allocate(8, 4);
            MemorySegment theirs = other.allocate(8, 4);
            closed.close();
            assertThrows(IllegalArgumentException.class, () -> Tensor.wrap(gone, DType.FLOAT32, Shape.of(2)));
            AtomicReference<Throwable> thrown = new AtomicReference<>();
            Thread thread = new Thread(() -> {
                try (var _ = TensorScope.open()) {
                    Tensor.wrap(theirs, DType.FLOAT32, Shape.of(2));
                } catch (Throwable e) {
                    thrown.set(e);
                }
            });
            thread.start();
            thread.join();
            assertEquals(IllegalArgumentException.class, thrown.get().getClass());
            other.close();
        }
    }

    @Test
    void elementsGoThroughAChannelAndBack() throws Exception {
        try (var _ = TensorScope.open()) {
            var bytes = new ByteArrayOutputStream();
            Tensor.of(new float[] {1, -2, 3.5f}, Shape.of(3)).writeTo(Channels.newChannel(bytes));
            Tensor back = Tensor.empty(DType.FLOAT32, Shape.of(3), Device.CPU);
            back.readFrom(Channels.newChannel(new ByteArrayInputStream(bytes.toByteArray())));
            assertArrayEquals(new float[] {1, -2, 3.5f}, back.toFloats());
            assertThrows(
                    EOFException.class,
                    () -> back.readFrom(Channels.newChannel(new ByteArrayInputStream(new byte[11]))));
        }
    }
}
