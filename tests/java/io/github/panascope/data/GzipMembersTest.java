package io.github.panascope.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Random;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What Python's gzip reads is read, and what it refuses is refused. */
class GzipMembersTest {
    private static byte[] packed(byte[] content) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (OutputStream gzip = new GZIPOutputStream(out)) {
            gzip.write(content);
        }
        return out.toByteArray();
    }

    private static byte[] packed(String content) throws IOException {
        return packed(content.getBytes(StandardCharsets.UTF_8));
    }

    private static byte[] joined(byte[]... parts) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (byte[] part : parts) out.writeBytes(part);
        return out.toByteArray();
    }

    private static String read(byte[] file) throws IOException {
        try (GzipMembers in = new GzipMembers(new ByteArrayInputStream(file), 16)) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    private static void assertNotGzip(int after, byte[] file) {
        IOException e = assertThrows(IOException.class, () -> read(file));
        assertEquals("it is not gzip after byte " + after, e.getMessage());
    }

    @Test
    void membersAndTheZerosAfterThemAreRead() throws IOException {
        assertEquals("one two three", read(joined(packed("one "), packed("two "), new byte[40], packed("three"))));
        assertEquals("one", read(joined(packed("one"), new byte[100])));
        assertEquals("", read(packed("")));
        assertEquals("", read(new byte[0]));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 7, 64, 1 << 16})
    void anyBufferGivesTheSameBytes(int buffer) throws IOException {
        byte[] content = new byte[100_000];
        new Random(1).nextBytes(content);
        Arrays.fill(content, 20_000, 60_000, (byte) 'x');
        byte[] file = joined(packed(content), packed(content));
        try (GzipMembers in = new GzipMembers(new ByteArrayInputStream(file), buffer)) {
            assertArrayEquals(joined(content, content), in.readAllBytes());
        }
    }

    @Test
    void optionalFieldsOfTheHeaderArePassedOver() throws IOException {
        byte[] file = packed("text");
        byte[] header = Arrays.copyOf(file, 10);
        header[3] = 2 | 4 | 8 | 16;
        byte[] fields = {3, 0, 'a', 0, 'b', 'n', 'a', 'm', 'e', 0, 'n', 'o', 't', 'e', 0, 1, 2};
        assertEquals("text", read(joined(header, fields, Arrays.copyOfRange(file, 10, file.length))));
    }

    @Test
    void whatFollowsAMemberAndIsNoneIsRefusedWithItsPlace() throws IOException {
        byte[] one = packed("one");
        assertNotGzip(0, "plain text".getBytes(StandardCharsets.UTF_8));
        assertNotGzip(0, joined(new byte[3], one));
        assertNotGzip(one.length, joined(one, "rest".getBytes(StandardCharsets.UTF_8)));
        assertNotGzip(one.length + 5, joined(one, new byte[5], new byte[] {0x1f, (byte) 0x8b, 7}));
        byte[] malformed = packed("two");
        malformed[10] = (byte) 0xff; // a block of no kind
        IOException e = assertThrows(IOException.class, () -> read(joined(one, malformed)));
        assertEquals("it is not gzip after byte " + (one.length + 11), e.getMessage());
    }

    @Test
    void aMemberThatIsCutOrDamagedIsRefused() throws IOException {
        byte[] one = packed("one");
        byte[] two = packed("two and more");
        for (int kept = 1; kept < two.length; kept++) {
            byte[] cut = joined(one, Arrays.copyOf(two, kept));
            assertThrows(EOFException.class, () -> read(cut), kept + " bytes");
        }
        for (int at : new int[] {two.length - 8, two.length - 1}) {
            byte[] damaged = two.clone();
            damaged[at] ^= 1;
            IOException e = assertThrows(IOException.class, () -> read(joined(one, damaged)));
            assertEquals(
                    "what it unpacks to before byte " + (one.length + two.length - 8)
                            + " is not what was packed: it is damaged",
                    e.getMessage());
        }
    }
}
