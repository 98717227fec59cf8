package io.github.panascope.cli;

import io.github.panascope.internal.AtomicFile;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Op;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Torch;
import io.github.panascope.weights.Safetensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Models and SAEs with the shapes of published ones and random weights, for measurements. The values of the weights
 * affect times only through the number of active features.
 */
public final class BenchCase {
    /** The number of tokens of GPT-2. */
    public static final int VOCABULARY = 50257;

    /** The number of positions of GPT-2. */
    public static final int CONTEXT = 1024;
    /** The number of features of an SAE of GPT-2. */
    public static final int FEATURES = 24576;
    /** The block whose input the SAE reads. */
    public static final int LAYER = 8;

    private static final double SCALE = 0.05;

    private BenchCase() {}

    /** Writes a GPT-2 in the format of Hugging Face, and returns the size of its weights in bytes. */
    public static long writeModel(Path folder, int layers, int width) {
        Map<String, long[]> shapes = new LinkedHashMap<>();
        shapes.put("wte.weight", new long[] {VOCABULARY, width});
        shapes.put("wpe.weight", new long[] {CONTEXT, width});
        for (int layer = 0; layer < layers; layer++) {
            String block = "h." + layer + ".";
            linear(shapes, block + "attn.c_attn", width, 3L * width);
            linear(shapes, block + "attn.c_proj", width, width);
            linear(shapes, block + "mlp.c_fc", width, 4L * width);
            linear(shapes, block + "mlp.c_proj", 4L * width, width);
            for (String norm : List.of("ln_1", "ln_2")) linear(shapes, block + norm, width);
        }
        linear(shapes, "ln_f", width);
        AtomicFile.write(
                folder.resolve("config.json"),
                ("{\"model_type\": \"gpt2\", \"n_layer\": %d, \"n_embd\": %d, \"n_head\": %d, "
                                + "\"vocab_size\": %d, \"n_positions\": %d}")
                        .formatted(layers, width, width / 64, VOCABULARY, CONTEXT));
        return write(folder.resolve("model.safetensors"), shapes, Map.of());
    }

    private static void linear(Map<String, long[]> shapes, String name, long... weight) {
        shapes.put(name + ".weight", weight);
        shapes.put(name + ".bias", new long[] {weight[weight.length - 1]});
    }

    /**
     * Writes an SAE of 24,576 features in the format of SAELens, and returns the size of its weights in bytes.
     *
     * @param folder the folder to write to
     * @param width  the width of the activation
     * @param bias   the value of all elements of b_enc
     */
    public static long writeSae(Path folder, int width, double bias) {
        Map<String, long[]> shapes = new LinkedHashMap<>();
        shapes.put("W_enc", new long[] {width, FEATURES});
        shapes.put("W_dec", new long[] {FEATURES, width});
        shapes.put("b_enc", new long[] {FEATURES});
        shapes.put("b_dec", new long[] {width});
        AtomicFile.write(
                folder.resolve("cfg.json"),
                ("{\"architecture\": \"standard\", \"d_in\": %d, \"d_sae\": %d, \"hook_name\":"
                                + " \"blocks.%d.hook_resid_pre\", \"context_size\": 128, \"prepend_bos\": true}")
                        .formatted(width, FEATURES, LAYER));
        return write(folder.resolve("sae_weights.safetensors"), shapes, Map.of("b_enc", bias));
    }

    /**
     * Writes a tensor under every name: a part of one random memory, or a constant. Returns the size of all tensors in
     * bytes.
     */
    private static long write(Path file, Map<String, long[]> shapes, Map<String, Double> constants) {
        try (var _ = TensorScope.open()) {
            Torch.seed(0);
            long largest = shapes.values().stream()
                    .mapToLong(BenchCase::elements)
                    .max()
                    .orElseThrow();
            long all = 0;
            Tensor values =
                    Op.of("aten::randn", "").tensor(new long[] {largest}).mul(SCALE);
            Map<String, Tensor> tensors = new LinkedHashMap<>();
            for (var named : shapes.entrySet()) {
                long elements = elements(named.getValue());
                Double constant =
                        named.getKey().matches(".*ln_.*weight") ? Double.valueOf(1) : constants.get(named.getKey());
                Tensor piece = constant != null
                        ? Tensor.zeros(DType.FLOAT32, Shape.of(elements)).add(constant)
                        : values.slice(
                                0,
                                largest - elements - all % (largest - elements + 1),
                                largest - all % (largest - elements + 1));
                tensors.put(named.getKey(), piece.reshape(named.getValue()));
                all += elements * DType.FLOAT32.bytes();
            }
            Safetensors.write(file, tensors);
            return all;
        }
    }

    private static long elements(long[] sizes) {
        return Arrays.stream(sizes).reduce(1, Math::multiplyExact);
    }

    /** Deletes a folder with its content. A failure is printed, not thrown. */
    public static void delete(Path folder) {
        try (var files = Files.walk(folder)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) Files.delete(file);
        } catch (IOException e) {
            System.err.println("panascope: " + folder + " cannot be removed: " + e.getMessage());
        }
    }
}
