package io.github.panascope.weights;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import io.github.panascope.LeakCheck;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.TensorScope;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Archives of numpy arrays: what is read, and what is refused by name. SaeLayoutTest has archives of numpy's own. */
@ExtendWith(LeakCheck.class)
class NpzTest {
    @TempDir
    private Path folder;

    private static byte[] array(String header, int version, byte[] elements) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write(new byte[] {(byte) 0x93, 'N', 'U', 'M', 'P', 'Y', (byte) version, 0});
        byte[] text = header.getBytes(StandardCharsets.UTF_8);
        ByteBuffer length = ByteBuffer.allocate(version == 1 ? 2 : 4).order(ByteOrder.LITTLE_ENDIAN);
        if (version == 1) length.putShort((short) text.length);
        else length.putInt(text.length);
        out.write(length.array());
        out.write(text);
        out.write(elements);
        return out.toByteArray();
    }

    private static byte[] floats(float... numbers) {
        ByteBuffer bytes = ByteBuffer.allocate(4 * numbers.length).order(ByteOrder.LITTLE_ENDIAN);
        for (float number : numbers) bytes.putFloat(number);
        return bytes.array();
    }

    private Path npz(boolean deflated, String name, byte[] content) throws IOException {
        Path file = folder.resolve("x.npz");
        try (OutputStream out = Files.newOutputStream(file);
                ZipOutputStream zip = new ZipOutputStream(out)) {
            ZipEntry entry = new ZipEntry(name);
            CRC32 crc = new CRC32();
            crc.update(content);
            entry.setCrc(crc.getValue());
            entry.setSize(content.length);
            if (!deflated) entry.setCompressedSize(content.length);
            entry.setMethod(deflated ? ZipEntry.DEFLATED : ZipEntry.STORED);
            zip.putNextEntry(entry);
            zip.write(content);
        }
        return file;
    }

    private static String header(String descr, boolean fortran, String shape) {
        return "{'descr': " + descr + ", 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': " + shape
                + ", }   \n";
    }

    @ParameterizedTest
    @CsvSource({"false,1", "true,1", "false,2", "true,3"})
    void bothOrdersAreRead(boolean deflated, int version) throws IOException {
        byte[] elements = floats(1, 2, 3, 4, 5, 6);
        try (var scope = TensorScope.open()) {
            byte[] rows = array(header("'<f4'", false, "(2, 3)"), version, elements);
            StateDict file = StateDict.open(npz(deflated, "w_enc.npy", rows), scope);
            assertEquals(Set.of("w_enc"), file.names());
            assertEquals(Shape.of(2, 3), file.shape("w_enc"));
            assertEquals(DType.FLOAT32, file.dtype("w_enc"));
            assertArrayEquals(
                    new float[] {1, 2, 3, 4, 5, 6}, file.tensor("w_enc").toFloats());
            byte[] columns = array(header("'<f4'", true, "(2, 3)"), version, elements);
            file = StateDict.open(npz(deflated, "w_enc.npy", columns), scope);
            assertEquals(Shape.of(2, 3), file.tensor("w_enc").shape());
            assertArrayEquals(
                    new float[] {1, 3, 5, 2, 4, 6}, file.tensor("w_enc").toFloats());
        }
    }

    @Test
    void aSingleNumberHasNoDimension() throws IOException {
        try (var scope = TensorScope.open()) {
            StateDict file =
                    StateDict.open(npz(true, "k.npy", array(header("'<f4'", false, "()"), 1, floats(7))), scope);
            assertEquals(0, file.shape("k").rank());
            assertEquals(7, file.tensor("k").item());
        }
    }

    /** A large stored array is mapped; a small one beside it does not keep the archive in memory. */
    @Test
    void aLargeArrayIsReadToItsEnd() throws IOException {
        float[] numbers = new float[300_001];
        for (int i = 0; i < numbers.length; i++) numbers[i] = i;
        byte[] content = array(header("'<f4'", false, "(300001,)"), 1, floats(numbers));
        for (boolean deflated : new boolean[] {false, true}) {
            try (var scope = TensorScope.open()) {
                StateDict file = StateDict.open(npz(deflated, "a.npy", content), scope);
                assertArrayEquals(numbers, file.tensor("a").toFloats());
            }
        }
    }

    private void assertRefused(String part, String member, byte[] content) throws IOException {
        Path file = npz(true, member, content);
        try (var scope = TensorScope.open()) {
            InputException e = assertThrows(
                    InputException.class, () -> StateDict.open(file, scope).tensor("a"));
            assertTrue(e.getMessage().contains(part), e.getMessage());
        }
    }

    @Test
    void pythonObjectsAreRefusedByName() throws IOException {
        assertRefused(
                "the array 'a.npy' holds Python objects (dtype '|O')",
                "a.npy",
                array(header("'|O'", false, "(1,)"), 1, new byte[] {1, 2, 3}));
    }

    @ParameterizedTest
    @ValueSource(strings = {"'>f4'", "'<c8'", "'<U4'", "'|V2'", "[('x', '<f4')]"})
    void otherTypesAreRefusedByName(String descr) throws IOException {
        assertRefused("has dtype " + descr, "a.npy", array(header(descr, false, "(1,)"), 1, floats(1)));
    }

    @Test
    void damageIsOneSentence() throws IOException {
        assertRefused("does not begin as an array", "a.npy", "hello, world".getBytes(StandardCharsets.UTF_8));
        assertRefused("has version 9", "a.npy", array(header("'<f4'", false, "(1,)"), 9, floats(1)));
        assertRefused(
                "needs 8 bytes, and the archive says that it has 4",
                "a.npy",
                array(header("'<f4'", false, "(2,)"), 1, floats(1)));
        assertRefused(
                "impossible shape", "a.npy", array(header("'<f4'", false, "(99999999999999999999,)"), 1, floats(1)));
        assertRefused("is not understood", "a.npy", array("{'descr': '<f4'}", 1, floats(1)));
        byte[] whole = array(header("'<f4'", false, "(1000,)"), 1, new byte[4000]);
        Path file = npz(true, "a.npy", whole);
        byte[] bytes = Files.readAllBytes(file);
        for (int i = 45; i < 60; i++) bytes[i] = (byte) 0xff; // in the middle of the deflated stream
        Files.write(file, bytes);
        try (var scope = TensorScope.open()) {
            InputException e = assertThrows(
                    InputException.class, () -> StateDict.open(file, scope).tensor("a"));
            assertTrue(e.getMessage().contains("x.npz"), e.getMessage());
        }
    }
}
