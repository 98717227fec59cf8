package io.github.panascope.lens;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.GradMode;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Torch;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** What is kept of a run, what is worked out again, and edits as functions. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class CheckpointsTest {
    /** Step by step: what is kept beside it does not change a run's last bits. */
    private static HookedTransformer model() {
        return Golden.standardA()
                .loadModel(HookedTransformer.Options.DEFAULT
                        .device(TestDevice.DEVICE)
                        .exact(true));
    }

    @Test
    void whatWasNotKeptIsTheSameAsIfItHadBeen() {
        try (var _ = TensorScope.open();
                HookedTransformer model = model();
                Sae sae = Golden.standardA().loadSae()) {
            Tensor tokens = model.toTokens(List.of("When John and Mary went to the shops", "The harbour"), true);
            // Edits at the very points that checkpoints are taken before, in place and not; and an SAE on the way.
            Hooks hooks = Hooks.at("blocks.0.hook_resid_pre", (x, name) -> x.add(1))
                    .and("blocks.2.hook_resid_pre", (x, name) -> {
                        x.add_(x.zerosLike().add(0.5));
                        return null;
                    })
                    .and("blocks.1.hook_mlp_out", (x, name) -> x.mul(2));
            for (int every : new int[] {1, 2, 3, 5}) {
                Forward kept = model.forward(tokens)
                        .hooks(hooks)
                        .attach(sae.attachment(true))
                        .caching(name -> true);
                Forward few = model.forward(tokens)
                        .hooks(hooks)
                        .attach(sae.attachment(true))
                        .caching("blocks.1.hook_resid_mid")
                        .checkpoints(every);
                assertTrue(kept.logits().sameElements(few.logits()));
                assertTrue(few.cacheBytes() < kept.cacheBytes() / 4);
                assertEquals(List.of("blocks.1.hook_resid_mid"), few.cache().names());
                for (String name : kept.cache().names()) {
                    boolean sharesMemory = name.equals(
                            "blocks.1.hook_resid_post"); // with blocks.2.hook_resid_pre, so that the edit in place
                    // shows in what was kept
                    assertEquals(
                            !sharesMemory,
                            kept.cache().get(name).sameElements(few.cache().get(name)),
                            name + " from checkpoints every " + every);
                }
                assertEquals(
                        Shape.of(2, 9, 4, 48),
                        few.cache().get("blocks.2.attn.hook_result").shape(),
                        "points on request too");
                assertFalse(few.cache().has("blocks.0.hook_resid_pre"), "nothing is kept by looking");
                assertThrows(IllegalArgumentException.class, () -> few.cache().get("blocks.3.hook_resid_pre"));
            }
            ActivationCache fromBlock = fromBlock(model, tokens);
            assertThrows(
                    IllegalArgumentException.class,
                    () -> fromBlock.get("hook_embed"),
                    "a run that began at block 1 had no embedding");
            assertTrue(fromBlock.has("blocks.1.hook_mlp_out"), "what a loss run kept outlives the run");
            assertEquals(tokens.size(1), fromBlock.get("blocks.2.hook_mlp_out").size(1));
        }
    }

    private static ActivationCache fromBlock(HookedTransformer model, Tensor tokens) {
        Forward run = model.forward(tokens)
                .startAtLayer(1, model.forward(tokens).stopAtLayer(1))
                .caching("blocks.1.hook_mlp_out")
                .checkpoints(1);
        run.loss();
        return run.cache();
    }

    @Test
    void nothingIsWorkedOutThatTheRunDidNotPass() {
        try (var _ = TensorScope.open();
                HookedTransformer model = model()) {
            Tensor tokens = model.toTokens("When John and Mary went");
            Forward stopped = model.forward(tokens).checkpoints(1);
            stopped.stopAtLayer(2);
            assertThrows(IllegalArgumentException.class, () -> stopped.cache().get("blocks.2.hook_resid_mid"));
            assertThrows(IllegalArgumentException.class, () -> stopped.cache().get("ln_final.hook_scale"));
            Forward whole = model.forward(tokens).caching(name -> true);
            whole.logits();
            assertTrue(stopped.cache()
                    .get("blocks.1.hook_resid_mid")
                    .sameElements(whole.cache().get("blocks.1.hook_resid_mid")));
            // What is attached may span blocks: a checkpoint within its reach is of no use.
            for (String[] points : new String[][] {
                {"hook_embed", "blocks.2.hook_mlp_out"},
                {"blocks.0.hook_resid_mid", "blocks.2.hook_mlp_out"},
                {"ln_final.hook_normalized", "ln_final.hook_normalized"},
                {"hook_embed", "hook_embed"}
            }) {
                Attachment spans = new Attachment(
                        points[0], points[1], List.of(), (read, there, ids, hooks) -> there.add(read.mean(-1, true)));
                for (int every = 1; every < 5; every++) {
                    Forward few = model.forward(tokens).attach(spans).checkpoints(every);
                    Forward all = model.forward(tokens).attach(spans).caching(name -> true);
                    few.logits();
                    all.logits();
                    for (String name : all.cache().names())
                        assertTrue(
                                all.cache().get(name).sameElements(few.cache().get(name)),
                                name + " with " + List.of(points) + " from checkpoints every " + every);
                    if (points[0].startsWith("blocks")
                            || points[0].equals("hook_embed") && !points[1].equals("hook_embed")) continue;
                    Forward late = model.forward(tokens)
                            .attach(spans)
                            .startAtLayer(2, model.forward(tokens).stopAtLayer(2))
                            .checkpoints(every);
                    late.logits();
                    assertEquals(
                            tokens.size(1),
                            late.cache().get("blocks.2.hook_mlp_out").size(1));
                }
            }
        }
    }

    @Test
    void whatIsKeptBesideGradientsOutlivesThem() {
        try (var _ = TensorScope.open();
                HookedTransformer model = model()) {
            Tensor tokens = model.toTokens("When John and Mary went");
            Forward run =
                    model.forward(tokens).caching("blocks.1.hook_resid_pre").checkpoints(2);
            Forward plain = model.forward(tokens).caching(name -> true);
            Forward.Gradients gradients =
                    run.gradients(logits -> logits.select(0, 0).select(0, 3).select(0, 100), "blocks.1.hook_resid_pre");
            plain.logits();
            for (String name : List.of("blocks.1.hook_resid_pre", "blocks.2.hook_resid_mid", "blocks.0.attn.hook_z")) {
                assertTrue(run.cache().get(name).sameElements(plain.cache().get(name)), name);
                assertFalse(GradMode.flowsThrough(run.cache().get(name)), name);
            }
            assertTrue(gradients
                            .gradients()
                            .get("blocks.1.hook_resid_pre")
                            .abs()
                            .sum(DType.FLOAT64)
                            .item()
                    > 0);
        }
    }

    @Test
    void weightsLeaveNoHandlesWithTheModel() {
        try (var _ = TensorScope.open();
                HookedTransformer model = model()) {
            long before = Torch.liveHandles();
            for (int i = 0; i < 20; i++) {
                try (var _ = TensorScope.open()) {
                    model.weights().wO();
                }
            }
            assertEquals(before, Torch.liveHandles());
            assertThrows(IllegalArgumentException.class, () -> model.weight("blocks.9.attn.W_O"));
        }
    }

    @Test
    void decompositionsWorkFromCheckpoints() {
        try (var _ = TensorScope.open();
                HookedTransformer model = model()) {
            Tensor tokens = model.toTokens("When John and Mary went to the shops");
            Forward few = model.forward(tokens).checkpoints(1);
            Forward kept = model.forward(tokens).caching(name -> true);
            few.logits();
            kept.logits();
            assertTrue(few.cache()
                    .fullResidDecomposition(-1, BlockInput.ATTENTION)
                    .values()
                    .sameElements(kept.cache()
                            .fullResidDecomposition(-1, BlockInput.ATTENTION)
                            .values()));
            assertTrue(few.cache()
                    .accumulatedResid(-1, true, BlockInput.ATTENTION)
                    .applyLn(-1, BlockInput.ATTENTION)
                    .values()
                    .sameElements(kept.cache()
                            .accumulatedResid(-1, true, BlockInput.ATTENTION)
                            .applyLn(-1, BlockInput.ATTENTION)
                            .values()));
        }
    }

    @Test
    void onlySomePositionsAreKept() {
        try (var _ = TensorScope.open();
                HookedTransformer model = model()) {
            Tensor tokens = model.toTokens("When John and Mary went to the shops");
            Forward some = model.forward(tokens).caching(name -> true).cachingPositions(2, 5);
            Forward all = model.forward(tokens).caching(name -> true);
            long bytes = some.cacheBytes();
            some.logits();
            all.logits();
            long kept = 0;
            for (String name : some.cache().names()) {
                assertTrue(
                        some.cache()
                                .get(name)
                                .sameElements(all.cache().slicePositions(2, 5).get(name)),
                        name);
                kept += some.cache().get(name).shape().elements() * 4;
            }
            assertEquals(kept, bytes);
            assertThrows(
                    IllegalArgumentException.class, () -> model.forward(tokens).cachingPositions(3, 3));
        }
    }

    @Test
    void editsDoOneThingAtOnePlace() {
        try (var _ = TensorScope.open();
                HookedTransformer model = model()) {
            Tensor tokens = model.toTokens(List.of("When John and Mary went", "one two three four five"), true);
            Tensor ones = Tensor.of(new float[] {1}, Shape.of(1), TestDevice.DEVICE);
            ActivationCache before = model.runWithCache(tokens, name -> true).cache();
            Hooks hooks = Hooks.at("blocks.0.attn.hook_z", Edits.atHead(2, Edits.zero()))
                    .and("blocks.0.attn.hook_pattern", Edits.atHead(1, Edits.atPosition(-1, Edits.zero())))
                    .and("blocks.1.hook_resid_pre", Edits.atPosition(-2, Edits.replace(ones)))
                    .and("blocks.1.attn.hook_q", Edits.scale(0))
                    .and("blocks.2.hook_resid_pre", Edits.mean())
                    .and("blocks.2.mlp.hook_post", Edits.add(ones));
            Forward run = model.forward(tokens).hooks(hooks).caching(name -> true);
            run.logits();
            ActivationCache after = run.cache();
            Tensor z = after.get("z0");
            assertEquals(0, z.select(2, 2).abs().sum(DType.FLOAT64).item());
            assertTrue(z.select(2, 3).sameElements(before.get("z0").select(2, 3)));
            Tensor edited = after.get("resid_pre", 1).select(1, tokens.size(1) - 2);
            assertTrue(edited.sameElements(edited.zerosLike().add(1)));
            assertTrue(
                    after.get("resid_pre", 1)
                            .select(1, 0)
                            .sameElements(after.get("resid_post", 0).select(1, 0)),
                    "and nowhere else");
            assertEquals(0, after.get("q1").abs().sum(DType.FLOAT64).item());
            assertTrue(after.get("resid_pre", 2)
                    .select(0, 0)
                    .sameElements(after.get("resid_pre", 2).select(0, 1)));
            Tensor pattern = after.get("pattern", 0);
            assertEquals(
                    0,
                    pattern.select(1, 1)
                            .select(1, 0)
                            .select(1, tokens.size(1) - 1)
                            .abs()
                            .sum(DType.FLOAT64)
                            .item());
            assertThrows(
                    IndexOutOfBoundsException.class,
                    () -> model.runWithHooks(tokens, Hooks.at("blocks.0.attn.hook_z", Edits.atHead(4, Edits.zero()))));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> model.runWithHooks(
                            tokens, Hooks.at("blocks.0.hook_resid_pre", Edits.atHead(0, Edits.zero()))));
        }
    }
}
