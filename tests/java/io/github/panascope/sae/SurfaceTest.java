package io.github.panascope.sae;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.lens.ActivationCache;
import io.github.panascope.lens.Attachment;
import io.github.panascope.lens.Forward;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.lens.LmMetrics;
import io.github.panascope.lens.Sampling;
import io.github.panascope.lens.Weights;
import io.github.panascope.model.ActName;
import io.github.panascope.model.HookPoint;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.Safetensors;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import tools.jackson.databind.JsonNode;

/**
 * Padded batches, short names, stacked weights, hooks on gradients and feature attribution against the peers: see
 * tests/peers/make_surface.py.
 */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class SurfaceTest {
    private static final Golden GOLDEN = Golden.of("surface");
    private static final Golden CASE = Golden.standardA();

    private static HookedTransformer model() {
        return HookedTransformer.fromPretrained("gpt2-small", TestDevice.OPTIONS.hub(CASE.hub()));
    }

    private static Safetensors tensors(TensorScope scope) {
        return Safetensors.open(GOLDEN.folder().resolve("expected.safetensors"), scope);
    }

    private static List<String> texts() {
        return GOLDEN.expected()
                .get("texts")
                .valueStream()
                .map(JsonNode::stringValue)
                .toList();
    }

    private static long[] ids(JsonNode rows) {
        return rows.valueStream()
                .flatMap(JsonNode::valueStream)
                .mapToLong(JsonNode::longValue)
                .toArray();
    }

    private static Function<Tensor, Tensor> metric(HookedTransformer model) {
        int right = model.toSingleToken(" Mary");
        int wrong = model.toSingleToken(" John");
        return logits -> {
            Tensor last = logits.select(0, 0).select(0, logits.size(1) - 1);
            return last.select(0, right).sub(last.select(0, wrong));
        };
    }

    @Test
    void paddedBatchesEqualTransformerLens() {
        try (var scope = TensorScope.open();
                HookedTransformer model = model()) {
            Safetensors expected = tensors(scope);
            for (HookedTransformer.PaddingSide side : HookedTransformer.PaddingSide.values()) {
                String name = side.name().toLowerCase(Locale.ROOT);
                JsonNode wanted = GOLDEN.expected().get(name);
                Tensor tokens = model.toTokens(texts(), true, side);
                Tensor mask = model.attentionMask(tokens, side, true);
                assertEquals(Arrays.toString(ids(wanted.get("tokens"))), Arrays.toString(tokens.toLongs()));
                assertEquals(Arrays.toString(ids(wanted.get("mask"))), Arrays.toString(mask.toLongs()));
                Forward run = model.forward(tokens)
                        .attentionMask(mask)
                        .caching("hook_pos_embed", "blocks.1.attn.hook_pattern", "blocks.2.hook_resid_post");
                Forward.LogitsAndLoss both = run.logitsAndLoss();
                Golden.assertClose(
                        expected.tensor(name + "/last_logits"),
                        both.logits().select(1, tokens.size(1) - 1).slice(-1, 0, 200),
                        name);
                for (String point : run.cache().names())
                    Golden.assertClose(
                            expected.tensor(name + "/" + point), run.cache().get(point), name + " " + point);
                Golden.assertClose(
                        expected.tensor(name + "/losses"),
                        model.forward(tokens).attentionMask(mask).lossPerToken(),
                        name + " losses");
                assertEquals(
                        wanted.get("loss").doubleValue(),
                        model.forward(tokens).attentionMask(mask).loss(),
                        1e-5);
                assertEquals(wanted.get("loss").doubleValue(), both.loss(), 1e-5);
                assertEquals(wanted.get("accuracy").doubleValue(), LmMetrics.accuracy(both.logits(), tokens), 1e-6);
                assertThrows(
                        IllegalArgumentException.class,
                        () -> model.forward(tokens).attentionMask(mask.slice(1, 0, 3)));
                for (Tensor other : new Tensor[] {mask.mul(1000), mask.mul(-2), mask.gt(0), mask.to(DType.FLOAT32)}) {
                    assertEquals(
                            both.loss(),
                            model.forward(tokens).attentionMask(other).loss(),
                            1e-6);
                    assertEquals(both.loss(), LmMetrics.crossEntropyLoss(both.logits(), tokens, other), 1e-6);
                }
                Tensor broken = both.logits().copy();
                int padded = side == HookedTransformer.PaddingSide.LEFT ? 0 : (int) tokens.size(1) - 2;
                broken.select(0, 2)
                        .select(0, padded)
                        .copy_(broken.select(0, 2).select(0, padded).mul(Double.NaN));
                assertEquals(
                        both.loss(),
                        LmMetrics.crossEntropyLoss(broken, tokens, mask),
                        1e-6,
                        "what is masked may be anything");
            }
        }
    }

    /**
     * TransformerLens does not mask what it fills in while it generates; here each row is what its text alone gives.
     */
    @Test
    void textsOfAnyLengthsAreGeneratedTogether() {
        try (var _ = TensorScope.open();
                HookedTransformer model = model()) {
            for (boolean cache : new boolean[] {true, false}) {
                Tensor together = model.generate(texts())
                        .maxNewTokens(8)
                        .usePastKvCache(cache)
                        .run();
                for (int row = 0; row < texts().size(); row++) {
                    long[] alone = model.generate(texts().get(row))
                            .maxNewTokens(8)
                            .run()
                            .toLongs();
                    long[] found = together.select(0, row).toLongs();
                    assertEquals(
                            Arrays.toString(alone),
                            Arrays.toString(Arrays.copyOfRange(found, found.length - alone.length, found.length)),
                            texts().get(row));
                }
                // What fills a row up is not text of which a penalty could be for; and the first row draws what it
                // would alone.
                Sampling penalized = new Sampling(1, 1, 1, 0.5);
                Sampling drawn = new Sampling(1, 0, 1, 0.5);
                Hooks ending = Hooks.at(
                        "ln_final.hook_normalized",
                        (x, name) -> x.add(model.weight("unembed.W_U")
                                .slice(1, 50256, 50257)
                                .t()
                                .mul(2)));
                Tensor favoured = model.generate(texts())
                        .sampling(penalized)
                        .stopAtEos(false)
                        .hooks(ending)
                        .maxNewTokens(6)
                        .usePastKvCache(cache)
                        .run();
                for (int row = 0; row < texts().size(); row++) {
                    long[] alone = model.generate(texts().get(row))
                            .sampling(penalized)
                            .stopAtEos(false)
                            .hooks(ending)
                            .maxNewTokens(6)
                            .run()
                            .toLongs();
                    long[] found = favoured.select(0, row).toLongs();
                    assertEquals(
                            Arrays.toString(alone),
                            Arrays.toString(Arrays.copyOfRange(found, found.length - alone.length, found.length)),
                            texts().get(row));
                }
                assertEquals(
                        Arrays.toString(model.generate(texts().getFirst())
                                .sampling(drawn)
                                .seed(3)
                                .maxNewTokens(6)
                                .run()
                                .toLongs()),
                        Arrays.toString(model.generate(texts())
                                .sampling(drawn)
                                .seed(3)
                                .maxNewTokens(6)
                                .usePastKvCache(cache)
                                .run()
                                .select(0, 0)
                                .toLongs()));
            }
        }
    }

    @Test
    void shortNamesAreTransformerLenss() {
        for (JsonNode pair : GOLDEN.expected().get("names")) {
            JsonNode asked = pair.get(0);
            String name = asked.get(0).stringValue();
            String type = asked.get(2).isNull() ? "" : asked.get(2).stringValue();
            assertEquals(
                    pair.get(1).stringValue(),
                    asked.get(1).isNull()
                            ? ActName.of(name)
                            : ActName.of(name, asked.get(1).intValue(), type),
                    asked.toString());
        }
        try (var _ = TensorScope.open();
                HookedTransformer model = model()) {
            ActivationCache cache =
                    model.runWithCache(model.toTokens("a b"), name -> true).cache();
            assertTrue(cache.get("resid_pre", -1).sameElements(cache.get("blocks.2.hook_resid_pre")));
            assertTrue(cache.get("k1").sameElements(cache.get("blocks.1.attn.hook_k")));
            assertThrows(IllegalArgumentException.class, () -> cache.get("nonsense"));
        }
    }

    @Test
    void weightsAndCompositionsEqualTransformerLens() {
        try (var scope = TensorScope.open();
                HookedTransformer model = model()) {
            Safetensors expected = tensors(scope);
            Weights weights = model.weights();
            Map<String, Tensor> stacks = Map.ofEntries(
                    Map.entry("W_Q", weights.wQ()),
                    Map.entry("W_K", weights.wK()),
                    Map.entry("W_V", weights.wV()),
                    Map.entry("W_O", weights.wO()),
                    Map.entry("b_Q", weights.bQ()),
                    Map.entry("b_K", weights.bK()),
                    Map.entry("b_V", weights.bV()),
                    Map.entry("b_O", weights.bO()),
                    Map.entry("W_in", weights.wIn()),
                    Map.entry("b_in", weights.bIn()),
                    Map.entry("W_out", weights.wOut()),
                    Map.entry("b_out", weights.bOut()));
            stacks.forEach((name, stack) -> Golden.assertClose(
                    expected.tensor("sums/" + name), stack.mul(stack).sum(-1, false), name));
            assertEquals(
                    model.config().dVocab() + model.config().nCtx(),
                    weights.wEPos().size(0));
            Golden.assertClose(expected.tensor("ov/S"), weights.ov().svd().s(), "singular values");
            Golden.assertClose(expected.tensor("ov/norm"), weights.ov().norm(), "norms");
            Tensor values = weights.ov().eigenvalues();
            Golden.assertClose(
                    expected.tensor("ov/eigenvalue_sum"), values.select(-1, 0).sum(-1, false), "traces");
            Tensor sizes = values.mul(values).sum(-1, false).sqrt();
            float[] sorted = sizes.mul(-1).sortDescending().values().mul(-1).toFloats();
            Golden.assertClose(
                    expected.tensor("ov/eigenvalue_abs_sorted"), Tensor.of(sorted, sizes.shape()), "eigenvalues");
            var svd = weights.ov().get(0).get(1).svd();
            Golden.assertClose(
                    weights.ov().ab().select(0, 0).select(0, 1),
                    svd.u().mul(svd.s().unsqueeze(0)).matmul(svd.v().t()),
                    "U S Vᵀ");
            for (Weights.Composition through : Weights.Composition.values())
                Golden.assertClose(
                        expected.tensor("composition/" + through),
                        weights.allCompositionScores(through),
                        "composition " + through);
            assertEquals(
                    GOLDEN.expected()
                            .get("head_labels")
                            .valueStream()
                            .map(JsonNode::stringValue)
                            .toList(),
                    weights.allHeadLabels());
        }
    }

    @Test
    void hooksOnGradientsSeeAndChangeThemAsInTransformerLens() {
        try (var scope = TensorScope.open();
                HookedTransformer model = model()) {
            Safetensors expected = tensors(scope);
            Tensor prompt = model.toTokens(texts().getFirst());
            Map<String, Tensor> seen = new ConcurrentHashMap<>();
            Hooks keep = Hooks.where(
                    name -> name.equals("blocks.1.hook_mlp_out") || name.equals("blocks.0.attn.hook_z"),
                    (gradient, name) -> {
                        seen.put(name.name(), scope.adopt(gradient));
                        return null;
                    });
            Hooks triple = Hooks.at("blocks.2.hook_resid_pre", (gradient, name) -> {
                seen.put(name.name(), scope.adopt(gradient));
                return gradient.mul(3);
            });
            Forward.Gradients found = model.forward(prompt)
                    .backwardHooks(triple)
                    .backwardHooks(keep)
                    .gradients(metric(model), "blocks.0.attn.hook_z");
            assertEquals(3, seen.size());
            seen.forEach((name, gradient) -> Golden.assertClose(expected.tensor("backward/" + name), gradient, name));
            assertEquals(List.of("blocks.0.attn.hook_z"), found.gradients().names());
            assertTrue(found.gradients().get("blocks.0.attn.hook_z").sameElements(seen.get("blocks.0.attn.hook_z")));
            // A hook that writes to a gradient changes what flows on, and nothing that was seen before.
            Map<String, Double> sums = new ConcurrentHashMap<>();
            Hooks inPlace = Hooks.at("blocks.1.hook_mlp_out", (gradient, name) -> {
                        gradient.zero_();
                        return null;
                    })
                    .and("blocks.1.hook_resid_mid", (gradient, name) -> {
                        sums.put(name.name(), gradient.abs().sum(DType.FLOAT64).item());
                        return null;
                    });
            Forward.Gradients zeroed = model.forward(prompt)
                    .backwardHooks(inPlace)
                    .gradients(
                            metric(model),
                            "blocks.1.hook_resid_post",
                            "blocks.1.mlp.hook_post",
                            "blocks.1.hook_resid_mid");
            assertEquals(
                    0,
                    zeroed.gradients()
                            .get("blocks.1.mlp.hook_post")
                            .abs()
                            .sum(DType.FLOAT64)
                            .item());
            assertTrue(sums.get("blocks.1.hook_resid_mid") > 0
                    && zeroed.gradients()
                                    .get("blocks.1.hook_resid_post")
                                    .abs()
                                    .sum(DType.FLOAT64)
                                    .item()
                            > 0);
            Hooks fails = Hooks.at("blocks.1.hook_resid_mid", (gradient, name) -> {
                throw new IOException("mine");
            });
            assertEquals(
                    "mine",
                    assertThrows(
                                    IOException.class,
                                    () -> model.forward(prompt)
                                            .backwardHooks(fails)
                                            .gradients(metric(model)))
                            .getMessage());
            Hooks wrong = Hooks.at("blocks.1.hook_resid_mid", (gradient, name) -> gradient.slice(-1, 0, 3));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> model.forward(prompt).backwardHooks(wrong).gradients(metric(model)));
            assertThrows(
                    StackOverflowError.class,
                    () -> model.forward(prompt)
                            .backwardHooks(Hooks.at("blocks.1.hook_resid_mid", SurfaceTest::endless))
                            .gradients(metric(model)));
        }
    }

    private static Tensor endless(Tensor gradient, HookPoint name) throws Exception {
        return endless(gradient, name);
    }

    @Test
    void attributionsEqualSaeLens() {
        try (var scope = TensorScope.open();
                HookedTransformer model = model();
                Sae sae = TestDevice.sae(CASE.folder().resolve("sae"))) {
            Safetensors expected = tensors(scope);
            Tensor prompt = model.toTokens(texts().getFirst());
            Golden.assertClose(
                    expected.tensor("attribution"),
                    FeatureAttribution.byGradient(model, sae, prompt, metric(model)),
                    "activation times gradient");
            List<FeatureAttribution.Attribution> exact = FeatureAttribution.byAblation(
                    model, sae, prompt, logits -> metric(model).apply(logits).item());
            assertEquals(GOLDEN.expected().get("active").intValue(), exact.size());
            for (JsonNode one : GOLDEN.expected().get("ablation")) {
                var found = exact.stream()
                        .filter(each -> each.position() == one.get(0).intValue()
                                && each.feature() == one.get(1).intValue())
                        .findFirst()
                        .orElseThrow();
                assertEquals(
                        one.get(2).doubleValue(),
                        found.effect(),
                        1e-4,
                        one.toString()); // a difference of two logits of about 20, each within 1e-5
            }
            for (int i = 1; i < exact.size(); i++)
                assertTrue(Math.abs(exact.get(i - 1).effect())
                        >= Math.abs(exact.get(i).effect()));
            assertTrue(
                    FeatureAttribution.byAblation(
                                    model,
                                    sae,
                                    prompt,
                                    logits -> metric(model).apply(logits).item(),
                                    3)
                            .stream()
                            .allMatch(each -> each.position() == 3));
            List<FeatureAttribution.Attribution> top =
                    FeatureAttribution.topByGradient(model, sae, prompt, metric(model), 5);
            assertEquals(5, top.size());
            JsonNode both = GOLDEN.expected().get("ablated_features");
            int[] features = both.get("features")
                    .valueStream()
                    .mapToInt(JsonNode::intValue)
                    .toArray();
            Tensor without = model.with(sae.attachment(true)).runWithHooks(prompt, sae.ablation(features));
            assertEquals(
                    both.get("metric").doubleValue(),
                    metric(model).apply(without).item(),
                    1e-4);
            assertThrows(IndexOutOfBoundsException.class, () -> sae.ablation(384));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> FeatureAttribution.byAblation(model, sae, model.toTokens(texts(), true), logits -> 0));
        }
    }

    @Test
    void saesAreAddedAndTakenAwayAsValues() {
        try (var _ = TensorScope.open();
                HookedTransformer model = model();
                Sae sae = TestDevice.sae(CASE.folder().resolve("sae"))) {
            Tensor prompt = model.toTokens(texts().getFirst());
            String hook = sae.config().hookName();
            HookedSaeTransformer plain = HookedSaeTransformer.of(model);
            HookedSaeTransformer with = plain.addSae(sae);
            HookedSaeTransformer error = plain.addSae(sae, HookedSaeTransformer.Splice.DEFAULT.useErrorTerm(true));
            assertEquals(Map.of(hook, sae), with.actsToSaes());
            assertTrue(plain.runWithSaes(prompt).sameElements(model.run(prompt)));
            Tensor replaced = plain.runWithSaes(prompt, sae);
            assertTrue(replaced.sameElements(with.model().run(prompt)) && !replaced.sameElements(model.run(prompt)));
            Golden.assertClose(model.run(prompt), error.model().run(prompt), "with the error term nothing changes");
            HookedTransformer.RunWithCache cached =
                    plain.runWithCacheWithSaes(prompt, name -> name.startsWith(hook + "."), sae);
            assertEquals(5, cached.cache().names().size());
            assertTrue(with.runWithHooksWithSaes(prompt, sae.ablation(1, 2, 3))
                    .shape()
                    .equals(replaced.shape()));
            assertTrue(with.addSae(sae, HookedSaeTransformer.Splice.DEFAULT.useErrorTerm(true))
                    .resetSaes(hook)
                    .actsToSaes()
                    .isEmpty());
            assertThrows(IllegalArgumentException.class, () -> plain.resetSaes(hook));
            assertTrue(with.toString().contains(hook), with.toString());
            // Two that read one point and write others are both there; and what spans the SAE's layer is no obstacle to
            // attributions.
            try (Sae transcoder = TestDevice.sae(Path.of("tests/resources/golden/attached/transcoder"))) {
                assertEquals(2, with.addSae(transcoder).actsToSaes().size());
            }
            Attachment spans = new Attachment(
                    "blocks.0.hook_resid_mid",
                    "blocks.2.hook_mlp_out",
                    List.of(),
                    (read, there, ids, hooks) -> there.add(read.mul(0.1)));
            assertTrue(FeatureAttribution.byAblation(
                                    model.with(spans),
                                    sae,
                                    prompt,
                                    logits -> metric(model).apply(logits).item(),
                                    3)
                            .size()
                    > 0);
        }
    }
}
