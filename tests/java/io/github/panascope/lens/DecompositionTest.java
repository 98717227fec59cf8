package io.github.panascope.lens;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.lens.ActivationCache.Mode;
import io.github.panascope.model.WeightProcessing;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.Safetensors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** Decompositions of the residual stream against TransformerLens: see tests/peers/make_decompositions.py. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class DecompositionTest {
    private static final Golden GOLDEN = Golden.of("decompositions");
    private static final Golden CASE = Golden.standardA();

    private static HookedTransformer model(String kind) {
        WeightProcessing processing = kind.equals("processed") ? WeightProcessing.DEFAULT : WeightProcessing.NONE;
        return CASE.loadModel(TestDevice.options(processing));
    }

    private static Tensor tokens(TensorScope scope) {
        return Safetensors.open(CASE.folder().resolve("expected.safetensors"), scope)
                .tensor("small_tokens")
                .slice(1, 0, 3);
    }

    private static void compare(Safetensors expected, String name, ResidualStack actual) {
        assertEquals(
                GOLDEN.expected()
                        .get("labels")
                        .get(name)
                        .valueStream()
                        .map(JsonNode::stringValue)
                        .toList(),
                actual.labels(),
                name);
        Golden.assertClose(expected.tensor(name), actual.values(), name);
    }

    @ParameterizedTest
    @ValueSource(strings = {"processed", "no_processing"})
    void everyDecompositionEqualsTransformerLens(String kind) {
        try (var scope = TensorScope.open();
                HookedTransformer model = model(kind)) {
            Safetensors expected = Safetensors.open(GOLDEN.folder().resolve("expected.safetensors"), scope);
            ActivationCache cache =
                    model.runWithCache(tokens(scope), name -> true).cache();
            compare(expected, kind + "/decompose", cache.decomposeResid(2, BlockInput.MLP, Mode.ALL, true));
            compare(expected, kind + "/decompose_mlp", cache.decomposeResid(-1, BlockInput.ATTENTION, Mode.MLP, false));
            compare(
                    expected,
                    kind + "/decompose_attn_ln",
                    cache.decomposeResid(2, BlockInput.ATTENTION, Mode.ATTN, true)
                            .applyLn(2, BlockInput.ATTENTION));
            compare(expected, kind + "/accumulated", cache.accumulatedResid(-1, true, BlockInput.ATTENTION));
            compare(expected, kind + "/accumulated_mlp", cache.accumulatedResid(1, false, BlockInput.MLP));
            compare(
                    expected,
                    kind + "/accumulated_lens",
                    cache.accumulatedResid(-1, true, BlockInput.ATTENTION).recomputeFinalLn());
            compare(expected, kind + "/heads", cache.stackHeadResults(-1, true));
            compare(
                    expected,
                    kind + "/heads_ln",
                    cache.stackHeadResults(2, false).applyLn(2, BlockInput.ATTENTION));
            compare(expected, kind + "/neurons", cache.stackNeuronResults(1, true, -1));
            compare(expected, kind + "/full", cache.fullResidDecomposition(2, BlockInput.MLP));
            compare(
                    expected,
                    kind + "/full_neurons",
                    cache.fullResidDecompositionWithNeurons(1, BlockInput.ATTENTION, -1));
            ResidualStack stack = cache.decomposeResid(-1, BlockInput.ATTENTION, Mode.ALL, true);
            Golden.assertClose(
                    expected.tensor(kind + "/attrs_one"),
                    stack.logitAttrs(Tensor.of(new long[] {5335}, Shape.of())),
                    "attributions of one token");
            Golden.assertClose(
                    expected.tensor(kind + "/attrs_difference"),
                    stack.at(-1)
                            .logitAttrs(
                                    Tensor.of(new long[] {10, 20}, Shape.of(2)),
                                    Tensor.of(new long[] {30, 40}, Shape.of(2))),
                    "of a difference");
        }
    }

    @Test
    void componentsSumToTheStream() {
        try (var scope = TensorScope.open();
                HookedTransformer model = model("processed")) {
            Forward run = model.forward(tokens(scope))
                    .caching(name -> true)
                    .caching("blocks.0.attn.hook_result", "blocks.1.attn.hook_result", "blocks.2.attn.hook_result");
            run.logits();
            ActivationCache cache = run.cache();
            Golden.assertClose(
                    cache.get("blocks.2.hook_resid_mid"),
                    cache.fullResidDecomposition(2, BlockInput.MLP).values().sum(0, false),
                    "heads, MLPs, embeddings and biases");
            Golden.assertClose(
                    cache.get("blocks.2.hook_resid_post"),
                    cache.stackHeadResults(-1, true).values().sum(0, false),
                    "heads and the rest");
            Golden.assertClose(
                    cache.get("blocks.2.hook_resid_post").select(1, 2),
                    cache.fullResidDecompositionWithNeurons(-1, BlockInput.ATTENTION, 2)
                            .values()
                            .sum(0, false),
                    "neurons too");
            // b_U aside, the last LayerNorm's output times a token's direction is its logit.
            Tensor token = Tensor.of(new long[] {77}, Shape.of());
            Tensor logit = model.run(tokens(scope))
                    .select(2, 77)
                    .sub(model.weight("unembed.b_U").select(0, 77));
            Golden.assertClose(
                    logit,
                    cache.decomposeResid(-1, BlockInput.ATTENTION, Mode.ALL, true)
                            .logitAttrs(token)
                            .sum(0, false),
                    "attributions");
        }
    }

    @Test
    void aCacheIsSlicedAndSaysWhatItLacks() {
        try (var scope = TensorScope.open();
                HookedTransformer model = model("processed")) {
            ActivationCache cache = model.runWithCache(tokens(scope).slice(0, 0, 1), name -> true)
                    .cache();
            ActivationCache sliced = cache.slicePositions(1, 3);
            assertEquals(
                    Shape.of(1, 2, 4, 12), sliced.get("blocks.0.attn.hook_q").shape());
            assertEquals(
                    Shape.of(1, 4, 2, 3),
                    sliced.get("blocks.0.attn.hook_pattern").shape());
            assertEquals(
                    Shape.of(1, 2, 48), sliced.get("blocks.1.hook_resid_mid").shape());
            assertEquals(
                    Shape.of(3, 48), cache.removeBatchDim().get("hook_embed").shape());
            assertEquals(cache.names(), cache.to(Device.CPU).names());
            ActivationCache few =
                    model.runWithCache(tokens(scope), "hook_embed"::equals).cache();
            assertThrows(IllegalStateException.class, few::removeBatchDim);
            assertThrows(
                    IllegalArgumentException.class, () -> few.decomposeResid(1, BlockInput.ATTENTION, Mode.ALL, true));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> cache.decomposeResid(4, BlockInput.ATTENTION, Mode.ALL, true));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> cache.decomposeResid(0, BlockInput.ATTENTION, Mode.MLP, false));
            assertThrows(IllegalArgumentException.class, () -> cache.stackNeuronResults(1, false, 3));
        }
    }
}
