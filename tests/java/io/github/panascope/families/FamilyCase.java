package io.github.panascope.families;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.TestDevice;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.model.WeightProcessing;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.Safetensors;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** A tiny model of a family, and what TransformerLens makes of it: see tests/peers/make_families.py. */
record FamilyCase(String name, Path folder) {
    private static final Path ALL = Path.of("tests/resources/golden/families");

    static Stream<FamilyCase> all() throws IOException {
        try (Stream<Path> folders = Files.list(ALL)) {
            return folders.sorted().map(FamilyCase::of).toList().stream();
        }
    }

    /** Those with features.safetensors. */
    static Stream<FamilyCase> withFeatures() throws IOException {
        return all().filter(each -> Files.exists(each.folder.resolve("features.json")));
    }

    static FamilyCase of(String name) {
        return of(ALL.resolve(name));
    }

    private static FamilyCase of(Path folder) {
        return new FamilyCase(folder.getFileName().toString(), folder);
    }

    HookedTransformer load(WeightProcessing processing) {
        return load(processing, DType.FLOAT32);
    }

    HookedTransformer load(WeightProcessing processing, DType dtype) {
        return HookedTransformer.fromPretrained(
                folder.resolve("model").toString(),
                TestDevice.options(processing).dtype(dtype));
    }

    /** The tokens of the goldens, int64 [1, pos]; {@code long_tokens} are more than the windows. */
    Tensor tokens(String key, TensorScope scope) {
        return Safetensors.open(folder.resolve("expected.safetensors"), scope).tensor(key);
    }

    Safetensors features(TensorScope scope) {
        return Safetensors.open(folder.resolve("features.safetensors"), scope);
    }

    JsonNode featuresJson() {
        try {
            return JsonMapper.shared().readTree(Files.readString(folder.resolve("features.json")));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The largest difference of two tensors, as a share of the largest value of the first. */
    static double difference(Tensor expected, Tensor actual) {
        assertEquals(expected.shape(), actual.shape());
        float[] e = expected.to(DType.FLOAT32).toFloats();
        float[] a = actual.to(DType.FLOAT32).toFloats();
        double largest = 0;
        double worst = 0;
        for (int i = 0; i < e.length; i++) {
            if (e[i] == a[i]) continue;
            worst = Math.max(worst, Float.isNaN(a[i]) ? Double.POSITIVE_INFINITY : Math.abs(e[i] - a[i]));
        }
        for (float value : e) if (Float.isFinite(value)) largest = Math.max(largest, Math.abs(value));
        return worst == 0 ? 0 : worst / largest;
    }

    static void assertClose(Tensor expected, Tensor actual, double tolerance, String what) {
        assertEquals(expected.shape(), actual.shape(), what);
        double found = difference(expected, actual);
        assertTrue(found <= tolerance, what + " differs by " + found + " of the largest value");
    }

    @Override
    public String toString() {
        return name;
    }
}
