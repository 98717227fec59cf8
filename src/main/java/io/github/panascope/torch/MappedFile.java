package io.github.panascope.torch;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * A file mapped into memory, from which tensors are made without a copy. The file stays mapped until the scope of this
 * object is closed and the last tensor that shares the memory is freed. The mapping is private: an operator that writes
 * to such a tensor changes this process's copy of the page, never the file. The file must not be truncated while it is
 * mapped.
 */
public final class MappedFile {
    /** All bytes of the file, uint8 [size]: libtorch ends the mapping with the last tensor that shares it. */
    private final Tensor whole;

    private final MemorySegment memory;

    private MappedFile(Tensor whole) {
        this.whole = whole;
        this.memory = whole.memory();
    }

    /**
     * Maps a file.
     *
     * @param file  the file
     * @param scope the scope in which the mapping lives
     * @return the mapped file; no longer usable when the scope is closed
     * @throws IOException if the file cannot be read
     */
    public static MappedFile open(Path file, TensorScope scope) throws IOException {
        long size;
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            size = channel.size();
        }
        try (var _ = TensorScope.open()) {
            Tensor whole = size == 0 // which no system maps
                    ? Tensor.empty(DType.UINT8, Shape.of(0), Device.CPU)
                    : TensorOps.FROM_FILE.tensor(file.toString(), false, size, DType.UINT8);
            return new MappedFile(scope.adopt(whole));
        } catch (TorchOutOfMemoryException e) {
            throw e;
        } catch (TorchException e) {
            throw new IOException("it cannot be mapped into memory: " + e.getMessage(), e);
        }
    }

    /** {@return the length of the file, in bytes} */
    public long size() {
        return memory.byteSize();
    }

    /**
     * Copies a range of the file.
     *
     * @param offset the first byte
     * @param length how many bytes
     * @return a new array of the bytes
     * @throws IndexOutOfBoundsException if the range exceeds the file
     */
    public byte[] bytes(long offset, int length) {
        return memory.asSlice(offset, length).toArray(ValueLayout.JAVA_BYTE);
    }

    /**
     * Makes a CPU tensor over the bytes from an offset on. They are copied only if the offset is not aligned to the
     * element size.
     *
     * @param offset the first byte
     * @param dtype  the element type
     * @param shape  the shape
     * @return a row-major CPU tensor, in the innermost scope; it may outlive the scope of this mapping
     * @throws IndexOutOfBoundsException if the range exceeds the file
     */
    public Tensor tensor(long offset, DType dtype, Shape shape) {
        MemorySegment slice = memory.asSlice(offset, shape.elements() * dtype.bytes());
        if (slice.address() % dtype.bytes() == 0) {
            TensorScope scope = TensorScope.current();
            try (var _ = TensorScope.open()) {
                Tensor bytes = whole.slice(0, offset, offset + slice.byteSize());
                Tensor view = TensorOps.VIEW_DTYPE.tensor(bytes, dtype).reshape(shape.sizes());
                // A storage of its own, which holds the whole one: offsets count from it, and it alone is saved.
                return scope.adopt(Tensor.fromDlpack(view.toDlpack()));
            }
        }
        Tensor copy = Tensor.empty(dtype, shape, Device.CPU);
        copy.memory().copyFrom(slice);
        return copy;
    }
}
