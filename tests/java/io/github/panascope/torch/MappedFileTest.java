package io.github.panascope.torch;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Files that are mapped into memory, and the tensors over them. */
class MappedFileTest {
    private static final int FLOATS = 4096; // several pages

    @TempDir
    Path folder;

    private Path file() throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(4 * FLOATS).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < FLOATS; i++) bytes.putFloat(i);
        return Files.write(folder.resolve("numbers, ünnamed.bin"), bytes.array());
    }

    @Test
    void aTensorAndItsViewsOutliveTheScopeOfTheMapping() throws IOException {
        Path file = file();
        try (var _ = TensorScope.open()) {
            Tensor tensor;
            Tensor view;
            try (TensorScope mapped = TensorScope.shared("the file")) {
                tensor = MappedFile.open(file, mapped).tensor(8, DType.FLOAT32, Shape.of(2, 3));
                view = tensor.t().select(0, 1);
                assertThrows(
                        IndexOutOfBoundsException.class,
                        () -> MappedFile.open(file, mapped).tensor(4, DType.FLOAT32, Shape.of(FLOATS)));
            }
            Files.delete(file);
            assertArrayEquals(new float[] {2, 3, 4, 5, 6, 7}, tensor.toFloats());
            assertArrayEquals(new float[] {3, 6}, view.toFloats());
            // Strides count from the tensor's own first element.
            assertArrayEquals(
                    new float[] {3, 5},
                    tensor.asStrided(new long[] {2}, new long[] {2}, 1).toFloats());
            try (Dlpack given = tensor.toDlpack()) {
                assertArrayEquals(tensor.toFloats(), Tensor.fromDlpack(given).toFloats());
            }
        }
    }

    @Test
    void aClosedScopeEndsTheMapping() throws IOException {
        Path file = file();
        MappedFile mapping;
        long handles = Torch.liveHandles();
        try (TensorScope scope = TensorScope.open()) {
            mapping = MappedFile.open(file, scope);
            assertEquals(4 * FLOATS, mapping.size());
            assertArrayEquals(new byte[] {0, 0, (byte) 0x80, 0x3f}, mapping.bytes(4, 4));
            mapping.tensor(0, DType.INT64, Shape.of());
        }
        assertEquals(handles, Torch.liveHandles());
        assertEquals(0, mappings(file));
        assertThrows(IllegalStateException.class, () -> mapping.bytes(0, 4));
        try (var _ = TensorScope.open()) {
            assertThrows(IllegalStateException.class, () -> mapping.tensor(0, DType.FLOAT32, Shape.of(1)));
        }
    }

    private static long mappings(Path file) throws IOException {
        String name = file.toRealPath().toString();
        return Files.readAllLines(Path.of("/proc/self/maps")).stream()
                .filter(line -> line.endsWith(name))
                .count();
    }

    @Test
    void writingChangesTheMemoryOfThisProcessAlone() throws IOException {
        Path file = file();
        byte[] before = Files.readAllBytes(file);
        file.toFile().setWritable(false); // is mapped nevertheless
        try (TensorScope scope = TensorScope.open()) {
            Tensor tensor = MappedFile.open(file, scope).tensor(0, DType.FLOAT32, Shape.of(FLOATS));
            assertEquals(1, mappings(file));
            tensor.zero_();
            assertEquals(0, tensor.sum().item());
        }
        assertArrayEquals(before, Files.readAllBytes(file));
    }

    @Test
    void offsetsThatAreNotAlignedAreCopied() throws IOException {
        Path file = Files.write(folder.resolve("odd"), new byte[] {9, 1, 0, 0, 0, 2, 0, 0, 0});
        try (TensorScope scope = TensorScope.open()) {
            MappedFile mapping = MappedFile.open(file, scope);
            assertArrayEquals(
                    new int[] {1, 2},
                    mapping.tensor(1, DType.INT32, Shape.of(2)).toInts());
            assertEquals(9, mapping.tensor(0, DType.UINT8, Shape.of()).itemLong());
            assertEquals(
                    Shape.of(0, 3),
                    mapping.tensor(4, DType.INT32, Shape.of(0, 3)).shape());
        }
    }

    @Test
    void filesThatCannotBeMapped() throws IOException {
        Path empty = Files.createFile(folder.resolve("empty"));
        try (TensorScope scope = TensorScope.open()) {
            assertEquals(0, MappedFile.open(empty, scope).size());
            assertEquals(0, MappedFile.open(empty, scope).bytes(0, 0).length);
            assertThrows(NoSuchFileException.class, () -> MappedFile.open(folder.resolve("absent"), scope));
            assertThrows(IOException.class, () -> MappedFile.open(folder, scope));
        }
    }
}
