package io.github.panascope.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.data.Dataset;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.lens.TestPrompt;
import io.github.panascope.sae.Neuronpedia;
import io.github.panascope.sae.Normalization;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.ChunkingStrategy;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.Safetensors;
import java.util.Arrays;
import java.util.List;
import java.util.function.ToDoubleFunction;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** The SAE and the tutorial's metrics against what SAELens and TransformerLens computed. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class GoldenSaeTest {
    private static final Golden GOLDEN = Golden.standardA();
    private static final String RELEASE = "gpt2-small-res-jb/blocks.2.hook_resid_pre";
    private static final String PROMPT = "When John and Mary went to the shops, John gave the bag to";

    private static HookedTransformer model(Golden golden) {
        return HookedTransformer.fromPretrained("gpt2-small", TestDevice.OPTIONS.hub(golden.hub()));
    }

    private static Sae sae() {
        return Sae.fromPretrained(
                RELEASE, Sae.Options.DEFAULT.device(TestDevice.DEVICE).hub(GOLDEN.hub()));
    }

    private static TokenDataset tokens(HookedTransformer model) {
        Dataset texts = Dataset.of(GOLDEN.dataset().toString(), GOLDEN.hub());
        return TokenDataset.tokenizeAndConcatenate(
                texts::forEach, model.tokenizer(), ChunkingStrategy.WHITESPACE_CHUNKS, 64);
    }

    @Test
    void legacyAndPresentLayoutsAreTheSameSae() {
        try (var _ = TensorScope.open();
                Sae legacy = sae();
                Sae present = Sae.fromPretrained(
                        GOLDEN.folder().resolve("sae").toString(),
                        Sae.Options.DEFAULT.device(TestDevice.DEVICE).hub(GOLDEN.hub()))) {
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
    void featuresReconstructionL0AndTheThreeLossesEqualThePeers(String name) {
        Golden golden = Golden.of(name);
        try (var scope = TensorScope.open();
                HookedTransformer model = model(golden);
                Sae sae = Sae.fromPretrained(
                        golden.folder().resolve("sae").toString(),
                        Sae.Options.DEFAULT.device(TestDevice.DEVICE).hub(golden.hub()))) {
            TokenDataset tokens = tokens(model);
            assertEquals(golden.number("n_rows_total"), tokens.rows());
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

            TutorialMetrics evaluation = TutorialMetrics.run(model, sae, tokens.batch(0, 32));
            TutorialMetrics exact = TutorialMetrics.run(model.exact(), sae.exact(), tokens.batch(0, 32));
            assertEquals(exact.l0().mean(), evaluation.l0().mean(), 0.02);
            for (var loss : List.<ToDoubleFunction<DownstreamLoss>>of(
                    DownstreamLoss::original, DownstreamLoss::reconstructed, DownstreamLoss::zero)) {
                assertEquals(
                        loss.applyAsDouble(exact.loss()),
                        loss.applyAsDouble(evaluation.loss()),
                        2e-6 * loss.applyAsDouble(exact.loss()),
                        "the shortcuts against the whole");
            }
            assertEquals(golden.number("l0_mean"), evaluation.l0().mean(), 0.02);
            long[] histogram = golden.expected()
                    .get("l0_histogram")
                    .valueStream()
                    .mapToLong(JsonNode::longValue)
                    .toArray();
            long moved = 0;
            long[] ours = evaluation.l0().histogram();
            for (int i = 0; i < Math.max(histogram.length, ours.length); i++) {
                moved += Math.abs((i < ours.length ? ours[i] : 0) - (i < histogram.length ? histogram[i] : 0));
            }
            assertTrue(moved <= 0.01 * 32 * 63, moved + " positions differ");
            assertEquals(golden.number("ce_orig"), evaluation.loss().original(), 1e-4);
            assertEquals(golden.number("ce_reconstr"), evaluation.loss().reconstructed(), 1e-4);
            assertEquals(golden.number("ce_zero"), evaluation.loss().zero(), 1e-4);
        }
    }

    @Test
    void thePromptsLossesEqualThePeers() {
        try (var _ = TensorScope.open();
                HookedTransformer model = model(GOLDEN);
                Sae sae = sae()) {
            JsonNode expected = GOLDEN.expected().get("prompt");
            Tensor tokens = model.toTokens(PROMPT);
            assertEquals(
                    StreamSupport.stream(expected.get("tokens").get(0).spliterator(), false)
                            .map(JsonNode::longValue)
                            .toList(),
                    Arrays.stream(tokens.toLongs()).boxed().toList());
            DownstreamLoss loss = TutorialMetrics.run(model, sae, tokens).loss();
            assertEquals(expected.get("ce_orig").doubleValue(), loss.original(), 1e-4);
            assertEquals(expected.get("ce_reconstr").doubleValue(), loss.reconstructed(), 1e-4);
            assertEquals(expected.get("ce_zero").doubleValue(), loss.zero(), 1e-4);
        }
    }

    @Test
    void testPromptUnderTheReconstructionPrintsWhatThePeersPrint() {
        try (HookedTransformer model = model(GOLDEN);
                Sae sae = sae()) {
            Hooks reconstruct = Hooks.at(sae.config().hookName(), (activation, name) -> sae.reconstruct(activation));
            assertEquals(
                    GOLDEN.text("test_prompt_reconstructed"),
                    TestPrompt.run(model, PROMPT, List.of(" Mary"), reconstruct, 10)
                            .format());
        }
    }

    @Test
    void theQuickListIsTheSameAddress() {
        try (Sae sae = sae()) {
            List<Integer> features = Arrays.stream(GOLDEN.expected()
                            .get("args")
                            .get("features")
                            .stringValue()
                            .split(","))
                    .map(Integer::valueOf)
                    .toList();
            assertEquals(
                    GOLDEN.text("neuronpedia_quick_list"),
                    Neuronpedia.quickList(sae.config(), features, "temporary_list")
                            .orElseThrow());
        }
    }
}
