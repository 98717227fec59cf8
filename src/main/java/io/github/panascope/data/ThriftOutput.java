package io.github.panascope.data;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.function.Consumer;

/**
 * A writer of structures in Thrift's compact protocol. Each field begins with its type and the difference between its
 * number and that of the preceding field.
 */
final class ThriftOutput extends ByteArrayOutputStream {
    static final int I32 = 5;
    static final int BINARY = 8;
    static final int STRUCT = 12;
    private static final int I64 = 6;
    private static final int LIST = 9;
    private static final int LONG_LIST = 15;

    private int last;

    private void field(int id, int type) {
        write(id - last << 4 | type);
        last = id;
    }

    void i32(int id, int value) {
        field(id, I32);
        number(value);
    }

    void i64(int id, long value) {
        field(id, I64);
        number(value);
    }

    void text(int id, String text) {
        binary(id, text.getBytes(StandardCharsets.UTF_8));
    }

    void binary(int id, byte[] bytes) {
        field(id, BINARY);
        binary(bytes);
    }

    void struct(int id, Consumer<ThriftOutput> fields) {
        field(id, STRUCT);
        struct(fields);
    }

    /** Writes the header of a list; its elements have to follow. */
    void list(int id, int type, int size) {
        field(id, LIST);
        write(Math.min(size, LONG_LIST) << 4 | type);
        if (size >= LONG_LIST) varint(this, size);
    }

    /** Writes a structure as an element of a list. The methods without a field number write elements. */
    void struct(Consumer<ThriftOutput> fields) {
        int before = last;
        last = 0;
        fields.accept(this);
        write(0);
        last = before;
    }

    void binary(byte[] bytes) {
        varint(this, bytes.length);
        writeBytes(bytes);
    }

    void number(long value) {
        varint(this, value << 1 ^ value >> 63);
    }

    static void varint(ByteArrayOutputStream out, long value) {
        for (; (value & ~127L) != 0; value >>>= 7) out.write((int) (value & 127 | 128));
        out.write((int) value);
    }
}
