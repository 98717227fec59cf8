package io.github.panascope.tokens;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.Safetensors;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import tools.jackson.databind.JsonNode;

/** Texts, tokens and directions as TransformerLens has them: see tests/peers/make_tokens.py. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class GoldenTokensTest {
    private static final Golden GOLDEN = Golden.of("tokens");

    private static HookedTransformer model() {
        return Golden.standardA().loadModel();
    }

    private static List<String> strings(JsonNode list) {
        return list.valueStream().map(JsonNode::stringValue).toList();
    }

    private static void assertIds(JsonNode expected, Tensor actual) {
        assertEquals(Shape.of(expected.size(), expected.get(0).size()), actual.shape());
        assertArrayEquals(
                expected.valueStream()
                        .flatMap(JsonNode::valueStream)
                        .mapToLong(JsonNode::longValue)
                        .toArray(),
                actual.toLongs());
    }

    @Test
    void textsBecomeTheSameTokensAndBack() {
        JsonNode expected = GOLDEN.expected();
        List<String> texts = strings(expected.get("texts"));
        try (var _ = TensorScope.open();
                HookedTransformer model = model()) {
            for (boolean prepend : new boolean[] {true, false}) {
                String key = prepend ? "/True" : "/False";
                List<String> some = texts.stream()
                        .filter(text -> prepend || !text.isEmpty())
                        .toList();
                for (int i = 0; i < some.size(); i++) {
                    assertIds(expected.get("to_tokens" + key).get(i), model.toTokens(some.get(i), prepend));
                    assertEquals(
                            strings(expected.get("to_str_tokens" + key).get(i)),
                            model.toStrTokens(some.get(i), prepend));
                }
                assertIds(expected.get("to_tokens_list" + key), model.toTokens(texts.subList(0, 5), prepend));
            }
            assertEquals(expected.get("to_string").stringValue(), model.toString(model.toTokens(texts.get(2))));
            assertEquals(
                    strings(expected.get("to_string_list")),
                    model.toStrings(model.toTokens(texts.subList(0, 5), true)));
            assertEquals(
                    strings(expected.get("to_str_tokens/True").get(2)),
                    model.toStrTokens(model.toTokens(texts.get(2))));
        }
    }

    @Test
    void rowsAreThoseOfSaeLenssActivationsStore() {
        List<String> documents = strings(GOLDEN.expected().get("documents"));
        for (boolean prepend : new boolean[] {true, false}) {
            for (int size : new int[] {2, 4, 9}) {
                JsonNode expected = GOLDEN.expected().get("concat_and_batch/" + (prepend ? "True/" : "False/") + size);
                int[] read = {0};
                TokenDataset rows =
                        TokenDataset.concatAndBatchSequences(documents::forEach, Tokenizer.gpt2(), size, prepend, 1000);
                assertEquals(expected.size(), rows.rows());
                for (int row = 0; row < rows.rows(); row++)
                    assertArrayEquals(
                            expected.get(row)
                                    .valueStream()
                                    .mapToInt(JsonNode::intValue)
                                    .toArray(),
                            rows.row(row),
                            prepend + " " + size + " row " + row);
                TokenDataset two = TokenDataset.concatAndBatchSequences(
                        consumer -> documents.forEach(document -> {
                            read[0]++;
                            consumer.accept(document);
                        }),
                        Tokenizer.gpt2(),
                        size,
                        prepend,
                        1);
                assertArrayEquals(rows.row(0), two.row(0));
                assertTrue(read[0] < documents.size(), "documents are read only as far as needed");
            }
        }
    }

    @Test
    void singleTokensPositionsAndDirectionsAreTheSame() {
        JsonNode expected = GOLDEN.expected();
        try (var scope = TensorScope.open();
                HookedTransformer model = model()) {
            expected.get("to_single_token")
                    .forEachEntry((text, id) -> assertEquals(id.intValue(), model.toSingleToken(text)));
            expected.get("to_single_str_token")
                    .forEachEntry((id, text) ->
                            assertEquals(text.stringValue(), model.toSingleStrToken(Integer.parseInt(id))));
            Tensor tokens = model.toTokens("the cat and the dog and the bird");
            assertIds(expected.get("position_tokens"), tokens);
            expected.get("get_token_position")
                    .forEachEntry((key, at) -> assertEquals(
                            at.intValue(),
                            key.endsWith("last")
                                    ? model.lastTokenPosition(key.split("/")[0], tokens)
                                    : model.tokenPosition(key.split("/")[0], tokens)));
            assertThrows(IllegalArgumentException.class, () -> model.tokenPosition(" fish", tokens));
            assertThrows(IllegalArgumentException.class, () -> model.toSingleToken("two tokens"));
            Safetensors directions = Safetensors.open(GOLDEN.folder().resolve("expected.safetensors"), scope);
            Golden.assertClose(
                    directions.tensor("directions"),
                    model.tokensToResidualDirections(Tensor.of(new long[] {1, 2, 3, 4, 5, 6}, Shape.of(2, 3))),
                    "directions");
            Golden.assertClose(
                    directions.tensor("directions_one"),
                    model.tokensToResidualDirections(Tensor.of(new long[] {model.toSingleToken(" Mary")}, Shape.of())),
                    "one direction");
        }
    }
}
