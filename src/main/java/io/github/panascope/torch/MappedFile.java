package io.github.panascope.torch;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * A file mapped into memory until a scope closes, from which tensors are made without a copy. The mapping is private:
 * an operator that writes to such a tensor changes this process's copy of the page, never the file. The file must not
 * be truncated while it is mapped.
 */
public final class MappedFile {
    private final MemorySegment memory;

    private MappedFile(MemorySegment memory) {
        this.memory = memory;
    }

    /**
     * Maps a file until a scope closes.
     *
     * @param file  the file
     * @param scope the scope whose closing ends the mapping
     * @return the mapped file
     * @throws IOException if the file cannot be read
     */
    public static MappedFile open(Path file, TensorScope scope) throws IOException {
        // A private mapping needs a channel that is open for reading and writing, though it writes nothing. A file that
        // is read-only, which is common in a shared cache, is copied instead.
        if (Files.isWritable(file)) {
            try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
                return new MappedFile(channel.map(FileChannel.MapMode.PRIVATE, 0, channel.size(), scope.arena()));
            }
        }
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            MemorySegment copy = scope.arena().allocate(channel.size(), 64);
            MemorySegment mapped = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), scope.arena());
            return new MappedFile(copy.copyFrom(mapped));
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
     * @return a row-major CPU tensor, in the innermost scope; that scope, and every scope that adopts the tensor, must
     *     close before the mapping's scope or with it
     * @throws IndexOutOfBoundsException if the range exceeds the file
     */
    public Tensor tensor(long offset, DType dtype, Shape shape) {
        MemorySegment slice = memory.asSlice(offset, shape.elements() * dtype.bytes());
        if (slice.address() % dtype.bytes() == 0) return Tensor.wrap(slice, dtype, shape);
        Tensor copy = Tensor.empty(dtype, shape, Device.CPU);
        copy.memory().copyFrom(slice);
        return copy;
    }
}
