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
import io.github.panascope.lens.Hook;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.Safetensors;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** SAEs attached to runs against SAELens's HookedSAETransformer: see tests/peers/make_attached.py. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class AttachedSaeTest {
    private static final Path FOLDER = Path.of("tests/resources/golden/attached");
    private static final Hooks DOUBLED = Hooks.at("blocks.0.hook_mlp_out", (x, name) -> x.mul(2));

    private static HookedTransformer model() {
        return Golden.standardA().loadModel();
    }

    private static Sae sae(String name) {
        return TestDevice.sae(FOLDER.resolve(name));
    }

    private static void compare(Safetensors expected, String run, Forward forward, HookedTransformer model) {
        List<String> inner = expected.names().stream()
                .filter(name -> name.startsWith(run + "/") && name.contains("hook_sae"))
                .map(name -> name.substring(run.length() + 1))
                .toList();
        assertTrue(inner.size() >= 5, run);
        Tensor logits = forward.caching(inner.toArray(String[]::new)).logits();
        Golden.assertClose(
                expected.tensor(run + "/logits"),
                logits.select(1, logits.size(1) - 1).slice(1, 0, 60),
                run + " logits");
        for (String name : inner)
            Golden.assertClose(
                    expected.tensor(run + "/" + name), forward.cache().get(name), run + " " + name);
    }

    @ParameterizedTest
    @ValueSource(strings = {"standard", "gated", "topk", "jumprelu_z", "transcoder"})
    void everyPointAndInterventionEqualsSaeLens(String name) {
        try (var scope = TensorScope.open();
                HookedTransformer model = model();
                Sae sae = sae(name)) {
            Safetensors expected = Safetensors.open(FOLDER.resolve("expected.safetensors"), scope);
            Tensor tokens = expected.tensor("tokens");
            String point = sae.config().hookNameOut() + ".hook_sae_acts_";
            long[] even = LongStream.iterate(0, i -> i < 96, i -> i + 2).toArray();
            Tensor some = Tensor.of(even, Shape.of(even.length), TestDevice.DEVICE);
            Hook ablate = (acts, hook) -> acts.indexFill(acts.shape().rank() - 1, some, 0);
            compare(expected, name, model.forward(tokens).attach(sae.attachment(false)), model);
            compare(expected, name + "+error", model.forward(tokens).attach(sae.attachment(true)), model);
            compare(
                    expected,
                    name + "+ablated",
                    model.forward(tokens).attach(sae.attachment(false)).hooks(Hooks.at(point + "post", ablate)),
                    model);
            compare(
                    expected,
                    name + "+ablated+error",
                    model.forward(tokens).attach(sae.attachment(true)).hooks(Hooks.at(point + "post", ablate)),
                    model);
            compare(
                    expected,
                    name + "+halved",
                    model.forward(tokens)
                            .attach(sae.attachment(false))
                            .hooks(Hooks.at(point + "pre", (acts, hook) -> acts.mul(0.5))),
                    model);
        }
    }

    /** Vocabularies differ in which id their special token has. */
    @Test
    void theExcludedTokensAreThoseThatAreNamed() {
        try (var _ = TensorScope.open();
                HookedTransformer model = model();
                Sae sae = sae("standard")) {
            Tensor tokens = Tensor.ofTokens(7, 8, 9, 7);
            String point = sae.config().hookNameOut();
            Tensor plain = model.runWithCache(tokens, point::equals).cache().get(point);
            Forward run =
                    model.forward(tokens).attach(sae.attachment(false, 7, 9)).caching(point + ".hook_sae_output");
            run.logits();
            Tensor output = run.cache().get(point + ".hook_sae_output");
            for (int position : new int[] {0, 2, 3})
                assertTrue(plain.select(1, position).sameElements(output.select(1, position)), "position " + position);
            assertFalse(plain.select(1, 1).sameElements(output.select(1, 1)));
        }
    }

    @Test
    void specialTokensMayPassAndSeveralSaesMayBeAttached() {
        try (var scope = TensorScope.open();
                HookedTransformer model = model();
                Sae standard = sae("standard");
                Sae topk = sae("topk")) {
            Safetensors expected = Safetensors.open(FOLDER.resolve("expected.safetensors"), scope);
            Tensor tokens = expected.tensor("tokens");
            compare(
                    expected,
                    "standard+exclude",
                    model.forward(tokens)
                            .attach(standard.attachment(false, model.tokenizer().bosEosPad())),
                    model);
            compare(
                    expected,
                    "standard+exclude+error",
                    model.forward(tokens)
                            .attach(standard.attachment(true, model.tokenizer().bosEosPad())),
                    model);
            compare(
                    expected,
                    "two",
                    model.forward(tokens).attach(topk.attachment(false)).attach(standard.attachment(false)),
                    model);
        }
    }

    private static Tensor tokens(TensorScope scope) {
        return Safetensors.open(FOLDER.resolve("expected.safetensors"), scope).tensor("tokens");
    }

    @Test
    void theHooksOfAViewComeFirst() {
        try (var scope = TensorScope.open();
                HookedTransformer model = model()) {
            Tensor tokens = tokens(scope);
            Hooks plusOne = Hooks.at("blocks.0.hook_mlp_out", (x, name) -> x.add(1));
            HookedTransformer view = model.with(DOUBLED);
            assertTrue(model.runWithHooks(tokens, DOUBLED).sameElements(view.run(tokens)));
            assertTrue(
                    model.runWithHooks(tokens, DOUBLED.and(plusOne)).sameElements(view.runWithHooks(tokens, plusOne)));
            assertTrue(model.runWithHooks(tokens, DOUBLED.and(plusOne))
                    .sameElements(model.with(DOUBLED).with(plusOne).run(tokens)));
        }
    }

    /** A view with hooks and two SAEs, of which the first was attached twice. */
    private static HookedTransformer attached(HookedTransformer model, Sae sae, Sae gated) {
        return model.with(DOUBLED)
                .with(sae.attachment(false))
                .with(gated.attachment(false))
                .with(sae.attachment(true));
    }

    @Test
    void aViewHasItsSaesInEveryRun() {
        try (var scope = TensorScope.open();
                HookedTransformer model = model();
                Sae sae = sae("standard");
                Sae gated = sae("gated")) {
            Tensor tokens = tokens(scope);
            HookedTransformer attached = attached(model, sae, gated);
            assertTrue(model.forward(tokens)
                    .hooks(DOUBLED)
                    .attach(gated.attachment(false))
                    .attach(sae.attachment(true))
                    .logits()
                    .sameElements(attached.run(tokens)));
            assertTrue(attached.runWithCache(tokens, name -> name.endsWith("hook_sae_error"))
                    .cache()
                    .has("blocks.2.hook_resid_pre.hook_sae_error"));
        }
    }

    @Test
    void aViewGeneratesWithItsHooksAndItsSae() {
        try (var scope = TensorScope.open();
                HookedTransformer model = model();
                Sae sae = sae("standard")) {
            Tensor tokens = tokens(scope).slice(0, 0, 1);
            HookedTransformer view = model.with(DOUBLED);
            assertEquals(
                    model.generate(tokens).hooks(DOUBLED).text(),
                    view.generate(tokens).text());
            Tensor prompt = tokens.slice(1, 0, 6);
            Hooks reconstructed = Hooks.at(sae.config().hookName(), (x, hook) -> sae.reconstruct(x));
            String spliced =
                    model.generate(prompt).hooks(DOUBLED.and(reconstructed)).text();
            HookedTransformer with = view.with(sae.attachment(false));
            assertEquals(spliced, with.generate(prompt).text());
            assertEquals(spliced, with.generate(prompt).usePastKvCache(false).text());
        }
    }

    @Test
    void hooksInsideAnAttachedSaeAreCalledAtEachStep() {
        try (var scope = TensorScope.open();
                HookedTransformer model = model();
                Sae sae = sae("standard");
                Sae gated = sae("gated")) {
            List<String> seen = new ArrayList<>();
            attached(model, sae, gated)
                    .generate(tokens(scope).slice(0, 0, 1).slice(1, 0, 6))
                    .maxNewTokens(2)
                    .hooks(Hooks.at("blocks.2.hook_resid_pre.hook_sae_error", (_, name) -> {
                        seen.add(name.name());
                        return null;
                    }))
                    .text();
            assertEquals(2, seen.size());
        }
    }

    @Test
    void anExactSaeIsAViewThatOwnsNothing() {
        try (var _ = TensorScope.open();
                Sae sae = sae("standard")) {
            try (Sae exact = sae.exact()) {
                assertEquals(sae.config(), exact.config());
            }
            sae.encode(Tensor.zeros(DType.FLOAT32, Shape.of(1, sae.config().dIn()), TestDevice.DEVICE));
        }
    }

    @Test
    void nothingOfAViewStaysAndClosingOneFreesNothing() {
        try (var scope = TensorScope.open();
                HookedTransformer model = model();
                Sae sae = sae("standard");
                Sae gated = sae("gated")) {
            Tensor tokens = tokens(scope);
            Tensor plain = model.run(tokens);
            HookedTransformer view = model.with(DOUBLED);
            HookedTransformer attached = attached(model, sae, gated);
            view.run(tokens);
            attached.run(tokens);
            attached.close();
            view.close();
            assertTrue(plain.sameElements(model.run(tokens)));
        }
    }

    @Test
    void featuresSteerAlongTheirDirections() {
        try (var scope = TensorScope.open();
                HookedTransformer model = model();
                Sae sae = sae("standard");
                Sae heads = sae("jumprelu_z")) {
            Tensor tokens = Safetensors.open(FOLDER.resolve("expected.safetensors"), scope)
                    .tensor("tokens");
            Tensor direction = sae.weight("W_dec").select(0, 7);
            Tensor expected = model.runWithHooks(
                    tokens, Hooks.at("blocks.2.hook_resid_pre", (x, name) -> x.add(direction.mul(3))));
            assertTrue(expected.sameElements(model.runWithHooks(tokens, sae.steering(7, 3))));
            assertFalse(model.run(tokens).sameElements(model.runWithHooks(tokens, heads.steering(7, 3))));
            assertThrows(IndexOutOfBoundsException.class, () -> sae.steering(96, 1));
            Tensor lens = sae.logitLens(model, 7, 11);
            Golden.assertClose(
                    direction.unsqueeze(0).matmul(model.weight("unembed.W_U")), lens.slice(0, 0, 1), "logit lens");
            assertEquals(Shape.of(2, 50257), lens.shape());
        }
    }

    @Test
    void withTheErrorTermNothingChangesAndNothingStaysBehind() {
        try (var scope = TensorScope.open();
                HookedTransformer model = model();
                Sae sae = sae("standard")) {
            Tensor tokens = Safetensors.open(FOLDER.resolve("expected.safetensors"), scope)
                    .tensor("tokens");
            Tensor plain = model.run(tokens);
            Golden.assertClose(
                    plain, model.forward(tokens).attach(sae.attachment(true)).logits(), "with error term");
            assertFalse(plain.sameElements(
                    model.forward(tokens).attach(sae.attachment(false)).logits()));
            assertTrue(plain.sameElements(model.run(tokens)), "an attachment is of one run");
            List<String> seen = new ArrayList<>();
            model.forward(tokens)
                    .attach(sae.attachment(true))
                    .hooks(Hooks.where(
                            name -> name.contains("hook_sae") || name.equals("blocks.2.hook_resid_pre"), (x, name) -> {
                                seen.add(name.name().substring(name.name().lastIndexOf('.') + 1));
                                return null;
                            }))
                    .logits();
            assertEquals(
                    List.of(
                            "hook_resid_pre",
                            "hook_sae_input",
                            "hook_sae_acts_pre",
                            "hook_sae_acts_post",
                            "hook_sae_recons",
                            "hook_sae_error",
                            "hook_sae_output"),
                    seen);
            assertThrows(
                    IllegalArgumentException.class,
                    () -> model.forward(tokens).attach(sae.attachment(true)).attach(sae.attachment(false)));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> model.forward(tokens)
                            .attach(sae.attachment(false))
                            .caching("blocks.2.hook_resid_pre.hook_sae_error"));
        }
    }
}
