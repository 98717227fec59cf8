package io.github.panascope.sae;

import io.github.panascope.InputException;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.StateDict;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/**
 * Collects the weights of an SAE from a file that has them under other names or transposed. Every weight that the
 * configuration needs has to be there in its shape, and every tensor of the file has to have a meaning.
 */
final class WeightReader {
    private final StateDict file;
    private final SaeConfig config;
    private final Map<String, Shape> shapes;
    private final Set<String> left;
    private final Map<String, Tensor> found = new HashMap<>();
    /** The name of the first tensor that was wanted and is not there; null if there is none. */
    private String missing;

    WeightReader(StateDict file, SaeConfig config) {
        this.file = file;
        this.config = config;
        this.shapes = SaeFunction.shapes(config);
        this.left = new TreeSet<>(file.names());
    }

    /** Reads a weight, if the SAE has it, from the first of some names that the file has. */
    WeightReader take(String weight, String... names) {
        Shape shape = shapes.get(weight);
        if (shape != null) name(names).ifPresent(name -> found.put(weight, file.weight(name, shape)));
        return this;
    }

    /** Reads a matrix, if the SAE has it, that the file holds transposed. */
    WeightReader takeTransposed(String weight, String... names) {
        Shape shape = shapes.get(weight);
        if (shape != null) {
            Shape there = Shape.of(shape.size(1), shape.size(0));
            name(names)
                    .ifPresent(
                            name -> found.put(weight, file.weight(name, there).t()));
        }
        return this;
    }

    /** Reads a matrix, if the SAE has it, that is there under one name as it is or under another transposed. */
    WeightReader takeEither(String weight, String name, String transposed) {
        return file.has(name) ? take(weight, name) : takeTransposed(weight, transposed);
    }

    /** Reads a threshold, if the SAE has one; a single number counts for all features. */
    WeightReader takeThreshold() {
        if (shapes.containsKey("threshold")
                && file.has("threshold")
                && file.shape("threshold").rank() == 0) {
            left.remove("threshold");
            return put(
                    "threshold",
                    Tensor.zeros(file.dtype("threshold"), shapes.get("threshold"))
                            .add(file.tensor("threshold")));
        }
        return take("threshold", "threshold");
    }

    /** Returns a tensor of the file, from which a weight is computed. */
    Tensor tensor(String name, Shape shape) {
        left.remove(name);
        return file.weight(name, shape);
    }

    /** Returns a weight that was read. */
    Tensor get(String weight) {
        requireAll();
        return found.get(weight);
    }

    /** Takes a weight that was computed. */
    WeightReader put(String weight, Tensor tensor) {
        found.put(weight, tensor);
        return this;
    }

    /** Leaves out tensors, if they are there, that encoding and decoding do not use. */
    WeightReader ignore(String... names) {
        left.removeAll(Arrays.asList(names));
        return this;
    }

    /**
     * Leaves out the factors of features, which old files carry, if all are 1. Factors of 1 change nothing; any others
     * make another SAE.
     */
    WeightReader ignoreOnes() {
        if (!left.remove("scaling_factor")) return this;
        try (var _ = TensorScope.open()) {
            for (float factor : file.tensor("scaling_factor").to(DType.FLOAT32).toFloats()) {
                if (!(Math.abs(factor - 1) <= 1e-5))
                    throw new InputException(
                            file.file() + ": 'scaling_factor' is not all ones; fine-tuned SAEs are not supported.");
            }
        }
        return this;
    }

    /** Returns all weights, after a check that the file holds nothing else. */
    Map<String, Tensor> finish() {
        requireAll();
        Map<String, Tensor> ordered = new LinkedHashMap<>();
        for (String weight : shapes.keySet()) ordered.put(weight, found.get(weight));
        return ordered;
    }

    /** Checks the names of the file's tensors: first that each has a meaning, because that tells more. */
    private void requireAll() {
        if (!left.isEmpty()) {
            throw new InputException(file.file() + " holds tensors that an SAE of the architecture '"
                    + config.architecture() + "' does not have: " + String.join(", ", left)
                    + ". Is it of another architecture?");
        }
        if (missing != null) throw file.missing(missing);
    }

    /** Returns the first of the names that the file has; notes the first name if it has none. */
    private Optional<String> name(String... names) {
        Optional<String> first = List.of(names).stream().filter(file::has).findFirst();
        first.ifPresent(left::remove);
        if (first.isEmpty() && missing == null) missing = names[0];
        return first;
    }
}
