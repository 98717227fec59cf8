package io.github.panascope;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.dashboard.DashboardPage;
import io.github.panascope.lens.ActivationCache;
import io.github.panascope.lens.Attachment;
import io.github.panascope.lens.BlockInput;
import io.github.panascope.lens.Forward;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.lens.ResidualStack;
import io.github.panascope.lens.SharedPrefix;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.function.Executable;

/** Calls that cannot be right, and the sentence that says so. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class MistakesTest {
    private static HookedTransformer model;

    @BeforeAll
    static void load() {
        model = load("gpt2-small");
    }

    private static HookedTransformer load(String name) {
        return HookedTransformer.fromPretrained(
                name, TestDevice.OPTIONS.hub(Golden.standardA().hub()));
    }

    @AfterAll
    static void close() {
        model.close();
    }

    private static String message(Class<? extends Exception> type, Executable mistake) {
        return assertThrows(type, mistake).getMessage();
    }

    @Test
    void tokensOutsideTheVocabularyAreNamedWithTheirPlace() {
        try (var _ = TensorScope.open()) {
            for (long id : new long[] {-1, model.config().dVocab(), Long.MAX_VALUE, Long.MIN_VALUE}) {
                Tensor tokens = Tensor.of(new long[] {50256, 11, 12, 50256, 13, id}, Shape.of(2, 3));
                assertEquals(
                        "token id " + id + " in row 1 at position 2 is outside the vocabulary of "
                                + model.config().dVocab() + " tokens",
                        message(IndexOutOfBoundsException.class, () -> model.forward(tokens)));
                assertTrue(message(IndexOutOfBoundsException.class, () -> model.run(tokens))
                        .startsWith("token id " + id + " in row 1"));
            }
        }
    }

    @Test
    void aForwardRunsOnce() {
        try (var _ = TensorScope.open()) {
            Forward forward = model.forward("Hello there").caching("blocks.0.hook_resid_pre");
            assertEquals(
                    "nothing is cached before the run: call logits(), loss() or another method that runs first",
                    message(IllegalStateException.class, forward::cache));
            forward.logits();
            assertEquals(1, forward.cache().names().size());
            assertEquals(
                    "this Forward has run already, and what it cached would be lost: describe another one with"
                            + " model.forward(tokens)",
                    message(IllegalStateException.class, forward::loss));
            Forward plain = model.forward("Hello there");
            plain.logits();
            assertTrue(message(IllegalStateException.class, plain::cache).startsWith("nothing was cached"));
        }
    }

    @Test
    void aStreamThatDoesNotFitTheTokensIsRefused() {
        try (var _ = TensorScope.open()) {
            Tensor tokens = model.toTokens("Hello there");
            int width = model.config().dModel();
            Tensor shorter = Tensor.zeros(model.dtype(), Shape.of(1, 1, width)).to(model.device());
            assertEquals(
                    "the residual stream should be [1, 3, " + width + "] of float32 for these tokens, not "
                            + shorter.describe(),
                    message(
                            IllegalArgumentException.class,
                            () -> model.forward(tokens).startAtLayer(1, shorter)));
            assertEquals(
                    "startAtLayer needs the residual stream that comes into the block",
                    message(
                            NullPointerException.class,
                            () -> model.forward(tokens).startAtLayer(1, null)));
            Tensor stream = model.forward(tokens).stopAtLayer(2);
            assertEquals(
                    "a run that starts at layer 2 cannot stop before layer 1",
                    message(
                            IllegalArgumentException.class,
                            () -> model.forward(tokens).startAtLayer(2, stream).stopAtLayer(1)));
            assertEquals(
                    "positions from -1 to 99 are outside the 3 positions of the run",
                    message(
                            IndexOutOfBoundsException.class,
                            () -> model.forward(tokens).logits(-1, 99)));
        }
    }

    @Test
    void aHookCannotChangeTheNumberOfRows() {
        try (var _ = TensorScope.open()) {
            Tensor tokens = model.toTokens("Hello there");
            String message = message(
                    IllegalArgumentException.class,
                    () -> model.runWithHooks(
                            tokens,
                            Hooks.at(
                                    "blocks.1.hook_resid_pre",
                                    (activation, name) -> Tensor.cat(0, activation, activation))));
            assertTrue(message.endsWith("the number of rows must stay"), message);
            String narrower = message(
                    IllegalArgumentException.class,
                    () -> model.runWithHooks(
                            tokens,
                            Hooks.at("blocks.1.hook_resid_pre", (activation, point) -> activation.slice(2, 0, 5))));
            assertTrue(narrower.endsWith("the last dimension must stay"), narrower);
        }
    }

    @Test
    void hooksOfARunAddUp() {
        try (var _ = TensorScope.open()) {
            int[] called = new int[2];
            model.forward("Hello there")
                    .hooks(Hooks.at("hook_embed", (activation, name) -> {
                        called[0]++;
                        return null;
                    }))
                    .hooks(Hooks.at("hook_embed", (activation, name) -> {
                        called[1]++;
                        return null;
                    }))
                    .logits();
            assertArrayEquals(new int[] {1, 1}, called);
        }
    }

    @Test
    void anInterruptEndsARunBetweenBlocks() {
        try (var _ = TensorScope.open()) {
            Tensor tokens = model.toTokens("Hello there");
            Thread.currentThread().interrupt();
            assertThrows(RunInterruptedException.class, () -> model.run(tokens));
            assertTrue(Thread.interrupted());
        }
    }

    @Test
    void logitAttributionsTakeATokenForEachRow() {
        try (var _ = TensorScope.open()) {
            Tensor tokens =
                    Tensor.of(new long[] {50256, 11, 50256, 13}, Shape.of(2, 2)).to(model.device());
            ActivationCache cache = model.runWithCache(tokens, name -> true).cache();
            ResidualStack parts = cache.decomposeResid(-1, BlockInput.ATTENTION, ActivationCache.Mode.ALL, true);
            Tensor forRows = Tensor.of(new long[] {5, 6}, Shape.of(2));
            Tensor everywhere = Tensor.of(new long[] {5, 5, 6, 6}, Shape.of(2, 2));
            assertTrue(parts.logitAttrs(forRows).sameElements(parts.logitAttrs(everywhere)));
            Tensor three = Tensor.of(new long[] {5, 6, 7}, Shape.of(3));
            assertTrue(message(IllegalArgumentException.class, () -> parts.logitAttrs(three))
                    .endsWith("and [3] does not fit " + parts.values().shape()));
            assertEquals(
                    "position 99 is outside the 2 positions of the run",
                    message(IndexOutOfBoundsException.class, () -> parts.at(99)));
            assertThrows(
                    IllegalArgumentException.class,
                    () -> model.runWithCache(model.toTokens("Hello"), name -> true)
                            .cache()
                            .removeBatchDim()
                            .decomposeResid(-1, BlockInput.ATTENTION, ActivationCache.Mode.ALL, true));
        }
    }

    /** What runs share is not theirs to write to. */
    @Test
    void aRunThatWritesToItsStreamLeavesOthersAsTheyWere() {
        try (var _ = TensorScope.open()) {
            SharedPrefix shared = SharedPrefix.of(model, model.toTokens("Hello there"), 1);
            Tensor before = shared.forward(1).logits();
            shared.forward(1)
                    .hooks(Hooks.at("blocks.1.hook_resid_pre", (activation, point) -> activation.zero_()))
                    .logits();
            assertTrue(before.sameElements(shared.forward(1).logits()));
        }
    }

    @Test
    void somethingAttachedToNoPointIsRefusedAtOnce() {
        Attachment attachment = new Attachment(
                "blocks.1.hook_resid_pr", "blocks.1.hook_resid_pr", List.of(), (read, there, tokens, points) -> there);
        assertTrue(message(IllegalArgumentException.class, () -> model.with(attachment))
                .contains("Did you mean 'blocks.1.hook_resid_pre'?"));
    }

    @Test
    void aClosedModelSaysThatItWasClosed() {
        try (var _ = TensorScope.open()) {
            HookedTransformer closed = load("gpt2-small");
            HookedTransformer view = closed.exact();
            Forward begun = closed.forward("Hello there");
            Tensor weight = closed.weight("embed.W_E");
            closed.close();
            for (Executable use : new Executable[] {
                () -> closed.run(closed.toTokens("Hello")),
                () -> view.forward("Hello").loss(),
                begun::logits,
                () -> closed.weight("embed.W_E"),
                () -> closed.forward("Hello")
            }) {
                assertEquals("the model gpt2-small was closed", message(IllegalStateException.class, use));
            }
            assertEquals(model.config().dVocab(), weight.size(0)); // its own handle
            assertTrue(closed.toString().endsWith("closed)"));
        }
    }

    @Test
    void shapesThatCannotBeAreRefused() {
        try (var _ = TensorScope.open()) {
            Shape huge = Shape.of(1L << 40, 1L << 40);
            assertEquals(
                    "a tensor of the shape [1099511627776, 1099511627776] would have more than 9223372036854775807"
                            + " elements",
                    message(IllegalArgumentException.class, huge::elements));
            assertEquals(0, Shape.of(1L << 40, 1L << 40, 0).elements());
            assertEquals(
                    "the shape [2, 3] has 2 dimensions, and no dimension 9",
                    message(
                            IndexOutOfBoundsException.class,
                            () -> Shape.of(2, 3).size(9)));
            assertEquals(
                    "the shape [2, 3] has 2 dimensions, and no dimension -3",
                    message(
                            IndexOutOfBoundsException.class,
                            () -> Shape.of(2, 3).size(-3)));
        }
    }

    @Test
    void aPageNeedsAHeaderAndATokenizer() {
        assertEquals(
                "the page's header should not be null",
                message(
                        NullPointerException.class,
                        () -> DashboardPage.open(Path.of("page.html"), null, model.tokenizer())));
        assertTrue(message(
                        NullPointerException.class,
                        () -> DashboardPage.open(
                                Path.of("page.html"), new DashboardPage.Header("t", Map.of(), null), null))
                .startsWith("the tokenizer"));
        assertEquals(
                "the page's title should not be null",
                message(NullPointerException.class, () -> new DashboardPage.Header(null, Map.of(), null)));
    }
}
