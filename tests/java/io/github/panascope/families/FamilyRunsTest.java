package io.github.panascope.families;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.lens.ActivationCache;
import io.github.panascope.lens.Forward;
import io.github.panascope.lens.Generation;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Sampling;
import io.github.panascope.model.HookPoint;
import io.github.panascope.model.HookPoint.Axis;
import io.github.panascope.model.WeightProcessing;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The ways to run, save and load a model, on every family. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class FamilyRunsTest {
    private static final double TOLERANCE = 1e-5;

    private static Stream<FamilyCase> withFeatures() throws Exception {
        return FamilyCase.withFeatures();
    }

    /** Two rows, the second of which has padding on the left. */
    private static Forward padded(HookedTransformer model, FamilyCase family, TensorScope scope) {
        return model.forward(family.tokens("padded/tokens", scope)).attentionMask(family.tokens("padded/mask", scope));
    }

    @ParameterizedTest
    @MethodSource("withFeatures")
    void positionsCheckpointsAndPartsOfARunGiveWhatAWholeRunGives(FamilyCase family) {
        try (var scope = TensorScope.open();
                HookedTransformer model = family.load(WeightProcessing.DEFAULT)) {
            Forward whole = padded(model, family, scope).caching(_ -> true);
            Tensor logits = whole.logits();
            ActivationCache cache = whole.cache();
            Forward some = padded(model, family, scope).caching(_ -> true).cachingPositions(1, 4);
            long bytes = some.cacheBytes();
            some.logits();
            Forward checkpoints = padded(model, family, scope).checkpoints(2);
            checkpoints.logits();
            ActivationCache sliced = cache.slicePositions(1, 4);
            long kept = 0;
            for (String name : model.hookNames()) {
                Tensor expected = positions(cache.get(name), HookPoint.of(name).orElseThrow(), model, 2);
                kept += expected.shape().elements() * DType.FLOAT32.bytes();
                for (ActivationCache each : List.of(some.cache(), sliced))
                    assertTrue(expected.sameElements(each.get(name)), name);
                FamilyCase.assertClose(cache.get(name), checkpoints.cache().get(name), TOLERANCE, name);
                FamilyCase.assertClose(
                        cache.get(name), padded(model, family, scope).activation(name), TOLERANCE, name);
            }
            assertEquals(kept, bytes);
            int last = model.config().nLayers() - 1;
            Tensor stream = padded(model, family, scope).stopAtLayer(last);
            FamilyCase.assertClose(
                    logits,
                    padded(model, family, scope).startAtLayer(last, stream).logits(),
                    TOLERANCE,
                    "logits");
            ActivationCache first =
                    model.runWithCache(family.tokens("tokens", scope)).cache();
            ActivationCache row = first.removeBatchDim().slicePositions(1, 4);
            for (String name : model.hookNames()) {
                Tensor expected = positions(first.get(name), HookPoint.of(name).orElseThrow(), model, 1);
                assertTrue(expected.reshape(row.get(name).shape().sizes()).sameElements(row.get(name)), name);
            }
        }
    }

    /** Positions 1 to 3 of an activation, also where positions are not a dimension of their own. */
    private static Tensor positions(Tensor activation, HookPoint point, HookedTransformer model, int batch) {
        if (point.axes().getFirst() != Axis.HEAD_ROW)
            return activation.slice(point.dimension(Axis.POS), 1, 4).copy();
        long heads = point.part().contains("q_norm")
                ? model.config().nHeads()
                : model.config().nKeyValueHeads();
        return activation
                .reshape(batch, -1, heads, activation.size(1))
                .slice(1, 1, 4)
                .reshape(-1, activation.size(1));
    }

    @ParameterizedTest
    @MethodSource("withFeatures")
    void pointsOnRequestAndStepByStepRunsLeaveLogitsAsTheyAre(FamilyCase family) {
        for (WeightProcessing processing : List.of(WeightProcessing.NONE, WeightProcessing.DEFAULT)) {
            try (var scope = TensorScope.open();
                    HookedTransformer model = family.load(processing)) {
                Tensor tokens = family.tokens("tokens", scope);
                Tensor logits = model.run(tokens);
                FamilyCase.assertClose(logits, model.exact().run(tokens), TOLERANCE, "step by step");
                for (HookPoint point : HookPoint.onRequest(model.config())) {
                    Forward asked = model.forward(tokens).caching(point.name());
                    FamilyCase.assertClose(logits, asked.logits(), TOLERANCE, point.name());
                    // Each query head has keys and values of its own under hook_attn_in.
                    assertEquals(
                            point.shape(model.config(), 1, tokens.size(1)),
                            asked.cache().get(point.name()).shape(),
                            point.name());
                }
                Forward together = model.forward(tokens).caching("blocks.0.hook_attn_in", "blocks.0.hook_k_input");
                FamilyCase.assertClose(logits, together.logits(), TOLERANCE, "hook_attn_in");
                assertEquals(
                        together.cache().get("blocks.0.hook_attn_in").shape(),
                        together.cache().get("blocks.0.hook_k_input").shape());
            }
        }
    }

    @ParameterizedTest
    @MethodSource("withFeatures")
    void savedModelsAreEqualBitForBit(FamilyCase family, @TempDir Path folder) throws Exception {
        try (Stream<Path> files = Files.list(family.folder().resolve("model"))) {
            for (Path file :
                    files.filter(each -> each.toString().contains("token")).toList())
                Files.copy(file, folder.resolve(file.getFileName()));
        }
        for (WeightProcessing processing : List.of(WeightProcessing.NONE, WeightProcessing.DEFAULT)) {
            for (DType dtype : new DType[] {DType.FLOAT32, DType.BFLOAT16}) {
                if (dtype == DType.BFLOAT16 && processing == WeightProcessing.NONE) continue;
                Path file = folder.resolve("saved.pt");
                try (var scope = TensorScope.open();
                        HookedTransformer model = family.load(processing, dtype)) {
                    model.save(file);
                    try (HookedTransformer saved = HookedTransformer.loadTorchScript(file, TestDevice.DEVICE)) {
                        assertEquals(model.weightNames(), saved.weightNames());
                        assertEquals(dtype, saved.dtype());
                        for (String name : model.weightNames()) {
                            assertEquals(
                                    model.weight(name).dtype(),
                                    saved.weight(name).dtype(),
                                    name);
                            assertTrue(model.weight(name).sameElements(saved.weight(name)), name);
                        }
                        Tensor tokens = family.tokens("long_tokens", scope);
                        assertTrue(model.run(tokens).sameElements(saved.run(tokens)));
                    }
                }
            }
        }
    }

    /** At most half as far again as the worse of TransformerLens and transformers. */
    @ParameterizedTest
    @MethodSource("withFeatures")
    void bfloat16IsAsNearToFloat32AsThatOfThePeers(FamilyCase family) {
        var peers = family.featuresJson().get("bfloat16");
        double theirs = Math.max(
                peers.get("transformer_lens").doubleValue(),
                peers.get("transformers").doubleValue());
        try (var scope = TensorScope.open();
                HookedTransformer single = family.load(WeightProcessing.DEFAULT);
                HookedTransformer half = family.load(WeightProcessing.DEFAULT, DType.BFLOAT16)) {
            Tensor tokens = family.tokens("long_tokens", scope);
            Tensor expected = single.run(tokens);
            double loss = single.forward(tokens).loss();
            for (HookedTransformer way : List.of(half, half.exact())) {
                Tensor logits = way.run(tokens);
                assertEquals(DType.BFLOAT16, logits.dtype());
                FamilyCase.assertClose(expected, logits, 1.5 * theirs, "bfloat16");
                assertEquals(loss, way.forward(tokens).loss(), theirs * loss);
                Forward whole = way.forward(tokens).caching(_ -> true);
                FamilyCase.assertClose(expected, whole.logits(), 1.5 * theirs, "bfloat16 under hooks");
                assertEquals(
                        DType.FLOAT32,
                        whole.cache().get("blocks.0.ln1.hook_normalized").dtype());
            }
        }
    }

    @ParameterizedTest
    @MethodSource("withFeatures")
    void rowsBecomeTheTextThatTheirPromptAloneGives(FamilyCase family) {
        List<String> prompts = List.of("ab", "abc de", "f");
        try (var _ = TensorScope.open();
                HookedTransformer model = family.load(WeightProcessing.DEFAULT)) {
            for (Sampling sampling : List.of(Sampling.GREEDY, Sampling.PLAIN.topK(5))) {
                long[] together = twentyTokens(model.generate(prompts), sampling);
                int length = together.length / prompts.size();
                for (int row = 0; row < (sampling == Sampling.GREEDY ? prompts.size() : 1); row++) {
                    long[] alone = twentyTokens(model.generate(prompts.get(row)), sampling);
                    int end = (row + 1) * length;
                    assertArrayEquals(alone, Arrays.copyOfRange(together, end - alone.length, end));
                }
            }
        }
    }

    private static long[] twentyTokens(Generation generation, Sampling sampling) {
        return generation
                .maxNewTokens(20)
                .sampling(sampling)
                .seed(3)
                .stopAtEos(false)
                .run()
                .toLongs();
    }
}
