package io.github.panascope.torch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTimeout;

import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The text of tensors beside PyTorch's, which tests/peers/make_tensor_text.py wrote. */
@OnEachDevice
@ExtendWith(LeakCheck.class)
class TensorTextTest {
    static Stream<JsonNode> tensors() throws IOException {
        Path golden = Path.of("tests/resources/golden/tensor_text.json");
        return JsonMapper.shared()
                .readTree(Files.readString(golden))
                .get("tensors")
                .valueStream();
    }

    private static Shape shape(JsonNode golden) {
        return Shape.of(
                golden.get("shape").valueStream().mapToLong(JsonNode::asLong).toArray());
    }

    private static double[] values(JsonNode golden) {
        JsonNode formula = golden.get("formula");
        if (formula == null)
            return golden.get("values")
                    .valueStream()
                    .mapToDouble(value -> number(value.asString()))
                    .toArray();
        long[] terms = formula.valueStream().mapToLong(JsonNode::asLong).toArray();
        return IntStream.range(0, (int) shape(golden).elements())
                .mapToDouble(i -> (i * terms[0] % terms[1] - terms[2]) / (double) terms[3])
                .toArray();
    }

    private static double number(String python) {
        return switch (python) {
            case "nan" -> Double.NaN;
            case "inf" -> Double.POSITIVE_INFINITY;
            case "-inf" -> Double.NEGATIVE_INFINITY;
            default -> Double.parseDouble(python);
        };
    }

    @ParameterizedTest
    @MethodSource("tensors")
    void equalsPyTorchs(JsonNode golden) {
        try (var _ = TensorScope.open()) {
            DType dtype = DType.ofName(golden.get("dtype").asString());
            Tensor tensor = Tensor.of(values(golden), shape(golden)).to(dtype).to(TestDevice.DEVICE);
            String text = tensor.toString();
            String behind = ", shape=" + shape(golden) + ", dtype=" + dtype + ", device=" + TestDevice.DEVICE + ")";
            String[] parts = text.split("(?=,\\s+shape=)");
            assertEquals(golden.get("text").asString(), parts[0]);
            assertEquals(behind, parts[1].replaceAll(",\\s+", ", "));
            assertEquals(0, text.lines().filter(line -> line.length() > 80).count(), text);
        }
    }

    @Test
    void shapeDtypeAndDeviceComeLast() {
        try (var _ = TensorScope.open()) {
            Tensor x = Tensor.of(new float[] {1, 2, 3, 4, 5, 6.5f}, Shape.of(2, 3));
            assertEquals("""
                tensor([[1.0000, 2.0000, 3.0000],
                        [4.0000, 5.0000, 6.5000]], shape=[2, 3], dtype=float32, device=cpu)\
                """, x.toString());
            assertEquals("Tensor(float32, [2, 3], cpu)", x.describe());
            assertEquals(
                    """
                    tensor([0.1000, 0.1000, 0.1000, 0.1000, 0.1000, 0.1000, 0.1000], shape=[7],
                           dtype=float64, device=cpu)\
                    """,
                    Tensor.full(DType.FLOAT64, Shape.of(7), 0.1, Device.CPU).toString());
        }
    }

    /** A copy of the whole would take 12 GB, of which this tensor has the memory of one number. */
    @Test
    void onlyTheEndsAreCopied() {
        try (var _ = TensorScope.open()) {
            Tensor wide = Tensor.full(DType.FLOAT32, Shape.of(1), 0.5, TestDevice.DEVICE)
                    .expand(32, 1024, 100_000);
            String text = assertTimeout(Duration.ofSeconds(2), wide::toString);
            assertEquals(6 * 6 * 6, text.split("0\\.5000", -1).length - 1);
            assertEquals(
                    "Tensor(float32, [6, 6, 6, 6, 6, 6, 6], " + TestDevice.DEVICE + ")",
                    Tensor.zeros(DType.FLOAT32, Shape.of(6, 6, 6, 6, 6, 6, 6), TestDevice.DEVICE)
                            .toString());
        }
    }
}
