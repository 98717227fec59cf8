package io.github.panascope.torch;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;

/** A look at a library before it is loaded: a broken one would end the process, or never return. */
final class LibraryFile {
    private static final int HEADER = 64;
    private static final int ELF = 0x464c457f;
    private static final int MACH_O_64 = 0xfeedfacf;
    /** A load command of a Mach-O file that maps a part of it, and where in it that part is named. */
    private static final int LC_SEGMENT_64 = 0x19;

    private static final int SEGMENT_OFFSET = 40;
    private static final int SEGMENT_SIZE = 48;

    private LibraryFile() {}

    /**
     * Requires a library for this platform that is not truncated.
     *
     * @throws NativeLibraryException if it is no regular file, or the file of another system or processor, or truncated
     */
    static void requireWhole(Path library, Platform platform) throws IOException {
        if (!Files.isRegularFile(library)) throw refused(library, "is not a regular file", platform);
        if (platform == Platform.WIN_X86_64) return; // no library for it was ever seen
        try (FileChannel channel = FileChannel.open(library)) {
            ByteBuffer header = read(channel, 0, HEADER);
            boolean elf = platform.suffix().equals(".so");
            if (header.limit() < HEADER || header.getInt(0) != (elf ? ELF : MACH_O_64))
                throw refused(library, "is not a library for " + platform.name(), platform);
            if (elf && header.getShort(0x12) != platform.machine())
                throw refused(library, "is a library for another processor than that of " + platform.name(), platform);
            long end = elf ? endOfElf(header) : endOfMachO(channel, header);
            if (end > channel.size())
                throw refused(
                        library, "is truncated: it has " + channel.size() + " bytes, and should have " + end, platform);
        }
    }

    /** The section headers lie at the end of an ELF file: their offset, size and number are in its header. */
    private static long endOfElf(ByteBuffer header) {
        return header.getLong(0x28) + (long) (header.getShort(0x3a) & 0xffff) * (header.getShort(0x3c) & 0xffff);
    }

    /** The segments of a Mach-O file make it up: each says in its load command where it begins and what its size is. */
    private static long endOfMachO(FileChannel channel, ByteBuffer header) throws IOException {
        int commands = header.getInt(0x10);
        int size = header.getInt(0x14);
        ByteBuffer all = read(channel, 0x20, Math.clamp(size, 0, 1 << 20));
        long end = 0x20L + size;
        int at = 0;
        for (int i = 0; i < commands && at + SEGMENT_SIZE + Long.BYTES <= all.limit(); i++) {
            if (all.getInt(at) == LC_SEGMENT_64)
                end = Math.max(end, all.getLong(at + SEGMENT_OFFSET) + all.getLong(at + SEGMENT_SIZE));
            at += Math.max(all.getInt(at + 4), Long.BYTES);
        }
        return end;
    }

    /** Reads bytes of a file, fewer where the file ends before. */
    private static ByteBuffer read(FileChannel channel, long from, int count) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(count).order(ByteOrder.LITTLE_ENDIAN);
        channel.position(from);
        while (bytes.hasRemaining() && channel.read(bytes) >= 0) {}
        return bytes.flip();
    }

    private static NativeLibraryException refused(Path library, String why, Platform platform) {
        return new NativeLibraryException(library + " " + why + LibTorch.advice(platform));
    }
}
