package io.github.panascope.sae;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.lens.Forward;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.model.WeightProcessing;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.GradMode;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.TorchException;
import io.github.panascope.weights.Safetensors;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Gradients at hook points, an SAE's own among them, against the peers: see tests/peers/make_gradients.py. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class GradientsTest {
    private static final Path EXPECTED = Path.of("tests/resources/golden/gradients/expected.safetensors");
    private static final Path ATTACHED = Path.of("tests/resources/golden/attached");
    private static final Function<Tensor, Tensor> METRIC = logits -> {
        Tensor last = logits.select(1, logits.size(1) - 1);
        return last.select(1, 100).sub(last.select(1, 200)).sum(0, false);
    };

    private static HookedTransformer model(WeightProcessing processing) {
        return Golden.standardA().loadModel(TestDevice.options(processing));
    }

    private static void compare(Safetensors expected, String kind, Forward forward) {
        String[] names = expected.names().stream()
                .filter(name -> name.startsWith(kind + "/") && !name.endsWith("/value"))
                .map(name -> name.substring(kind.length() + 1))
                .toArray(String[]::new);
        assertTrue(names.length >= 3, kind);
        Forward.Gradients found = forward.gradients(METRIC, names);
        assertEquals(
                expected.tensor(kind + "/value").item(), found.value(), 1e-4 * Math.abs(found.value()) + 2e-5, kind);
        for (String name : names) {
            Golden.assertClose(
                    expected.tensor(kind + "/" + name), found.gradients().get(name), kind + " " + name);
            assertFalse(GradMode.flowsThrough(found.activations().get(name))
                    || GradMode.flowsThrough(found.gradients().get(name)));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"processed", "no_processing"})
    void everyKindOfPointHasTransformerLenssGradient(String kind) {
        try (var scope = TensorScope.open();
                HookedTransformer model =
                        model(kind.equals("processed") ? WeightProcessing.DEFAULT : WeightProcessing.NONE)) {
            Tensor tokens = Safetensors.open(ATTACHED.resolve("expected.safetensors"), scope)
                    .tensor("tokens");
            compare(Safetensors.open(EXPECTED, scope), kind, model.forward(tokens));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"standard", "gated", "topk", "transcoder"})
    void anSaesPointsHaveSaeLenssGradient(String name) {
        try (var scope = TensorScope.open();
                HookedTransformer model = model(WeightProcessing.DEFAULT);
                Sae sae = TestDevice.sae(ATTACHED.resolve(name))) {
            Tensor tokens = Safetensors.open(ATTACHED.resolve("expected.safetensors"), scope)
                    .tensor("tokens");
            compare(
                    Safetensors.open(EXPECTED, scope),
                    name,
                    model.forward(tokens).attach(sae.attachment(true)));
        }
    }

    @Test
    void theyAreOffElsewhereAndWhateverIsThrown() {
        try (var scope = TensorScope.open();
                HookedTransformer model = model(WeightProcessing.DEFAULT)) {
            Tensor tokens = Safetensors.open(ATTACHED.resolve("expected.safetensors"), scope)
                    .tensor("tokens");
            Tensor leaf = GradMode.leaf(Tensor.of(new float[] {2, 3}, Shape.of(2)));
            assertThrows(
                    IllegalStateException.class,
                    () -> model.forward(tokens)
                            .hooks(Hooks.at("blocks.1.hook_resid_mid", (x, name) -> {
                                throw new IllegalStateException("mine");
                            }))
                            .gradients(METRIC, "blocks.0.hook_resid_pre"));
            assertFalse(GradMode.flowsThrough(leaf.mul(leaf)), "off again after an exception");
            assertFalse(GradMode.flowsThrough(model.run(tokens)));
            try (var _ = GradMode.enable()) {
                Tensor[] found =
                        GradMode.gradients(leaf.mul(leaf).sum(0, false), leaf, GradMode.leaf(tokens.to(DType.FLOAT32)));
                assertEquals(List.of(4f, 6f), List.of(found[0].toFloats()[0], found[0].toFloats()[1]));
                assertEquals(0, found[1].sum(DType.FLOAT64).item());
                assertThrows(TorchException.class, () -> GradMode.gradients(leaf.mul(leaf), leaf));
                assertThrows(
                        TorchException.class, () -> GradMode.gradients(Tensor.of(new float[] {1}, Shape.of()), leaf));
            }
            assertThrows(
                    IllegalArgumentException.class,
                    () -> model.forward(tokens).gradients(METRIC, "blocks.9.hook_resid_pre"));
        }
    }
}
