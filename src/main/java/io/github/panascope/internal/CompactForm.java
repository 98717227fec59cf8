package io.github.panascope.internal;

import io.github.panascope.InputException;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInput;
import java.io.DataInputStream;
import java.io.DataOutput;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.StreamCorruptedException;
import java.util.zip.CRC32C;

/**
 * The bytes in which results travel between processes: the kind of result, the version of its form, the length of its
 * content as a varint, the content, and a CRC-32C of all of these. Damaged bytes are refused, and never make the reader
 * allocate more than a small multiple of what is there.
 *
 * @param name    the kind of result in messages, such as {@code L0}
 * @param kind    the kind of result, a byte that no other kind has
 * @param version the version of the form that is written, and the only one that is read: from 0 to 255
 */
public record CompactForm(String name, char kind, int version) {
    /** The number of bytes that are read at once, because the length may be damaged. */
    private static final int PIECE = 1 << 16;

    private static final int VARINT_BITS = 7;

    /** Writes the content of a result. */
    @FunctionalInterface
    public interface Writer {
        /**
         * Writes the content.
         *
         * @param content what takes the content
         * @throws IOException if the output fails
         */
        void write(DataOutputStream content) throws IOException;
    }

    /**
     * Reads the content of a result.
     *
     * @param <T> the type of the result
     */
    @FunctionalInterface
    public interface Reader<T> {
        /**
         * Reads the content.
         *
         * @param content the content alone, in memory
         * @return the result
         * @throws IOException if the content ends too early or cannot be a result
         */
        T read(DataInputStream content) throws IOException;
    }

    /**
     * Writes a result.
     *
     * @param out    what takes the bytes
     * @param writer writes the content
     * @throws IOException if the output fails
     */
    public void write(DataOutput out, Writer writer) throws IOException {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        writer.write(new DataOutputStream(content));
        byte[] head = head(content.size());
        out.write(head);
        out.write(content.toByteArray());
        out.writeInt(checksum(head, content.toByteArray()));
    }

    /**
     * Reads a result, and nothing after it.
     *
     * @param in     the bytes
     * @param reader reads the content
     * @param <T>    the type of the result
     * @return the result
     * @throws InputException if the bytes are those of another kind or version, are damaged, or end too early
     * @throws IOException    if the input fails
     */
    public <T> T read(DataInput in, Reader<T> reader) throws IOException {
        try {
            int found = in.readUnsignedByte();
            if (found != kind)
                throw new InputException("These bytes begin with " + found + " and not with " + (int) kind
                        + ", so they are not those of " + name + ": give those that its writeTo wrote.");
            found = in.readUnsignedByte();
            if (found != version)
                throw new InputException(
                        "These bytes of " + name + " have version " + found + " of their form, and this"
                                + " Panascope reads version " + version + ": use one version of Panascope throughout.");
            byte[] content = bytes(in, readVarint(in));
            if (in.readInt() != checksum(head(content.length), content))
                throw new StreamCorruptedException("their checksum is another");
            DataInputStream rest = new DataInputStream(new ByteArrayInputStream(content));
            T result = reader.read(rest);
            if (rest.available() > 0) throw new StreamCorruptedException("there is more than belongs to it");
            return result;
        } catch (EOFException | StreamCorruptedException e) {
            throw new InputException(
                    "The bytes of " + name + " are damaged (" + InputException.reason(e) + "): write them again.", e);
        }
    }

    private byte[] head(int length) throws IOException {
        ByteArrayOutputStream head = new ByteArrayOutputStream();
        head.write(kind);
        head.write(version);
        writeVarint(new DataOutputStream(head), length);
        return head.toByteArray();
    }

    private static int checksum(byte[] head, byte[] content) {
        CRC32C crc = new CRC32C();
        crc.update(head);
        crc.update(content);
        return (int) crc.getValue();
    }

    private static byte[] bytes(DataInput in, long length) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        for (long left = length; left != 0; ) {
            if (length < 0 || length > Integer.MAX_VALUE - PIECE)
                throw new StreamCorruptedException("a length of " + Long.toUnsignedString(length) + " bytes");
            byte[] piece = new byte[(int) Math.min(left, PIECE)];
            in.readFully(piece);
            bytes.write(piece);
            left -= piece.length;
        }
        return bytes.toByteArray();
    }

    /**
     * Writes a number in as few bytes as it needs, seven bits in each, the lowest first.
     *
     * @param out   what takes the bytes
     * @param value the number; a negative one takes ten bytes
     * @throws IOException if the output fails
     */
    public static void writeVarint(DataOutput out, long value) throws IOException {
        long rest = value;
        for (; rest >>> VARINT_BITS != 0; rest >>>= VARINT_BITS) out.writeByte((int) rest | 1 << VARINT_BITS);
        out.writeByte((int) rest);
    }

    /**
     * Reads what {@link #writeVarint} wrote.
     *
     * @param in the bytes
     * @return the number
     * @throws IOException if the bytes end too early or go on beyond 64 bits
     */
    public static long readVarint(DataInput in) throws IOException {
        long value = 0;
        for (int shift = 0; shift < Long.SIZE; shift += VARINT_BITS) {
            byte next = in.readByte();
            value |= (long) (next & (1 << VARINT_BITS) - 1) << shift;
            if (next >= 0) return value;
        }
        throw new StreamCorruptedException("a number of more than 64 bits");
    }

    /**
     * Reads a count, size or place.
     *
     * @param in the bytes
     * @return the number, at least 0
     * @throws IOException if the bytes end too early, or the number is negative
     */
    public static long readCount(DataInput in) throws IOException {
        long count = readVarint(in);
        if (count < 0) throw new StreamCorruptedException("a count of " + count);
        return count;
    }

    /**
     * Reads a size that an int holds.
     *
     * @param in the bytes
     * @return the size, at least 0
     * @throws IOException if the bytes end too early, or are no such size
     */
    public static int readSize(DataInput in) throws IOException {
        long size = readCount(in);
        if (size > Integer.MAX_VALUE) throw new StreamCorruptedException("a size of " + size);
        return (int) size;
    }

    /**
     * Reads how many elements follow, each of which takes a byte or more.
     *
     * @param content the content of a result
     * @return the number of elements, which the content has room for
     * @throws IOException if the bytes end too early, or before so many elements
     */
    public static int readLength(DataInputStream content) throws IOException {
        long length = readCount(content);
        if (length > content.available()) throw new StreamCorruptedException("a list of " + length + " elements");
        return (int) length;
    }

    /**
     * Writes counts, most of which are small, each as a varint.
     *
     * @param out    what takes the bytes
     * @param counts the counts
     * @throws IOException if the output fails
     */
    public static void writeCounts(DataOutput out, long[] counts) throws IOException {
        writeVarint(out, counts.length);
        for (long count : counts) writeVarint(out, count);
    }

    /**
     * Reads what {@link #writeCounts} wrote.
     *
     * @param content the content of a result
     * @return the counts, each at least 0
     * @throws IOException if the bytes end too early, or a count is negative
     */
    public static long[] readCounts(DataInputStream content) throws IOException {
        long[] counts = new long[readLength(content)];
        for (int i = 0; i < counts.length; i++) counts[i] = readCount(content);
        return counts;
    }

    /**
     * Writes a text, one byte for an ASCII character.
     *
     * @param out  what takes the bytes
     * @param text the text, of any characters
     * @throws IOException if the output fails
     */
    public static void writeText(DataOutput out, String text) throws IOException {
        writeVarint(out, text.length());
        for (int i = 0; i < text.length(); i++) writeVarint(out, text.charAt(i));
    }

    /**
     * Reads what {@link #writeText} wrote.
     *
     * @param content the content of a result
     * @return the text
     * @throws IOException if the bytes end too early or are no text
     */
    public static String readText(DataInputStream content) throws IOException {
        char[] text = new char[readLength(content)];
        for (int i = 0; i < text.length; i++) {
            long value = readCount(content);
            if (value > Character.MAX_VALUE) throw new StreamCorruptedException("a character of " + value);
            text[i] = (char) value;
        }
        return new String(text);
    }
}
