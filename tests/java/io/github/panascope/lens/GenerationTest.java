package io.github.panascope.lens;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.Safetensors;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import tools.jackson.databind.JsonNode;

/** Generation against TransformerLens, token by token: see tests/peers/make_generation.py. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class GenerationTest {
    private static final Golden GOLDEN = Golden.of("generation");
    private static final Golden CASE = Golden.standardA();

    private static HookedTransformer model() {
        return CASE.loadModel();
    }

    private static long[] ids(JsonNode rows) {
        return rows.valueStream()
                .flatMap(JsonNode::valueStream)
                .mapToLong(JsonNode::longValue)
                .toArray();
    }

    private static Tensor tensor(JsonNode rows) {
        return Tensor.of(ids(rows), Shape.of(rows.size(), rows.get(0).size()));
    }

    @Test
    void aRowEndsAtAFurtherToken() {
        try (var _ = TensorScope.open();
                HookedTransformer model = model()) {
            Tensor prompt = tensor(GOLDEN.expected().get("greedy").get(0).get("prompt"));
            int length = (int) prompt.size(1);
            long[] whole = model.generate(prompt)
                    .maxNewTokens(8)
                    .stopAtEos(false)
                    .run()
                    .toLongs();
            int end = (int) whole[length + 2];
            int first = length;
            while (whole[first] != end) first++;
            Tensor text = model.generate(prompt)
                    .maxNewTokens(8)
                    .stopAtEos(false)
                    .stopAt(end)
                    .run();
            assertArrayEquals(Arrays.copyOf(whole, first + 1), text.toLongs());
        }
    }

    @Test
    void greedyTextsEqualTransformerLensWithAndWithoutCache() {
        try (var _ = TensorScope.open();
                HookedTransformer model = model()) {
            for (JsonNode expected : GOLDEN.expected().get("greedy")) {
                for (boolean cache : new boolean[] {true, false}) {
                    Tensor text = model.generate(tensor(expected.get("prompt")))
                            .maxNewTokens(30)
                            .usePastKvCache(cache)
                            .run();
                    assertArrayEquals(
                            ids(expected.get("tokens")),
                            text.toLongs(),
                            expected.get("prompt").toString());
                }
            }
            Tensor same = model.generate("When John and Mary went to the shops, John gave the bag to")
                    .maxNewTokens(12)
                    .run();
            assertArrayEquals(ids(CASE.expected().get("generate_greedy")), same.toLongs());
        }
    }

    @Test
    void hooksAreCalledAtEveryStep() {
        try (var _ = TensorScope.open();
                HookedTransformer model = model()) {
            List<Long> positions = new ArrayList<>();
            Hooks halved = Hooks.at("blocks.1.hook_mlp_out", (x, name) -> {
                positions.add(x.size(1));
                return x.mul(0.5);
            });
            JsonNode prompt = GOLDEN.expected().get("greedy").get(0).get("prompt");
            assertArrayEquals(
                    ids(GOLDEN.expected().get("greedy_halved_mlp")),
                    model.generate(tensor(prompt))
                            .maxNewTokens(20)
                            .hooks(halved)
                            .run()
                            .toLongs());
            assertEquals((long) prompt.get(0).size(), positions.getFirst());
            assertEquals(19, positions.stream().filter(count -> count == 1).count());
        }
    }

    @Test
    void drawsFollowTransformerLenssDistributions() {
        try (var scope = TensorScope.open()) {
            Safetensors expected = Safetensors.open(GOLDEN.folder().resolve("expected.safetensors"), scope);
            float[] logits = expected.tensor("logits").toFloats();
            int[] before = Arrays.stream(expected.tensor("before").toLongs())
                    .mapToInt(Math::toIntExact)
                    .toArray();
            GOLDEN.expected().get("sampling").forEachEntry((name, options) -> {
                Sampling sampling = new Sampling(
                        options.path("temperature").asDouble(1),
                        options.path("top_k").asInt(0),
                        options.path("top_p").asDouble(1),
                        options.path("freq_penalty").asDouble(0));
                double[] probabilities = sampling.probabilities(logits, before);
                double[] wanted = expected.tensor("probs/" + name).toDoubles();
                assertArrayEquals(wanted, probabilities, 1e-6, name); // theirs are float32
                for (int i = 0; i < wanted.length; i++)
                    assertEquals(wanted[i] == 0, probabilities[i] == 0, name + ": token " + i);
            });
        }
    }

    @Test
    void theSameSeedGivesTheSameTextWithAndWithoutCache() {
        try (var _ = TensorScope.open();
                HookedTransformer model = model()) {
            Sampling sampling = Sampling.PLAIN.temperature(0.8).topK(40).frequencyPenalty(0.3);
            String text = model.generate("The harbour")
                    .sampling(sampling)
                    .seed(3)
                    .maxNewTokens(25)
                    .text();
            assertEquals(
                    text,
                    model.generate("The harbour")
                            .sampling(sampling)
                            .seed(3)
                            .maxNewTokens(25)
                            .usePastKvCache(false)
                            .text());
            assertTrue(IntStream.range(4, 8)
                    .anyMatch(seed -> !text.equals(model.generate("The harbour")
                            .sampling(sampling)
                            .seed(seed)
                            .maxNewTokens(25)
                            .text())));
            assertTrue(text.startsWith("The harbour"));
        }
    }

    @Test
    void drawsFallWhereTheRunningSumSays() {
        float[] logits = {(float) Math.log(0.5), (float) Math.log(0.3), (float) Math.log(0.2)};
        assertEquals(
                List.of(0, 0, 1, 1, 2, 2),
                DoubleStream.of(0, 0.49, 0.51, 0.79, 0.81, 0.9999)
                        .mapToObj(at -> Sampling.PLAIN.draw(logits, new int[0], at))
                        .toList());
        assertEquals(1, Sampling.GREEDY.draw(new float[] {1, 2, 2}, new int[0], 0.9), "the first of the largest");
        assertThrows(IllegalArgumentException.class, () -> Sampling.PLAIN.topP(0));
        assertThrows(IllegalArgumentException.class, () -> Sampling.PLAIN.temperature(Double.NaN));
    }

    @Test
    void aRowEndsAtTheEndTokenAndAListenerMayEndAll() {
        try (var _ = TensorScope.open();
                HookedTransformer model = model()) {
            int end = model.tokenizer().eos();
            Hooks endNow = Hooks.at("ln_final.hook_normalized", (x, name) -> {
                Tensor row = model.weight("unembed.W_U")
                        .slice(1, end, end + 1L)
                        .t(); // the direction of the end token, for the first row alone
                Tensor changed = x.copy();
                changed.slice(0, 0, 1).copy_(row.mul(1000).unsqueeze(0));
                return changed;
            });
            Tensor prompt = Tensor.of(new long[] {end, 1, 2, end, 3, 4}, Shape.of(2, 3));
            long[] text =
                    model.generate(prompt).hooks(endNow).maxNewTokens(4).run().toLongs();
            assertArrayEquals(new long[] {end, 1, 2, end, end, end, end}, Arrays.copyOf(text, 7));
            assertEquals(
                    4,
                    model.generate(prompt.slice(0, 0, 1))
                            .hooks(endNow)
                            .maxNewTokens(4)
                            .run()
                            .size(1),
                    "it stops where all rows have ended");
            assertEquals(
                    7,
                    model.generate(prompt.slice(0, 0, 1))
                            .hooks(endNow)
                            .maxNewTokens(4)
                            .stopAtEos(false)
                            .run()
                            .size(1));
            List<Integer> heard = new ArrayList<>();
            assertThrows(
                    IllegalStateException.class,
                    () -> model.generate(prompt)
                            .onToken(tokens -> {
                                heard.add(tokens.length);
                                if (heard.size() == 2) throw new IllegalStateException("enough");
                            })
                            .run());
            assertEquals(List.of(2, 2), heard);
            assertThrows(
                    IllegalArgumentException.class,
                    () -> model.generate(prompt).maxNewTokens(126).run());
            assertEquals(0, model.generate(prompt).maxNewTokens(0).run().size(1) - 3);
        }
    }
}
