package io.github.panascope.families;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.lens.ActivationCache;
import io.github.panascope.lens.ActivationCache.Mode;
import io.github.panascope.lens.BlockInput;
import io.github.panascope.lens.Forward;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.lens.Patching;
import io.github.panascope.lens.ResidualStack;
import io.github.panascope.lens.Weights;
import io.github.panascope.model.HookPoint;
import io.github.panascope.model.TransformerConfig;
import io.github.panascope.model.WeightProcessing;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.Safetensors;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** Decompositions, weights, gradients and patching on every family: see tests/peers/make_families.py --features. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class FamilyFeaturesTest {
    private static final double TOLERANCE = 1e-5;
    private static final List<WeightProcessing> PROCESSINGS = List.of(WeightProcessing.NONE, WeightProcessing.DEFAULT);

    private static Stream<FamilyCase> all() throws Exception {
        return FamilyCase.all();
    }

    private static Stream<FamilyCase> withFeatures() throws Exception {
        return FamilyCase.withFeatures();
    }

    /** The last two positions, which are those of the goldens. */
    private static Tensor end(Tensor stack) {
        return stack.slice(2, stack.size(2) - 2, stack.size(2));
    }

    @ParameterizedTest
    @MethodSource("withFeatures")
    void decompositionsEqualTransformerLens(FamilyCase family) {
        JsonNode labels = family.featuresJson().get("labels");
        for (WeightProcessing processing : PROCESSINGS) {
            try (var scope = TensorScope.open();
                    HookedTransformer model = family.load(processing)) {
                String prefix = processing == WeightProcessing.NONE ? "no_processing/" : "processed/";
                Safetensors expected = family.features(scope);
                ActivationCache cache =
                        model.runWithCache(family.tokens("tokens", scope)).cache();
                ResidualStack parts = cache.decomposeResid(-1, BlockInput.ATTENTION, Mode.ALL, true);
                List<String> names = new ArrayList<>(List.of("decompose", "decompose_1", "accumulated", "lens"));
                List<ResidualStack> found = new ArrayList<>(List.of(
                        parts.applyLn(-1, BlockInput.ATTENTION),
                        cache.decomposeResid(1, BlockInput.ATTENTION, Mode.ALL, true)
                                .applyLn(1, BlockInput.ATTENTION),
                        cache.accumulatedResid(-1, true, BlockInput.ATTENTION).applyLn(-1, BlockInput.ATTENTION),
                        cache.accumulatedResid(-1, true, BlockInput.ATTENTION).recomputeFinalLn()));
                if (labels.has("heads")) {
                    names.addAll(List.of("heads", "full"));
                    found.add(cache.stackHeadResults(-1, true).applyLn(-1, BlockInput.ATTENTION));
                    found.add(cache.fullResidDecomposition(-1, BlockInput.ATTENTION)
                            .applyLn(-1, BlockInput.ATTENTION));
                }
                for (int i = 0; i < names.size(); i++) {
                    String name = names.get(i);
                    assertEquals(
                            labels.get(name)
                                    .valueStream()
                                    .map(JsonNode::stringValue)
                                    .toList(),
                            found.get(i).labels(),
                            name);
                    FamilyCase.assertClose(
                            expected.tensor(prefix + name), end(found.get(i).values()), TOLERANCE, name);
                }
                assertAttributions(expected.tensor(prefix + "attributions"), parts);
            }
        }
    }

    /** Of the last two positions, to the difference of tokens 5 and 7, and 6 and 8. */
    private static void assertAttributions(Tensor expected, ResidualStack parts) {
        for (int i = 0; i < 2; i++) {
            Tensor right = Tensor.of(new long[] {5 + i}, Shape.of(1));
            Tensor wrong = Tensor.of(new long[] {7 + i}, Shape.of(1));
            Tensor found = parts.at(i - 2).logitAttrs(right, wrong);
            FamilyCase.assertClose(expected.select(2, i), found, TOLERANCE, "attributions");
        }
    }

    @ParameterizedTest
    @MethodSource("all")
    void partsAddUpToTheStreamThatIsRead(FamilyCase family) {
        for (WeightProcessing processing : PROCESSINGS) {
            try (var scope = TensorScope.open();
                    HookedTransformer model = family.load(processing)) {
                ActivationCache cache =
                        model.runWithCache(family.tokens("tokens", scope)).cache();
                int layers = model.config().nLayers();
                String middle = model.config().parallel() ? ".hook_resid_pre" : ".hook_resid_mid";
                Tensor end = cache.get("blocks." + (layers - 1) + ".hook_resid_post");
                Tensor mid = cache.get("blocks." + (layers - 1) + middle);
                assertSum(end, cache.decomposeResid(-1, BlockInput.ATTENTION, Mode.ALL, true));
                assertSum(mid, cache.decomposeResid(layers - 1, BlockInput.MLP, Mode.ALL, true));
                assertSum(end, cache.stackHeadResults(-1, true));
                assertSum(end, cache.fullResidDecomposition(-1, BlockInput.ATTENTION));
                assertSum(mid, cache.fullResidDecomposition(layers - 1, BlockInput.MLP));
                assertSum(end.select(1, 2), cache.fullResidDecompositionWithNeurons(-1, BlockInput.ATTENTION, 2));
                assertSum(mid.select(1, 2), cache.fullResidDecompositionWithNeurons(layers - 1, BlockInput.MLP, 2));
                assertSum(end.select(1, 2), cache.stackNeuronResults(-1, true, 2));
                Tensor last =
                        cache.accumulatedResid(layers - 1, true, BlockInput.MLP).values();
                FamilyCase.assertClose(mid, last.select(0, last.size(0) - 1), 0, "accumulated");
                if (processing == WeightProcessing.DEFAULT || model.config().isRms())
                    assertSum(
                            cache.get("blocks." + (layers - 1) + ".ln2.hook_normalized"),
                            cache.fullResidDecomposition(layers - 1, BlockInput.MLP)
                                    .applyLn(layers - 1, BlockInput.MLP));
            }
        }
    }

    private static void assertSum(Tensor whole, ResidualStack parts) {
        FamilyCase.assertClose(whole, parts.values().sum(0, false), TOLERANCE, parts.labels() + "");
    }

    @ParameterizedTest
    @MethodSource("withFeatures")
    void compositionScoresEqualTransformerLens(FamilyCase family) {
        for (WeightProcessing processing : PROCESSINGS) {
            try (var scope = TensorScope.open();
                    HookedTransformer model = family.load(processing)) {
                String prefix = processing == WeightProcessing.NONE ? "no_processing/" : "processed/";
                for (Weights.Composition through : Weights.Composition.values())
                    FamilyCase.assertClose(
                            family.features(scope).tensor(prefix + "composition_" + through),
                            model.weights().allCompositionScores(through),
                            TOLERANCE,
                            "composition through " + through);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("all")
    void weightsOfAllBlocksHaveOneShape(FamilyCase family) {
        try (var _ = TensorScope.open();
                HookedTransformer model = family.load(WeightProcessing.DEFAULT)) {
            TransformerConfig c = model.config();
            Weights weights = model.weights();
            Shape heads = Shape.of(c.nLayers(), c.nHeads(), c.dModel(), c.dHead());
            for (Tensor each : List.of(weights.wQ(), weights.wK(), weights.wV())) assertEquals(heads, each.shape());
            for (Tensor each : List.of(weights.bQ(), weights.bK(), weights.bV()))
                assertEquals(Shape.of(c.nLayers(), c.nHeads(), c.dHead()), each.shape());
            assertEquals(Shape.of(c.nLayers(), c.dMlp()), weights.bIn().shape());
            assertEquals(
                    model.name() + " has no W_pos: it rotates queries and keys by their position",
                    assertThrows(IllegalStateException.class, weights::wEPos).getMessage());
            if (c.mlp().gated())
                assertEquals(
                        Shape.of(c.nLayers(), c.dModel(), c.dMlp()),
                        weights.wGate().shape());
            else
                assertEquals(
                        model.name() + " has no W_gate: its MLPs have no gates",
                        assertThrows(IllegalStateException.class, weights::wGate)
                                .getMessage());
        }
    }

    @ParameterizedTest
    @MethodSource("withFeatures")
    void gradientsEqualTransformerLens(FamilyCase family) {
        try (var scope = TensorScope.open();
                HookedTransformer model = family.load(WeightProcessing.DEFAULT)) {
            Safetensors expected = family.features(scope);
            Tensor tokens = family.tokens("tokens", scope);
            String prefix = "processed/gradient/";
            String[] names = expected.names().stream()
                    .filter(name -> name.startsWith(prefix))
                    .map(name -> name.substring(prefix.length()))
                    .toArray(String[]::new);
            assertTrue(names.length > 20);
            Forward.Gradients found = model.forward(tokens).gradients(logits -> loss(logits, tokens), names);
            assertEquals(names.length, found.gradients().names().size());
            for (String name : names)
                FamilyCase.assertClose(
                        expected.tensor(prefix + name), found.gradients().get(name), 1e-4, "gradient of " + name);
        }
    }

    private static Tensor loss(Tensor logits, Tensor tokens) {
        long positions = tokens.size(1);
        return logits.slice(1, 0, positions - 1)
                .logSoftmax(-1)
                .gather(-1, TestDevice.on(tokens).slice(1, 1, positions).unsqueeze(-1))
                .mean()
                .mul(-1);
    }

    @ParameterizedTest
    @ValueSource(strings = {"pythia", "gemma3", "llama3", "qwen3"})
    void everyHeadOfKeysAndValuesIsPatchedOnItsOwn(String name) {
        FamilyCase family = FamilyCase.of(name);
        try (var scope = TensorScope.open();
                HookedTransformer model = family.load(WeightProcessing.DEFAULT)) {
            Tensor corrupted = family.tokens("tokens", scope);
            Tensor clean = corrupted.copy();
            clean.slice(1, 2, 3).copy_(corrupted.slice(1, 3, 4));
            ActivationCache cache = model.runWithCache(clean).cache();
            Patching patching = Patching.of(
                    model,
                    corrupted,
                    cache,
                    logits -> logits.select(1, -1).select(1, 5).item());
            int group = model.config().nHeads() / model.config().nKeyValueHeads();
            Tensor every = patching.headEvery();
            Tensor everyPosition = patching.headByPositionEvery();
            List<String> points =
                    List.of("attn.hook_z", "attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_pattern");
            for (int i = 0; i < points.size(); i++) {
                Tensor heads = patching.byHead(points.get(i));
                HookPoint point = HookPoint.of("blocks.0." + points.get(i)).orElseThrow();
                assertEquals(point.heads(model.config()), heads.size(1));
                for (int head = 0; head < model.config().nHeads(); head++) {
                    int own = heads.size(1) < model.config().nHeads() ? head / group : head;
                    assertTrue(every.select(0, i).select(1, head).sameElements(heads.select(1, own)));
                    int part = own;
                    String at = "blocks.0." + point.part();
                    double expected = model.runWithHooks(corrupted, Hooks.at(at, (activation, _) -> {
                                Tensor changed = activation.copy();
                                int axis = point.dimension(HookPoint.Axis.HEAD);
                                changed.slice(axis, part, part + 1)
                                        .copy_(cache.get(at).slice(axis, part, part + 1));
                                return changed;
                            }))
                            .select(1, -1)
                            .select(1, 5)
                            .item();
                    assertEquals(expected, heads.select(0, 0).select(0, own).item(), 1e-4 * (1 + Math.abs(expected)));
                }
            }
            assertEquals(
                    Shape.of(
                            5,
                            model.config().nLayers(),
                            clean.size(1),
                            model.config().nHeads()),
                    everyPosition.shape());
            if (model.config().attention().queryKeyNorm())
                assertThrows(IllegalArgumentException.class, () -> patching.byPosition("attn.q_norm.hook_normalized"));
        }
    }
}
