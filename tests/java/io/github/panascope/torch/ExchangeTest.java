package io.github.panascope.torch;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.LeakCheck;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/**
 * Tensors to and from another native library of this process (native/test/consumer.c), and another process, without a
 * copy.
 */
@ExtendWith(LeakCheck.class)
class ExchangeTest {
    private static final SymbolLookup CONSUMER =
            SymbolLookup.libraryLookup(Path.of("target/native-build/plain/libconsumer.so"), Arena.global());

    private static MethodHandle function(String name, FunctionDescriptor type) {
        return Linker.nativeLinker().downcallHandle(CONSUMER.find(name).orElseThrow(), type);
    }

    private static final MethodHandle SUM = function("consumer_sum", FunctionDescriptor.of(JAVA_DOUBLE, ADDRESS));
    private static final MethodHandle TAKE = function("consumer_take", FunctionDescriptor.of(JAVA_DOUBLE, ADDRESS));
    private static final MethodHandle MAKE =
            function("consumer_make", FunctionDescriptor.of(ADDRESS, JAVA_LONG, JAVA_LONG));
    private static final MethodHandle RELEASED = function("consumer_released", FunctionDescriptor.of(JAVA_LONG));
    private static final MethodHandle SUM_COLUMN =
            function("consumer_sum_column", FunctionDescriptor.of(JAVA_DOUBLE, ADDRESS, ADDRESS));
    private static final MethodHandle MAKE_COLUMN = function(
            "consumer_make_column", FunctionDescriptor.ofVoid(ADDRESS, ADDRESS, JAVA_LONG, JAVA_LONG, JAVA_INT));

    private static long released() throws Throwable {
        return (long) RELEASED.invokeExact();
    }

    @TempDir
    private Path folder;

    @Test
    void aTensorIsSeenTakenAndOutlivesItsScope() throws Throwable {
        Dlpack kept;
        long live = Torch.liveHandles();
        try (var _ = TensorScope.open()) {
            Tensor tensor = Tensor.of(new float[] {1, 2, 3, 4, 5, 6}, Shape.of(2, 3));
            try (Dlpack seen = tensor.t().toDlpack()) {
                assertEquals(21, (double) SUM.invokeExact(seen.pointer()));
            }
            try (Dlpack taken = tensor.toDlpack()) {
                assertEquals(21, (double) TAKE.invokeExact(taken.give()));
                assertThrows(IllegalStateException.class, taken::pointer);
            }
            assertEquals(7, tensor.toFloats()[0], "what the other library wrote is in the tensor");
            kept = tensor.toDlpack();
        }
        assertEquals(live + 1, Torch.liveHandles(), "the export is all that is left");
        assertEquals(27, (double) TAKE.invokeExact(kept.give()), "and has kept the memory");
        kept.close();
        kept.close();
        assertEquals(live, Torch.liveHandles());
    }

    @Test
    void aTensorOfAnotherLibraryIsReleasedWithItsLastAlias() throws Throwable {
        long before = released();
        try (var _ = TensorScope.open()) {
            Tensor kept;
            try (var _ = TensorScope.open()) {
                Tensor tensor = Tensor.fromDlpack((MemorySegment) MAKE.invokeExact(2L, 3L));
                assertEquals(Shape.of(2, 3), tensor.shape());
                assertEquals(15, tensor.sum(DType.FLOAT64).item());
                kept = tensor.select(0, 1).promote();
            }
            assertEquals(before, released());
            assertEquals(12, kept.sum(DType.FLOAT64).item());
        }
        assertEquals(before + 1, released());
    }

    @Test
    void memoryOfAnotherOwnerIsNotGivenOut() {
        try (Arena arena = Arena.ofConfined();
                var _ = TensorScope.open()) {
            Tensor wrapped = Tensor.wrap(arena.allocate(16, 8), DType.FLOAT32, Shape.of(4));
            for (var refused : new TorchException[] {
                assertThrows(TorchException.class, wrapped::toDlpack),
                assertThrows(TorchException.class, () -> wrapped.toArrow("x"))
            }) {
                assertTrue(refused.getMessage().contains("belongs to another owner"), refused.getMessage());
            }
            wrapped.copy().toDlpack().close();
            assertThrows(IllegalArgumentException.class, () -> Tensor.fromDlpack(MemorySegment.NULL));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> Tensor.fromArrow(MemorySegment.ofArray(new long[9]), MemorySegment.ofArray(new long[10])));
        }
    }

    @Test
    void columnsGoOutAndComeIn() throws Throwable {
        try (Arena arena = Arena.ofConfined();
                var _ = TensorScope.open()) {
            for (Shape shape : new Shape[] {Shape.of(6), Shape.of(2, 3)}) {
                Tensor tensor = Tensor.of(new double[] {1, 2, 3, 4, 5, 6}, shape);
                try (ArrowColumn column = tensor.toArrow("x")) {
                    assertEquals(21, (double) SUM_COLUMN.invokeExact(column.schema(), column.array()));
                }
                try (ArrowColumn column = tensor.toArrow("x")) { // and back again
                    Tensor back = Tensor.fromArrow(column.schema(), column.array());
                    assertTrue(back.sameElements(tensor), back.toString());
                    back.zero_();
                    assertEquals(0, tensor.sum(DType.FLOAT64).item(), "without a copy");
                    assertThrows(TorchException.class, () -> Tensor.fromArrow(column.schema(), column.array()));
                }
            }
            long before = released();
            MemorySegment schema = arena.allocate(72, 8);
            MemorySegment array = arena.allocate(80, 8);
            try (var _ = TensorScope.open()) {
                MAKE_COLUMN.invokeExact(schema, array, 4L, 2L, 0);
                Tensor column = Tensor.fromArrow(schema, array);
                assertEquals(DType.INT32, column.dtype());
                assertEquals(2 + 3 + 4 + 5, column.sum(DType.INT64).item());
                assertEquals(before, released());
            }
            assertEquals(before + 1, released());
            MAKE_COLUMN.invokeExact(schema, array, 4L, 0L, 1);
            TorchException missing = assertThrows(TorchException.class, () -> Tensor.fromArrow(schema, array));
            assertTrue(missing.getMessage().contains("missing values"), missing.getMessage());
            assertEquals(before + 1, released(), "what is refused stays the other library's");
            Tensor three = Tensor.zeros(DType.FLOAT32, Shape.of(1, 1, 1));
            Tensor bool = Tensor.zeros(DType.FLOAT32, Shape.of(2)).gt(0);
            Tensor turned = Tensor.zeros(DType.FLOAT32, Shape.of(2, 3)).t();
            for (Tensor none : new Tensor[] {three, bool, turned})
                assertThrows(TorchException.class, () -> none.toArrow("x"), none.toString());
        }
    }

    /** A DLManagedTensor by hand, float32 unless said otherwise; without a deleter. */
    private static MemorySegment managed(
            Arena arena,
            MemorySegment data,
            int deviceType,
            int code,
            int bits,
            long[] shape,
            long[] strides,
            long byteOffset) {
        MemorySegment made = arena.allocate(64, 8);
        made.set(ADDRESS, 0, data);
        made.set(JAVA_INT, 8, deviceType);
        made.set(JAVA_INT, 16, shape.length);
        made.set(ValueLayout.JAVA_BYTE, 20, (byte) code);
        made.set(ValueLayout.JAVA_BYTE, 21, (byte) bits);
        made.set(ValueLayout.JAVA_SHORT, 22, (short) 1);
        made.set(ADDRESS, 24, arena.allocateFrom(JAVA_LONG, shape));
        made.set(ADDRESS, 32, strides == null ? MemorySegment.NULL : arena.allocateFrom(JAVA_LONG, strides));
        made.set(JAVA_LONG, 40, byteOffset);
        return made;
    }

    @Test
    void whatOtherLibrariesMayHandOverIsReadOrRefused() throws Throwable {
        try (Arena arena = Arena.ofConfined();
                var _ = TensorScope.open()) {
            MemorySegment data = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 0, 1, 2, 3, 4, 5, 6, 7);
            Assertions.assertArrayEquals(
                    new float[] {2, 3, 4},
                    Tensor.fromDlpack(managed(arena, data, 1, 2, 32, new long[] {3}, null, 8))
                            .toFloats());
            Assertions.assertArrayEquals(
                    new float[] {0, 3, 6, 1, 4, 7},
                    Tensor.fromDlpack(managed(arena, data, 1, 2, 32, new long[] {2, 3}, new long[] {1, 3}, 0))
                            .toFloats());
            assertEquals(
                    0,
                    Tensor.fromDlpack(managed(arena, MemorySegment.NULL, 1, 2, 32, new long[] {0, 3}, null, 0))
                            .shape()
                            .elements());
            for (MemorySegment refused : new MemorySegment[] {
                managed(arena, data, 1, 2, 32, new long[] {3}, new long[] {-1}, 16),
                managed(arena, data, 1, 2, 32, new long[] {1L << 40, 1L << 40}, new long[] {1L << 40, 1}, 0),
                managed(arena, data, 1, 2, 32, new long[] {1L << 40, 1L << 40}, null, 0),
                managed(arena, data, 1, 5, 64, new long[] {1}, null, 0),
                managed(arena, data, 10, 2, 32, new long[] {1}, null, 0),
                managed(arena, data, 2, 2, 32, new long[] {1}, null, 0),
                managed(arena, data, 1, 2, 32, new long[] {-3}, null, 0),
                managed(arena, data, 1, 2, 32, new long[13], null, 0)
            }) {
                assertThrows(TorchException.class, () -> Tensor.fromDlpack(refused));
            }
            Tensor tensor = Tensor.of(new float[] {1, 2}, Shape.of(2));
            try (Dlpack own = tensor.toDlpack()) {
                assertTrue(
                        Tensor.fromDlpack(own).sameElements(tensor), "given away, so that closing frees nothing twice");
            }
            MemorySegment schema = arena.allocate(72, 8);
            MemorySegment array = arena.allocate(80, 8);
            MAKE_COLUMN.invokeExact(schema, array, 4L, 0L, 0);
            schema.set(ADDRESS, 48, schema);
            assertTrue(assertThrows(TorchException.class, () -> Tensor.fromArrow(schema, array))
                    .getMessage()
                    .contains("dictionary"));
            schema.set(ADDRESS, 48, MemorySegment.NULL);
            for (String format : new String[] {"+w:x", "+w:4611686018427387904", "+w:", "+w:-1", "u", "tdD"}) {
                schema.set(ADDRESS, 0, arena.allocateFrom(format));
                assertThrows(TorchException.class, () -> Tensor.fromArrow(schema, array), format);
            }
            schema.set(ADDRESS, 0, arena.allocateFrom("i"));
            array.set(JAVA_LONG, 0, 1L << 61);
            assertThrows(TorchException.class, () -> Tensor.fromArrow(schema, array));
            array.set(JAVA_LONG, 0, 4);
            assertEquals(4, Tensor.fromArrow(schema, array).size(0), "and what was refused is as it was");
        }
    }

    /** A file that two processes map is one memory: what Python writes is in the tensor, and the other way round. */
    @Test
    void anotherProcessSharesAMappedFile() throws Exception {
        Path file = folder.resolve("shared");
        try (Arena arena = Arena.ofConfined();
                FileChannel channel = FileChannel.open(
                        file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
                var _ = TensorScope.open()) {
            MemorySegment memory = channel.map(FileChannel.MapMode.READ_WRITE, 0, 16, arena);
            Tensor tensor = Tensor.wrap(memory, DType.FLOAT32, Shape.of(4));
            tensor.copy_(Tensor.of(new float[] {1, 2, 3, 4}, Shape.of(4)));
            String script = "import mmap, struct, sys; f = open(sys.argv[1], 'r+b'); m = mmap.mmap(f.fileno(), 16); x ="
                    + " struct.unpack('4f', m[:]); m[:] = struct.pack('4f', *[v * 10 for v in x]); m.flush()";
            Process python = start("python3", "-c", script, file.toString());
            assertEquals(0, python.waitFor());
            assertEquals(100, tensor.sum(DType.FLOAT64).item());
        }
    }

    private static Process start(String... command) throws IOException {
        return new ProcessBuilder(command).inheritIO().start();
    }
}
