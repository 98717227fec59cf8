package io.github.panascope.data;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.util.zip.CRC32;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;

/**
 * The decompressed content of a gzip file, as Python's gzip reads it: a sequence of members, with zeros after each of
 * them skipped. Java's own stream takes a malformed later member, and all that follows it, for the end of the file.
 */
final class GzipMembers extends InputStream {
    /** The first bytes of a member. The last one is the compression method, of which there is only one. */
    private static final int[] MAGIC = {0x1f, 0x8b, 8};

    private static final int HEADER_CHECKSUM = 2;
    private static final int EXTRA = 4;
    private static final int NAME = 8;
    private static final int COMMENT = 16;

    private final InputStream in;
    private final Inflater inflater = new Inflater(true);
    private final CRC32 checksum = new CRC32();
    private final byte[] packed;
    /** The part of {@code packed} that is not consumed yet, apart from what the inflater holds. */
    private int start, end;
    /** Number of bytes of the file before {@code start}. */
    private long place;

    private boolean inMember;
    private boolean ended;

    GzipMembers(InputStream in, int buffer) {
        this.in = in;
        this.packed = new byte[buffer];
    }

    @Override
    public int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] buffer, int offset, int length) throws IOException {
        if (length == 0) return 0;
        while (true) {
            if (!inMember && !beginMember()) return -1;
            int read = inflate(buffer, offset, length);
            if (read > 0) return read;
        }
    }

    /** Decompresses some bytes of the member; returns 0 if the member has ended. */
    private int inflate(byte[] buffer, int offset, int length) throws IOException {
        try {
            while (true) {
                int read = inflater.inflate(buffer, offset, length);
                if (read > 0) {
                    checksum.update(buffer, offset, read);
                    return read;
                }
                if (inflater.finished() || inflater.needsDictionary()) break;
                if (start == end && !fill()) throw new EOFException();
                inflater.setInput(packed, start, end - start);
                skip(end - start);
            }
        } catch (DataFormatException e) {
            throw notGzip(place - inflater.getRemaining());
        }
        int unused = inflater.getRemaining();
        start -= unused;
        place -= unused;
        endMember();
        return 0;
    }

    /** Reads the header of the next member; returns false at the end of the file. */
    private boolean beginMember() throws IOException {
        if (ended) return false;
        boolean first = place == 0;
        while (start < end || fill()) {
            if (first || packed[start] != 0) {
                header();
                return true;
            }
            skip(1); // padding
        }
        ended = true;
        return false;
    }

    private void header() throws IOException {
        long at = place;
        for (int expected : MAGIC) if (next() != expected) throw notGzip(at);
        int flags = next();
        for (int i = 0; i < 6; i++) next(); // time, compression level, and operating system
        if ((flags & EXTRA) != 0) for (int left = number(2); left > 0; left--) next();
        for (int text : new int[] {NAME, COMMENT}) {
            boolean there = (flags & text) != 0;
            while (there && next() != 0) {}
        }
        if ((flags & HEADER_CHECKSUM) != 0) number(2);
        inflater.reset();
        checksum.reset();
        inMember = true;
    }

    /** Reads the checksum and length after a member and compares them with what was decompressed. */
    private void endMember() throws IOException {
        long at = place;
        int expected = number(4);
        int size = number(4);
        if (expected != (int) checksum.getValue() || size != (int) inflater.getBytesWritten())
            throw new IOException("what it unpacks to before byte " + at + " is not what was packed: it is damaged");
        inMember = false;
    }

    /** Reads a little-endian number of the given number of bytes. */
    private int number(int bytes) throws IOException {
        int number = 0;
        for (int i = 0; i < bytes; i++) number |= next() << 8 * i;
        return number;
    }

    private int next() throws IOException {
        if (start == end && !fill()) throw new EOFException();
        int value = packed[start] & 0xff;
        skip(1);
        return value;
    }

    private void skip(int bytes) {
        start += bytes;
        place += bytes;
    }

    private boolean fill() throws IOException {
        start = 0;
        end = Math.max(in.read(packed, 0, packed.length), 0);
        return end > 0;
    }

    private static IOException notGzip(long byteAt) {
        return new IOException("it is not gzip after byte " + byteAt);
    }

    @Override
    public void close() throws IOException {
        inflater.end();
        in.close();
    }
}
