package io.github.panascope.torch;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * A file mapped into memory for as long as a scope lives, from which tensors are made without a copy. The mapping is
 * private: an operator that writes to such a tensor changes this process's copy of the page, never the file.
 * The file must not be made shorter while it is mapped.
 */
public final class MappedFile {
    private final MemorySegment memory;

    private MappedFile(MemorySegment memory) {
        this.memory = memory;
    }

    /** Maps a file until the scope closes. */
    public static MappedFile open(Path file, TensorScope scope) throws IOException {
        // A private mapping asks for a channel open for both, but writes nothing; a read-only file is common in a
        // shared cache.
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

    /** Its length in bytes. */
    public long size() {
        return memory.byteSize();
    }

    /** A copy of some of its bytes. */
    public byte[] bytes(long offset, int length) {
        return memory.asSlice(offset, length).toArray(ValueLayout.JAVA_BYTE);
    }

    /**
     * A tensor over its bytes from an offset on, in the innermost open scope; that scope, and every one that the tensor
     * is adopted into, must close before or with the mapping's. Copied only if the offset is not aligned.
     */
    public Tensor tensor(long offset, DType dtype, Shape shape) {
        MemorySegment slice = memory.asSlice(offset, shape.elements() * dtype.bytes());
        if (slice.address() % dtype.bytes() == 0) return Tensor.wrap(slice, dtype, shape);
        Tensor copy = Tensor.empty(dtype, shape, Device.CPU);
        copy.memory().copyFrom(slice);
        return copy;
    }
}
