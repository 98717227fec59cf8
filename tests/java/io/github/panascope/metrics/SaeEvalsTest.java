package io.github.panascope.metrics;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;

/** Every metric against sae_lens.evals: see tests/peers/make_evals.py. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class SaeEvalsTest {
    private static final Golden GOLDEN = Golden.of("evals");
    /** Sums of float32 in another order; the peers' are float32 throughout. */
    private static final double RELATIVE = 1e-4;

    private static final double ABSOLUTE = 2e-5;

    private static void assertClose(double expected, double actual, String what) {
        assertEquals(expected, actual, Math.max(ABSOLUTE, RELATIVE * Math.abs(expected)), what);
    }

    @Test
    void partsMergeToTheWhole() {
        try (var _ = TensorScope.open();
                HookedTransformer model = Golden.standardA().loadModel();
                Sae sae = TestDevice.sae(Path.of("tests/resources/golden/standard_a/sae"))) {
            JsonNode rows = GOLDEN.expected().get("standard").get("tokens");
            Tensor tokens = Tensor.of(
                    rows.valueStream()
                            .flatMap(JsonNode::valueStream)
                            .mapToLong(JsonNode::longValue)
                            .toArray(),
                    Shape.of(rows.size(), rows.get(0).size()));
            SaeEvals whole = SaeEvals.run(model, sae, tokens, 4, 12, true, done -> {});
            SaeEvals part = SaeEvals.run(model, sae, tokens.slice(0, 8, 12), 4, 4, true, done -> {});
            part.merge(SaeEvals.run(model, sae, tokens.slice(0, 0, 8), 4, 8, true, done -> {}));
            whole.metrics()
                    .forEach((group, metrics) -> metrics.forEach((name, value) ->
                            assertEquals(value, part.metrics().get(group).get(name), 1e-9 * Math.abs(value), name)));
            whole.featureMetrics(sae)
                    .forEach((name, values) ->
                            assertArrayEquals(values, part.featureMetrics(sae).get(name), 1e-12, name));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> whole.merge(SaeEvals.run(model, sae, tokens.slice(0, 0, 2), 2, 2, true, done -> {})));
        }
    }

    @ParameterizedTest
    @CsvSource({
        "standard, standard_a, standard_a/sae",
        "gated, gated_b, gated_b/sae",
        "topk, topk_d, topk_d/sae",
        "hook_z, standard_a, attached/jumprelu_z"
    })
    void everyMetricEqualsSaeLens(String name, String hub, String sae) {
        JsonNode expected = GOLDEN.expected().get(name);
        try (var _ = TensorScope.open();
                HookedTransformer model = Golden.of(hub).loadModel();
                Sae loaded = TestDevice.sae(Path.of("tests/resources/golden/" + sae))) {
            JsonNode rows = expected.get("tokens");
            Tensor tokens = Tensor.of(
                    rows.valueStream()
                            .flatMap(JsonNode::valueStream)
                            .mapToLong(JsonNode::longValue)
                            .toArray(),
                    Shape.of(rows.size(), rows.get(0).size()));
            for (String kind : List.of("exclude", "all")) {
                SaeEvals evals = SaeEvals.run(model, loaded, tokens, 4, 8, kind.equals("exclude"), done -> {});
                Map<String, Map<String, Double>> metrics = evals.metrics();
                int compared = 0;
                for (Map<String, Double> group : metrics.values()) {
                    for (var metric : group.entrySet()) {
                        assertClose(
                                expected.get(kind).get(metric.getKey()).doubleValue(),
                                metric.getValue(),
                                name + " " + kind + " " + metric.getKey());
                        compared++;
                    }
                }
                assertEquals(17, compared);
                evals.featureMetrics(loaded).forEach((metric, values) -> {
                    JsonNode wanted = expected.get(kind).get(metric);
                    assertEquals(wanted.size(), values.length, metric);
                    for (int i = 0; i < values.length; i++) {
                        if (wanted.get(i).isNull()) assertTrue(Double.isNaN(values[i]), metric + " " + i);
                        else assertClose(wanted.get(i).doubleValue(), values[i], metric + " " + i);
                    }
                });
            }
        }
    }
}
