package io.github.panascope.torch;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.LeakCheck;
import java.io.ByteArrayOutputStream;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** What ended the process, or gave wrong numbers in silence, before. */
@ExtendWith(LeakCheck.class)
class SafetyTest {
    private static Tensor numbers() {
        return Tensor.of(new float[] {1, 2, 3}, Shape.of(3));
    }

    private static Tensor negative() {
        return Op.of("aten::_neg_view", "").tensor(numbers());
    }

    private static String refused(Runnable work) {
        return assertThrows(RuntimeException.class, work::run).getMessage();
    }

    @Test
    void longArgumentsStayWhileNativeCodeReadsThem() throws Exception {
        Thread collector = new Thread(() -> {
            while (!Thread.currentThread().isInterrupted()) System.gc();
        });
        collector.start();
        try (var _ = TensorScope.open()) {
            Tensor one = Tensor.of(new float[] {1}, Shape.of(1));
            Tensor[] many = new Tensor[6000];
            Arrays.fill(many, one);
            long[] sizes = new long[6000];
            Arrays.fill(sizes, 1);
            for (int round = 0; round < 60; round++) {
                try (var _ = TensorScope.open()) {
                    assertEquals(6000, Tensor.cat(0, many).sum(DType.FLOAT64).item());
                    Tensor whole = Tensor.zeros(DType.FLOAT32, Shape.of(6000));
                    assertEquals(
                            1, Op.of("aten::split_with_sizes", "").call(whole.slice(0, 0, 1), new long[] {1}).length);
                    assertTrue(refused(() -> Op.of("aten::add", "Tensor").call(one, "x".repeat(100_000)))
                            .contains("is a text"));
                }
            }
        } finally {
            collector.interrupt();
            collector.join();
        }
    }

    @Test
    void negatedElementsAreReadNegated() {
        try (var _ = TensorScope.open()) {
            Tensor negative = negative();
            assertArrayEquals(new float[] {-1, -2, -3}, negative.toFloats());
            assertArrayEquals(new double[] {-1, -2, -3}, negative.toDoubles());
            assertArrayEquals(new long[] {-1, -2, -3}, negative.toLongs());
            float[] into = new float[3];
            negative.toFloats(into);
            assertArrayEquals(new float[] {-1, -2, -3}, into);
            assertEquals(-2, negative.slice(0, 1, 2).item());
            assertTrue(refused(negative::segment).contains("copy()"));
            assertTrue(refused(negative::toDlpack).contains("copy()"));
            assertArrayEquals(
                    new float[] {-1, -2, -3}, negative.copy().segment().toArray(ValueLayout.JAVA_FLOAT));
            try (Transfer transfer = negative.transferToHost()) {
                assertArrayEquals(
                        new float[] {-1, -2, -3}, transfer.await().segment().toArray(ValueLayout.JAVA_FLOAT));
            }
        }
    }

    @Test
    void writtenElementsAreTheNegatedOnes() throws Exception {
        var bytes = new ByteArrayOutputStream();
        try (var _ = TensorScope.open();
                var channel = Channels.newChannel(bytes)) {
            negative().writeTo(channel);
        }
        assertEquals(
                -3,
                ByteBuffer.wrap(bytes.toByteArray())
                        .order(ByteOrder.nativeOrder())
                        .getFloat(8));
    }

    @Test
    void tensorsWithoutMemoryOfTheirOwnSaySo() {
        try (var _ = TensorScope.open()) {
            Tensor zeros = Op.of("aten::_efficientzerotensor", "").tensor((Object) new long[] {4});
            assertArrayEquals(new float[4], zeros.toFloats());
            assertTrue(refused(zeros::segment).contains("left out as zeros"));
            for (String maker : List.of("aten::to_sparse", "aten::to_mkldnn")) {
                Tensor odd = Op.of(maker, "").tensor(numbers());
                assertTrue(refused(odd::segment).contains("no elements in rows"), maker);
                assertTrue(refused(odd::toFloats).contains("no elements in rows"), maker);
                assertTrue(odd.toString().startsWith("Tensor("), odd.toString());
                assertEquals(Shape.of(3), odd.shape());
            }
            Tensor quantized = Op.of("aten::quantize_per_tensor", "").tensor(numbers(), 0.1, 0L, 12L);
            assertTrue(refused(quantized::segment).contains("no elements in rows"));
            Tensor nested = Op.of("aten::_nested_tensor_from_tensor_list", "")
                    .tensor((Object) new Tensor[] {numbers(), numbers()});
            assertTrue(refused(nested::shape).contains("nested"));
            assertTrue(nested.toString().startsWith("Tensor("), nested.toString());
            Op add = Op.of("aten::add", "Tensor");
            assertTrue(refused(() -> add.call(numbers(), quantized))
                    .endsWith(": an argument is a tensor that is quantized: make an ordinary one of it by"
                            + " aten::dequantize first"));
            assertTrue(refused(() -> Op.of("aten::cat", "").call((Object) new Tensor[] {numbers(), nested}))
                    .endsWith(": an argument is a tensor that is nested: take its parts by aten::unbind first"));
            assertEquals(2, Op.of("aten::unbind", "int").call(nested).length);
            assertArrayEquals(
                    numbers().toFloats(),
                    Op.of("aten::dequantize", "self").tensor(quantized).toFloats(),
                    0.1f);
            Tensor complex = Op.of("aten::complex", "").tensor(numbers(), numbers());
            assertTrue(refused(complex::toFloats).contains("complex"));
        }
    }

    @Test
    void shapesAndMemoryDoNotChangeUnderneath() {
        try (var _ = TensorScope.open()) {
            Tensor tensor = Tensor.zeros(DType.FLOAT32, Shape.of(2, 3));
            var memory = tensor.segment();
            assertTrue(refused(() -> Op.of("aten::resize_", "").call(tensor, new long[] {1 << 20}))
                    .contains("in place"));
            assertTrue(refused(() -> Op.of("aten::t_", "").call(tensor)).contains("in place"));
            assertTrue(refused(() -> Op.of("aten::set_", "").call(tensor)).contains("in place"));
            Tensor large = Tensor.zeros(DType.FLOAT32, Shape.of(100, 100));
            refused(() -> Op.of("aten::add", "out").call(large, large, 1L, tensor));
            Tensor small = Tensor.zeros(DType.FLOAT32, Shape.of(1));
            assertTrue(refused(() -> Op.of("aten::add", "out").call(small, small, 1L, tensor))
                    .contains("would change the shape"));
            assertEquals(Shape.of(2, 3), tensor.shape());
            assertArrayEquals(new float[6], memory.toArray(ValueLayout.JAVA_FLOAT));
        }
        try (TensorScope scope = TensorScope.open()) {
            Tensor tensor = Tensor.zeros(DType.FLOAT32, Shape.of(2, 3));
            ScriptModule module = ScriptModule.create("Changing", scope)
                    .define("def forward(self, x: Tensor) -> Tensor:\n    return x.t_()\n");
            assertTrue(refused(() -> module.call("forward", null, tensor)).contains("would change the shape"));
            assertEquals(Shape.of(3, 2), tensor.transpose(0, 1).shape());
        }
    }

    /** Operators give {@code out} its new shape before they find that its memory cannot grow. */
    @Test
    void aCallThatFailsLeavesItsTensorsAsTheyWere() {
        try (var _ = TensorScope.open()) {
            Tensor wide = Op.of("aten::expand", "")
                    .tensor(Tensor.zeros(DType.FLOAT32, Shape.of(1)), new long[] {10_000, 10_000}, false);
            for (String name : List.of("aten::add.out", "aten::mul.out", "aten::exp.out")) {
                Tensor out = numbers();
                Shape before = Tensor.zeros(DType.FLOAT32, Shape.of(3)).shape();
                Op op = Op.of(name.substring(0, name.indexOf('.')), "out");
                refused(() -> {
                    if (name.contains("add")) op.call(wide, wide, 1L, out);
                    else if (name.contains("mul")) op.call(wide, wide, out);
                    else op.call(wide, out);
                });
                assertEquals(before, out.shape(), name);
                assertEquals(3, out.toFloats().length, name);
            }
        }
    }

    @Test
    void aMethodCannotChangeTheShapeOfWhatTheModuleOrAHookHolds() {
        try (var scope = TensorScope.open()) {
            Tensor weight = Tensor.zeros(DType.FLOAT32, Shape.of(2, 3));
            ScriptModule module = ScriptModule.create("M", scope)
                    .parameter("w", weight)
                    .define("def turn(self) -> Tensor:\n    return self.w.t_()\n"
                            + "def fail(self, x: Tensor) -> Tensor:\n    x.t_()\n    assert x.size(0) == 99, 'no'\n"
                            + "    return x\n"
                            + "def later(self, x: Tensor) -> Tensor:\n    y = x + 1\n"
                            + "    y = lens.hook_point(y, 'here')\n    y.t_()\n    return y\n");
            refused(() -> module.call("turn", null));
            assertEquals(Shape.of(2, 3), weight.alias().shape());
            Tensor argument = Tensor.zeros(DType.FLOAT32, Shape.of(2, 3));
            refused(() -> module.call("fail", null, argument));
            assertEquals(Shape.of(2, 3), argument.shape());
            Tensor[] kept = new Tensor[1];
            try (RunHooks hooks = new RunHooks(List.of("here"), (activation, name) -> {
                kept[0] = scope.adopt(activation);
                return null;
            })) {
                refused(() -> module.call("later", hooks, argument));
            }
            assertEquals(Shape.of(2, 3), kept[0].alias().shape());
        }
    }

    @Test
    void threadsAreNotAskedForWithoutEnd() {
        assertTrue(Torch.maxThreads() >= 64);
        for (int threads : new int[] {0, -1, Torch.maxThreads() + 1, Integer.MAX_VALUE})
            assertThrows(IllegalArgumentException.class, () -> Torch.setThreads(threads));
    }

    @Test
    void hooksBelongToTheirThreadUntilTheyAreClosed() throws Exception {
        try (var scope = TensorScope.open()) {
            ScriptModule module =
                    ScriptModule.create("M", scope).define("def one(self, x: Tensor) -> Tensor:\n    return x + 1\n");
            RunHooks hooks = new RunHooks(List.of("a"), (activation, name) -> null);
            Throwable[] thrown = new Throwable[1];
            Thread other = Thread.ofPlatform().start(() -> {
                try {
                    hooks.handle();
                } catch (Throwable t) {
                    thrown[0] = t;
                }
            });
            other.join();
            assertEquals("a set of hooks is used by the thread that made it", thrown[0].getMessage());
            hooks.close();
            assertEquals(
                    "this set of hooks is closed",
                    assertThrows(IllegalStateException.class, () -> module.call("one", hooks, numbers()))
                            .getMessage());
        }
    }

    @Test
    void numbersThatDoNotFitAreNotCutShort() {
        try (var _ = TensorScope.open()) {
            Tensor large = Tensor.of(new long[] {1L << 40}, Shape.of(1));
            assertThrows(ArithmeticException.class, large::toInts);
            for (float number : new float[] {Float.NaN, Float.POSITIVE_INFINITY, 1e30f})
                assertThrows(ArithmeticException.class, Tensor.of(new float[] {number}, Shape.of(1))::toLongs);
            assertArrayEquals(
                    new long[] {-2, 3},
                    Tensor.of(new float[] {-2.7f, 3.7f}, Shape.of(2)).toLongs());
            assertArrayEquals(
                    new int[] {Integer.MIN_VALUE, Integer.MAX_VALUE},
                    Tensor.of(new long[] {Integer.MIN_VALUE, Integer.MAX_VALUE}, Shape.of(2))
                            .toInts());
            assertThrows(ArithmeticException.class, Tensor.of(new long[] {(1L << 53) + 1}, Shape.of(1))::item);
            assertEquals(0x1p53, Tensor.of(new long[] {1L << 53}, Shape.of(1)).item());
            assertArrayEquals(
                    new long[] {Long.MIN_VALUE},
                    Tensor.of(new double[] {-0x1p63}, Shape.of(1)).toLongs());
        }
    }

    @Test
    void operatorsThatBelieveIndicesAreRefused() {
        for (String name : List.of(
                "ctc_loss.IntList", "segment_reduce", "linalg_ldl_solve", "sspaddmm", "_sparse_coo_tensor_unsafe"))
            assertTrue(
                    refused(() -> Op.of("aten::" + name.split("\\.")[0], name.contains(".") ? "IntList" : ""))
                            .contains("cannot be called from here"),
                    name);
        try (var _ = TensorScope.open()) {
            Tensor rows = Tensor.of(new long[] {0, 1L << 34, 1L << 35, 2}, Shape.of(4));
            Tensor columns = Tensor.of(new long[] {0, 1}, Shape.of(2));
            refused(() -> Op.of("aten::sparse_csr_tensor", "crow_col_value_size")
                    .call(rows, columns, Tensor.zeros(DType.FLOAT32, Shape.of(2)), new long[] {3, 3}));
        }
    }

    /** The processor traps where a quotient is too large for its kind. */
    @Test
    void theSmallestWholeNumberIsNotDividedByMinusOne() {
        try (var _ = TensorScope.open()) {
            Tensor least = Tensor.of(new long[] {3, Long.MIN_VALUE}, Shape.of(2));
            Tensor ones = Tensor.of(new long[] {-1, 1}, Shape.of(2));
            for (String name : List.of("remainder", "fmod", "div"))
                assertTrue(
                        refused(() -> Op.of("aten::" + name, name.equals("div") ? "Tensor_mode" : "Tensor")
                                        .call(
                                                name.equals("div")
                                                        ? new Object[] {least, ones, "floor"}
                                                        : new Object[] {least, ones}))
                                .contains("divided by -1"),
                        name);
            assertTrue(refused(() -> Op.of("aten::remainder", "Scalar_Tensor").call(Long.MIN_VALUE, ones))
                    .contains("divided by -1"));
            // A tensor without dimensions does not widen one that has some.
            Tensor narrow =
                    Tensor.of(new long[] {Integer.MIN_VALUE}, Shape.of(1)).to(DType.INT32);
            Tensor minusOne = Tensor.of(new long[] {-1}, Shape.of());
            assertTrue(refused(() -> Op.of("aten::fmod", "Tensor").call(narrow, minusOne))
                    .contains("divided by -1"));
            assertArrayEquals(
                    new double[] {0x1p31},
                    Op.of("aten::div", "Tensor").tensor(narrow, minusOne).toDoubles());
            assertArrayEquals(
                    new long[] {-1, 1},
                    Op.of("aten::remainder", "Tensor")
                            .tensor(ones, ones.mul(2).to(DType.INT64))
                            .toLongs());
        }
    }

    @Test
    void resultsThatAreNoTensorsAreNamed() {
        try (var _ = TensorScope.open()) {
            assertEquals(
                    "aten::size.int gives a Long as its result 0, not a tensor: use call()",
                    refused(() -> Op.of("aten::size", "int").tensor(numbers(), 0L)));
            assertEquals(
                    "aten::relu gives 1 results, not 3",
                    refused(() -> Op.of("aten::relu", "").tensors(3, numbers())));
        }
    }

    @Test
    void gradientsBelongToTheThreadThatAskedEvenToAVirtualOne() throws Exception {
        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<Boolean>> asked = new ArrayList<>();
            List<Future<Boolean>> others = new ArrayList<>();
            for (int i = 0; i < 200; i++) {
                asked.add(threads.submit(() -> {
                    try (var _ = GradMode.enable()) {
                        Thread.sleep(1); // another thread's turn on this carrier
                        return flows();
                    }
                }));
                others.add(threads.submit(() -> {
                    Thread.sleep(1);
                    return flows();
                }));
            }
            for (Future<Boolean> each : asked) assertTrue(each.get());
            for (Future<Boolean> each : others) assertFalse(each.get());
        }
        assertFalse(GradMode.isEnabled());
    }

    private static boolean flows() throws InterruptedException {
        try (var _ = TensorScope.open()) {
            Tensor product = GradMode.leaf(numbers()).mul(2);
            Thread.sleep(1);
            return GradMode.flowsThrough(product.mul(2));
        }
    }

    @Test
    void whatDoesNotFitIsNamed() {
        try (var _ = TensorScope.open()) {
            assertTrue(refused(() -> Op.of("aten::add", "Tensor").call(numbers(), "two"))
                    .contains("argument 'other' should be Tensor, but the value given is a text"));
            assertTrue(refused(() -> Op.of("aten::empty", "memory_format").call(new long[] {2}, 9999L))
                    .contains("and 9999 is none"));
            assertTrue(refused(() -> Op.of("aten::roll", "").call(numbers(), new long[6000], new long[6000]))
                    .contains("argument 'dims' names 6000 dimensions, and a tensor has at most 64"));
            assertTrue(refused(() -> Op.of("aten::embedding_bag", "")
                            .call(
                                    Tensor.zeros(DType.FLOAT32, Shape.of(2, 3)),
                                    Tensor.of(new long[] {0}, Shape.of(1)),
                                    Tensor.zeros(DType.INT64, Shape.of(3, 0, 4))))
                    .contains("argument 'offsets' should have one dimension"));
            Tensor queries = Tensor.zeros(DType.FLOAT32, Shape.of(2, 3, 4, 4));
            Tensor none = Tensor.zeros(DType.FLOAT32, Shape.of(2, 0, 4, 4));
            assertTrue(refused(() -> Op.of("aten::scaled_dot_product_attention", "")
                            .call(queries, none, none, null, 0.0, false, null, true))
                    .contains("argument 'key' should have heads"));
            assertTrue(refused(() -> Op.of("aten::new_zeros", "").call(numbers(), new long[] {2, 4}, null, 3L))
                    .contains("and 3 is none"));
            assertTrue(refused(() -> Op.of("aten::_fft_r2c", "")).contains("cannot be called from here"));
        }
    }

    @Test
    void textNeverThrows() throws InterruptedException, ExecutionException {
        try (TensorScope scope = TensorScope.open();
                ExecutorService other = Executors.newSingleThreadExecutor()) {
            Tensor unknown = numbers();
            assertTrue(other.submit(unknown::toString).get().startsWith("Tensor("));
            assertTrue(other.submit(scope::toString).get().contains("of thread"));
            assertNotEquals("", scope.toString());
        }
    }
}
