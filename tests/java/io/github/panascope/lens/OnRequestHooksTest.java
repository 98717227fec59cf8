package io.github.panascope.lens;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.model.HookPoint;
import io.github.panascope.model.TransformerConfig;
import io.github.panascope.model.WeightProcessing;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.Safetensors;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Hook points that are there only when they are named, against TransformerLens with its switches on: see
 * tests/peers/make_hooks.py.
 */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class OnRequestHooksTest {
    private static final Golden GOLDEN = Golden.standardA();
    private static final Path EXPECTED = Path.of("tests/resources/golden/hooks/expected.safetensors");

    private static HookedTransformer model() {
        return GOLDEN.loadModel(TestDevice.options(WeightProcessing.DEFAULT));
    }

    private static Tensor tokens(TensorScope scope) {
        return Safetensors.open(GOLDEN.folder().resolve("expected.safetensors"), scope)
                .tensor("small_tokens");
    }

    @Test
    void allOfTransformerLensAreThere() {
        TransformerConfig small = TransformerConfig.gpt2(12, 768, 12, 3072, 50257, 1024, 1e-5, false, true);
        assertEquals(208, HookPoint.all(small).size());
        // Without hook_tokens and SAELens's mlp.hook_in, which TransformerLens's count leaves out.
        assertEquals(
                280,
                208
                        + HookPoint.onRequest(small).stream()
                                .map(HookPoint::name)
                                .filter(name -> !name.equals("hook_tokens") && !name.endsWith("mlp.hook_in"))
                                .count());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"hook_q_input", "hook_k_input", "hook_v_input", "hook_attn_in", "attn.hook_result", "hook_mlp_in"
            })
    void valuesAndInterventionsEqualTransformerLens(String point) {
        String name = "blocks.1." + point;
        try (var scope = TensorScope.open();
                HookedTransformer model = model()) {
            Safetensors expected = Safetensors.open(EXPECTED, scope);
            Forward run = model.forward(tokens(scope)).caching(name);
            Tensor untouched = run.lossPerToken();
            Golden.assertClose(expected.tensor(name), run.cache().get(name), name);
            assertEquals(List.of(name), run.cache().names());
            Golden.assertClose(
                    model.forward(tokens(scope)).lossPerToken(), untouched, "the loss with " + name + " looked at");
            Tensor second = Tensor.of(new long[] {1}, Shape.of(1), TestDevice.DEVICE);
            Hook halved = (x, hook) -> point.equals("hook_mlp_in")
                    ? x.mul(0.5)
                    : x.sub(x.sub(x.indexFill(2, second, 0)).mul(0.5));
            Golden.assertClose(
                    expected.tensor("loss/" + point),
                    model.forward(tokens(scope)).hooks(Hooks.at(name, halved)).lossPerToken(),
                    "intervention at " + name);
        }
    }

    @Test
    void whatACacheTakesIsKnownBefore() {
        try (var scope = TensorScope.open();
                HookedTransformer model = model()) {
            Tensor tokens = tokens(scope);
            Forward all = model.forward(tokens)
                    .caching(name -> true)
                    .caching(HookPoint.onRequest(model.config()).stream()
                            .map(HookPoint::name)
                            .filter(name -> !name.endsWith("_input"))
                            .toArray(String[]::new));
            all.logits();
            long bytes = 0;
            for (String name : all.cache().names()) {
                Tensor kept = all.cache().get(name);
                assertEquals(
                        HookPoint.of(name).orElseThrow().shape(model.config(), tokens.size(0), tokens.size(1)),
                        kept.shape(),
                        name);
                bytes += kept.shape().elements() * kept.dtype().bytes();
            }
            // With hook_attn_in asked for, ln1's own points report nothing: they are counted and not kept.
            long silent = 3 * (tokens.size(0) * tokens.size(1) * (1 + 48)) * 4;
            assertEquals(bytes + silent, all.cacheBytes());
            int[] called = {0};
            IllegalStateException e = assertThrows(
                    IllegalStateException.class,
                    () -> model.forward(tokens)
                            .caching(name -> true)
                            .cacheLimit(1000)
                            .hooks(Hooks.where(name -> true, (x, name) -> {
                                called[0]++;
                                return null;
                            }))
                            .logits());
            assertTrue(e.getMessage().contains("more than the limit of 1000") && called[0] == 0, e.getMessage());
            Forward refused = model.forward(tokens).caching(name -> true).cacheLimit(1000);
            assertThrows(IllegalStateException.class, refused::logits);
            refused.cacheLimit(all.cacheBytes()).logits(); // it has not run, so that it still can
        }
    }

    @Test
    void theyAreNotThereForPredicatesAndUnderNoOtherName() {
        try (var scope = TensorScope.open();
                HookedTransformer model = model()) {
            assertFalse(model.runWithCache(tokens(scope), name -> true).cache().has("blocks.1.attn.hook_result"));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> model.forward(tokens(scope)).caching("blocks.1.attn.hook_resultt"));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> model.runWithHooks(tokens(scope), Hooks.at("blocks.3.hook_mlp_in", (x, name) -> null)));
        }
    }

    @Test
    void tokensAndTheMlpsInputCanBeReplaced() {
        try (var scope = TensorScope.open();
                HookedTransformer model = model()) {
            Tensor tokens = tokens(scope);
            Tensor other = tokens.slice(1, 1, 2).add(Tensor.zeros(DType.INT64, tokens.shape()));
            assertTrue(model.run(other)
                    .sameElements(
                            model.runWithHooks(tokens, Hooks.at("hook_tokens", (ids, name) -> TestDevice.on(other)))));
            Forward run = model.forward(tokens).caching("blocks.0.mlp.hook_in", "blocks.0.ln2.hook_normalized");
            run.logits();
            assertArrayEquals(
                    run.cache().get("blocks.0.ln2.hook_normalized").toFloats(),
                    run.cache().get("blocks.0.mlp.hook_in").toFloats());
            Hooks zeroed = Hooks.at("blocks.0.mlp.hook_in", (x, name) -> x.zerosLike());
            Hooks same = Hooks.at("blocks.0.ln2.hook_normalized", (x, name) -> x.zerosLike());
            assertTrue(model.runWithHooks(tokens, zeroed).sameElements(model.runWithHooks(tokens, same)));
        }
    }
}
