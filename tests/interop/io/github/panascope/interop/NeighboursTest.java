package io.github.panascope.interop;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtSession;
import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.io.ByteArrayOutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/**
 * Beside other native libraries: ONNX Runtime in the same JVM, both at work at once and on the same memory; Python's
 * torch in another process ({@code -Dpanascope.python=...} names one that has it).
 * {@code mvn -Pinterop test -Dtest=NeighboursTest}.
 */
@ExtendWith(LeakCheck.class)
class NeighboursTest {
    @TempDir
    private Path folder;

    /** Protocol buffers by hand: a model of one MatMul is a hundred bytes. */
    private static final class Message {
        private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

        private void varint(long value) {
            for (; value > 127; value >>>= 7) bytes.write((int) (value & 127 | 128));
            bytes.write((int) value);
        }

        Message number(int field, long value) {
            varint(field << 3);
            varint(value);
            return this;
        }

        Message raw(int field, byte[] value) {
            varint(field << 3 | 2);
            varint(value.length);
            bytes.writeBytes(value);
            return this;
        }

        Message text(int field, String value) {
            return raw(field, value.getBytes(StandardCharsets.UTF_8));
        }

        Message message(int field, Message value) {
            return raw(field, value.bytes.toByteArray());
        }
    }

    private static Message matrix(String name, long rows, long columns) {
        Message shape =
                new Message().message(1, new Message().number(1, rows)).message(1, new Message().number(1, columns));
        return new Message()
                .text(1, name)
                .message(2, new Message().message(1, new Message().number(1, 1).message(2, shape)));
    }

    /** y [rows, columns] = x [rows, inner] · w. */
    private static byte[] matmul(long rows, long inner, long columns, float[] w) {
        ByteBuffer raw = ByteBuffer.allocate(w.length * 4).order(ByteOrder.LITTLE_ENDIAN);
        for (float value : w) raw.putFloat(value);
        Message weights = new Message()
                .number(1, inner)
                .number(1, columns)
                .number(2, 1)
                .text(8, "w")
                .raw(9, raw.array());
        Message node = new Message().text(1, "x").text(1, "w").text(2, "y").text(4, "MatMul");
        Message graph = new Message()
                .message(1, node)
                .text(2, "g")
                .message(5, weights)
                .message(11, matrix("x", rows, inner))
                .message(12, matrix("y", rows, columns));
        return new Message()
                .number(1, 8)
                .message(7, graph)
                .message(8, new Message().text(1, "").number(2, 13))
                .bytes
                .toByteArray();
    }

    @Test
    void onnxRuntimeWorksBesideItAndOnItsMemory() throws Exception {
        try (var _ = TensorScope.open();
                HookedTransformer model = HookedTransformer.fromPretrained(
                        "gpt2-small",
                        HookedTransformer.Options.DEFAULT.hub(Golden.standardA().hub()));
                OrtEnvironment environment = OrtEnvironment.getEnvironment();
                var threads = Executors.newFixedThreadPool(2)) {
            Tensor weights = model.weight("blocks.0.mlp.W_in").contiguous();
            Tensor resid = model.forward(model.toTokens("The harbour was quiet"))
                    .stopAtLayer(1)
                    .select(0, 0)
                    .contiguous();
            long rows = resid.size(0);
            long inner = resid.size(1);
            long columns = weights.size(1);
            Tensor ours = resid.matmul(weights);
            try (OrtSession session = environment.createSession(matmul(rows, inner, columns, weights.toFloats()))) {
                MemorySegment memory = resid.segment();
                try (OnnxTensor input = OnnxTensor.createTensor(
                                environment,
                                memory.asByteBuffer()
                                        .order(ByteOrder.nativeOrder())
                                        .asFloatBuffer(),
                                new long[] {rows, inner});
                        var output = session.run(Map.of("x", input))) {
                    ByteBuffer result = ((OnnxTensor) output.get(0)).getByteBuffer();
                    Tensor theirs = Tensor.of(floats(result), Shape.of(rows, columns));
                    Golden.assertClose(ours, theirs, "one product by two libraries");
                }
                String expected = model.generate("The harbour").maxNewTokens(10).text();
                Callable<Void> generates = () -> {
                    try (var _ = TensorScope.open()) {
                        for (int i = 0; i < 20; i++)
                            assertEquals(
                                    expected,
                                    model.generate("The harbour")
                                            .maxNewTokens(10)
                                            .text());
                    }
                    return null;
                };
                Callable<Void> multiplies = () -> {
                    try (OnnxTensor input = OnnxTensor.createTensor(environment, new float[(int) rows][(int) inner])) {
                        for (int i = 0; i < 2000; i++)
                            session.run(Map.of("x", input)).close();
                    }
                    return null;
                };
                for (var future : threads.invokeAll(List.of(generates, multiplies))) future.get();
            }
        }
    }

    private static float[] floats(ByteBuffer bytes) {
        float[] values = new float[bytes.remaining() / 4];
        bytes.asFloatBuffer().get(values);
        return values;
    }

    /** torch.from_file and a tensor here over one shared mapping: both see what either writes. */
    @Test
    void pythonsTorchSharesAMapping() throws Exception {
        String python = System.getProperty("panascope.python");
        assumeTrue(python != null, "-Dpanascope.python names no Python with torch");
        Path file = folder.resolve("shared");
        try (Arena arena = Arena.ofConfined();
                FileChannel channel = FileChannel.open(
                        file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
                var _ = TensorScope.open()) {
            MemorySegment memory = channel.map(FileChannel.MapMode.READ_WRITE, 0, 4 * 1000, arena);
            Tensor tensor = Tensor.wrap(memory, DType.FLOAT32, Shape.of(10, 100));
            tensor.copy_(Tensor.zeros(DType.FLOAT32, Shape.of(10, 100)).add(3));
            String script =
                    "import sys, torch; t = torch.from_file(sys.argv[1], shared=True, size=1000, dtype=torch.float32);"
                            + " print(t.sum().item()); t.mul_(t + 1)";
            Process process = new ProcessBuilder(python, "-c", script, file.toString())
                    .redirectError(ProcessBuilder.Redirect.INHERIT)
                    .start();
            assertEquals("3000.0", new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip());
            assertEquals(0, process.waitFor());
            assertTrue(tensor.sameElements(tensor.zerosLike().add(12)));
        }
    }
}
