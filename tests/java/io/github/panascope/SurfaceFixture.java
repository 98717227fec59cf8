package io.github.panascope;

import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.Safetensors;
import java.util.List;
import java.util.function.Function;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.extension.ExtendWith;
import tools.jackson.databind.JsonNode;

/**
 * The model of the standard case, loaded once for a class of tests, and what the peers computed with it: see
 * tests/peers/make_surface.py.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@ExtendWith(LeakCheck.class)
public abstract class SurfaceFixture {
    protected static final Golden GOLDEN = Golden.of("surface");
    protected static final Golden CASE = Golden.standardA();

    protected HookedTransformer model;
    protected Safetensors expected;
    /** The tokens of the first text. */
    protected Tensor prompt;
    /** A scope for each test. */
    protected TensorScope scope;

    private TensorScope whole;

    @BeforeAll
    final void loadModel() {
        whole = TensorScope.open();
        model = CASE.loadModel();
        expected = Safetensors.open(GOLDEN.folder().resolve("expected.safetensors"), whole);
        prompt = model.toTokens(texts().getFirst());
    }

    @AfterAll
    final void closeModel() {
        model.close();
        whole.close();
    }

    @BeforeEach
    final void openScope() {
        scope = TensorScope.open();
    }

    @AfterEach
    final void closeScope() {
        scope.close();
    }

    protected static List<String> texts() {
        return GOLDEN.expected()
                .get("texts")
                .valueStream()
                .map(JsonNode::stringValue)
                .toList();
    }

    /** Rows of numbers, one after the other. */
    protected static long[] ids(JsonNode rows) {
        return rows.valueStream()
                .flatMap(JsonNode::valueStream)
                .mapToLong(JsonNode::longValue)
                .toArray();
    }

    /** By how much the logits of the last position favour " Mary" over " John". */
    protected final Function<Tensor, Tensor> metric() {
        int right = model.toSingleToken(" Mary");
        int wrong = model.toSingleToken(" John");
        return logits -> {
            Tensor last = logits.select(0, 0).select(0, logits.size(1) - 1);
            return last.select(0, right).sub(last.select(0, wrong));
        };
    }
}
