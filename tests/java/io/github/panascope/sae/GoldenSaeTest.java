package io.github.panascope.sae;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.Safetensors;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** SAEs of each architecture on the activations of a model, and in both layouts of their files, against SAELens. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class GoldenSaeTest {
    private static final Golden GOLDEN = Golden.standardA();

    @Test
    void legacyAndPresentLayoutsAreTheSameSae() {
        try (var _ = TensorScope.open();
                Sae legacy = GOLDEN.loadPublishedSae();
                Sae present = GOLDEN.loadSae()) {
            assertEquals(
                    List.of(
                            legacy.config().dSae(),
                            legacy.config().hookName(),
                            legacy.config().normalization(),
                            legacy.config().modelKwargs().all(),
                            legacy.config().neuronpediaId()),
                    List.of(
                            present.config().dSae(),
                            present.config().hookName(),
                            present.config().normalization(),
                            present.config().modelKwargs().all(),
                            present.config().neuronpediaId()));
            Tensor x = Tensor.zeros(DType.FLOAT32, Shape.of(2, 3, 48), TestDevice.DEVICE)
                    .add(0.3);
            assertTrue(legacy.encode(x).sameElements(present.encode(x)));
            assertEquals(
                    GOLDEN.number("sparsity_mean"),
                    legacy.logSparsity().orElseThrow().mean().item(),
                    1e-5);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"standard_a", "gated_b", "jumprelu_c", "topk_d"})
    void featuresAndReconstructionEqualSaeLens(String name) {
        Golden golden = Golden.of(name);
        try (var scope = TensorScope.open();
                HookedTransformer model = golden.loadModel();
                Sae sae = golden.loadSae()) {
            TokenDataset tokens = golden.tokens(model, 64);
            Safetensors expected = Safetensors.open(golden.folder().resolve("expected.safetensors"), scope);
            String hook = sae.config().hookName();
            Tensor resid = model.runWithCache(tokens.batch(0, 2), hook::equals)
                    .cache()
                    .get(hook)
                    .slice(1, 0, 16);
            Golden.assertClose(expected.tensor("feature_acts_small"), sae.encode(resid), "features");
            Golden.assertClose(expected.tensor("sae_out_small"), sae.reconstruct(resid), "reconstruction");
            if (sae.config().normalization() == Normalization.NONE)
                Golden.assertClose(expected.tensor("sae_out_small"), sae.decode(sae.encode(resid)), "decode");
        }
    }
}
