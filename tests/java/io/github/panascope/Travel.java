package io.github.panascope;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInput;
import java.io.DataInputStream;
import java.io.DataOutput;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.zip.CRC32C;

/**
 * What holds for every result that travels between processes in a compact form.
 *
 * @param writer the result's {@code writeTo}
 * @param reader the class's {@code readFrom}
 * @param <T>    the class of the result
 */
public record Travel<T>(Writer<T> writer, Reader<T> reader) {
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    /** Writes a result. */
    public interface Writer<T> {
        void write(T result, DataOutput out) throws IOException;
    }

    /** Reads a result. */
    public interface Reader<T> {
        T read(DataInput in) throws IOException;
    }

    /** Makes one result of two; it may change the first. */
    public interface Merge<T> {
        T merge(T first, T second);
    }

    public byte[] bytes(T result) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        writer.write(result, new DataOutputStream(out));
        return out.toByteArray();
    }

    public T read(byte[] bytes) throws IOException {
        return reader.read(new DataInputStream(new ByteArrayInputStream(bytes)));
    }

    /** Merges two results at a time, at random places, until one is left; each travels before it is merged. */
    public T tree(List<T> parts, Random random, Merge<T> merge) throws IOException {
        List<T> left = new ArrayList<>(parts);
        while (left.size() > 1) {
            T first = read(bytes(left.remove(random.nextInt(left.size()))));
            T second = read(bytes(left.remove(random.nextInt(left.size()))));
            byte[] before = bytes(second);
            left.add(random.nextInt(left.size() + 1), merge.merge(first, second));
            assertArrayEquals(before, bytes(second));
        }
        return left.getFirst();
    }

    /** Checks that a result comes back from its bytes and from Java serialization, and nothing after it is read. */
    public void assertComesBack(T result) throws IOException, ClassNotFoundException {
        byte[] bytes = bytes(result);
        DataInputStream twice =
                new DataInputStream(new ByteArrayInputStream(concatenated(bytes, bytes, new byte[] {1, 2})));
        for (int i = 0; i < 2; i++) assertArrayEquals(bytes, bytes(reader.read(twice)));
        assertArrayEquals(new byte[] {1, 2}, twice.readAllBytes());
        ByteArrayOutputStream serialized = new ByteArrayOutputStream();
        try (ObjectOutputStream out = new ObjectOutputStream(serialized)) {
            out.writeObject(result);
            out.writeObject(result);
        }
        assertTrue(serialized.size() < bytes.length + bytes.length / 100 + 200, serialized.size() + " bytes");
        try (ObjectInputStream in = new ObjectInputStream(new ByteArrayInputStream(serialized.toByteArray()))) {
            Object first = in.readObject();
            @SuppressWarnings("unchecked")
            T back = (T) first;
            assertArrayEquals(bytes, bytes(back));
            assertTrue(in.readObject() == first);
        }
    }

    /** Checks that damaged bytes are refused in one sentence, and take little memory. */
    public void assertDamageIsRefused(T result) throws IOException {
        byte[] bytes = bytes(result);
        for (int length = 0; length < bytes.length; length++) {
            byte[] prefix = Arrays.copyOf(bytes, length);
            assertThrows(InputException.class, () -> readSparingly(prefix));
        }
        Random random = new Random(7);
        for (int round = 0; round < 2000; round++) {
            byte[] changed = bytes.clone();
            for (int i = random.nextInt(1, 4); i > 0; i--)
                changed[random.nextInt(changed.length)] ^= (byte) random.nextInt(1, 256);
            if (Arrays.equals(bytes, changed)) continue;
            InputException e = assertThrows(InputException.class, () -> readSparingly(changed));
            assertTrue(e.getMessage().matches("[A-Z].*[a-z]\\."), e.getMessage());
        }
        byte[] version = bytes.clone();
        version[1]++;
        InputException e = assertThrows(InputException.class, () -> readSparingly(version));
        assertTrue(e.getMessage().contains("version 2"), e.getMessage());
    }

    /** Checks that bytes with wrong content and a right checksum are read as another result or refused. */
    public void assertForgeriesDoNoHarm(T result) throws IOException {
        byte[] bytes = bytes(result);
        Random random = new Random(8);
        int refused = 0;
        for (int round = 0; round < 5000; round++) {
            byte[] changed = bytes.clone();
            int head = 2; // the kind and the version
            for (int i = random.nextInt(1, 4); i > 0; i--)
                changed[random.nextInt(head, changed.length - Integer.BYTES)] ^= (byte) random.nextInt(1, 256);
            CRC32C crc = new CRC32C();
            crc.update(changed, 0, changed.length - Integer.BYTES);
            ByteBuffer.wrap(changed).putInt(changed.length - Integer.BYTES, (int) crc.getValue());
            try {
                bytes(readSparingly(changed));
            } catch (InputException e) {
                refused++;
            }
        }
        assertNotEquals(0, refused);
    }

    private T readSparingly(byte[] bytes) throws IOException {
        long before = THREADS.getCurrentThreadAllocatedBytes();
        try {
            return read(bytes);
        } finally {
            long allocated = THREADS.getCurrentThreadAllocatedBytes() - before;
            assertTrue(allocated < (1 << 18) + 100L * bytes.length, allocated + " bytes for " + bytes.length);
        }
    }

    private static byte[] concatenated(byte[]... parts) {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        for (byte[] part : parts) all.writeBytes(part);
        return all.toByteArray();
    }
}
