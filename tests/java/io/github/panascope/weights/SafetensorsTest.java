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
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The safetensors reader on good files and on every way to be bad. */
@ExtendWith(LeakCheck.class)
class SafetensorsTest {
    @TempDir
    private Path folder;

    private Path write(String header, byte[] data) throws IOException {
        byte[] json = header.getBytes(StandardCharsets.UTF_8);
        ByteBuffer bytes = ByteBuffer.allocate(8 + json.length + data.length)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(json.length)
                .put(json)
                .put(data);
        return Files.write(folder.resolve("x.safetensors"), bytes.array());
    }

    private static byte[] floats(float... values) {
        ByteBuffer bytes = ByteBuffer.allocate(values.length * 4).order(ByteOrder.LITTLE_ENDIAN);
        for (float value : values) bytes.putFloat(value);
        return bytes.array();
    }

    @Test
    void tensorsAreReadAndWritingToOneLeavesTheFile() throws IOException {
        // The odd header length leaves the floats unaligned, as files in the wild do.
        Path file = write(
                "{\"__metadata__\":{\"format\":\"pt\"},"
                        + "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                        + "\"h\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[8,10]}}",
                new byte[] {0, 0, (byte) 0x80, 0x3f, 0, 0, 0, 0x40, 0, 0x3c});
        byte[] before = Files.readAllBytes(file);
        try (TensorScope scope = TensorScope.open()) {
            Safetensors tensors = Safetensors.open(file, scope);
            assertEquals(Set.of("a", "h"), tensors.names());
            assertArrayEquals(new float[] {1, 2}, tensors.tensor("a").toFloats());
            assertEquals(DType.FLOAT16, tensors.tensor("h").dtype());
            assertArrayEquals(new float[] {1}, tensors.weight("h", Shape.of(1)).toFloats());
            tensors.tensor("a").zero_();
            tensors.tensor("h").zero_();
        }
        assertArrayEquals(before, Files.readAllBytes(file));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '^',
            value = {
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}} | is truncated: tensor 'a' ends 16"
                        + " bytes after the header",
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}  | needs 8 bytes, but its range is 0"
                        + " to 4",
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}} | its range is -8 to 0",
                "{\"a\":{\"dtype\":\"F4\",\"shape\":[2],\"data_offsets\":[0,8]}}   | has dtype F4, which is not one of",
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}} | impossible shape [-2]",
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,8]}} | impossible"
                        + " shape",
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                        + "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}} | overlaps that of",
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}} | the range of tensor 'a' leaves a"
                        + " gap before it",
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}} | 4 bytes follow its last tensor",
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[9223372036854775800,9223372036854775804]}}"
                        + " | truncated",
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                        + "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}"
                        + " | in its header, the key \"a\" is there twice",
                "{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}} | lacks its dtype, shape or data_offsets",
                "{\"a\":{\"dtype\":\"I32\",\"shape\":[2],\"data_offsets\":[0,8]}} | has dtype int32, and a"
                        + " floating-point dtype was expected",
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,8]}} | has shape [1, 2], and [2] was"
                        + " expected",
                "{\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}} | has no tensor 'a'",
                "[1] | its header is not a JSON object",
                "{{{ | its header is not JSON"
            })
    void badFilesAreRefusedInOneSentence(String header, String expected) throws IOException {
        Path file = write(header, floats(1, 2));
        try (TensorScope scope = TensorScope.open()) {
            InputException e = assertThrows(
                    InputException.class, () -> Safetensors.open(file, scope).weight("a", Shape.of(2)));
            assertTrue(
                    e.getMessage().startsWith(file.toString()) && e.getMessage().contains(expected), e.getMessage());
        }
    }

    @Test
    void whatIsNoSafetensorsFileIsRefused() throws IOException {
        try (TensorScope scope = TensorScope.open()) {
            assertThrows(InputException.class, () -> Safetensors.open(folder.resolve("absent"), scope));
            Path empty = Files.write(folder.resolve("empty"), new byte[0]);
            assertThrows(InputException.class, () -> Safetensors.open(empty, scope));
            Path text = Files.writeString(folder.resolve("text"), "version https://git-lfs.github.com/spec/v1\n");
            assertThrows(InputException.class, () -> Safetensors.open(text, scope));
        }
    }

    @Test
    void cuttingAFileAnywhereIsRefusedOrReadsWhatIsThere() throws IOException {
        Path whole = write("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", floats(1, 2));
        byte[] bytes = Files.readAllBytes(whole);
        try (TensorScope scope = TensorScope.open()) {
            for (int length = 0; length < bytes.length; length++) {
                Path cut = Files.write(folder.resolve("cut" + length), Arrays.copyOf(bytes, length));
                assertThrows(InputException.class, () -> Safetensors.open(cut, scope), "cut at " + length);
            }
        }
    }
}
