package io.github.panascope;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.dashboard.DashboardPage;
import io.github.panascope.lens.Forward;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
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
                name, TestDevice.OPTIONS, Golden.standardA().hub());
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
                message(NullPointerException.class, () -> new DashboardPage(null, model.tokenizer())));
        assertTrue(message(
                        NullPointerException.class,
                        () -> new DashboardPage(new DashboardPage.Header("t", Map.of(), null), null))
                .startsWith("the tokenizer"));
        assertEquals(
                "the page's title should not be null",
                message(NullPointerException.class, () -> new DashboardPage.Header(null, Map.of(), null)));
    }
}
