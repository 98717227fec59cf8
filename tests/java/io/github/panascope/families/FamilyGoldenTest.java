package io.github.panascope.families;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.model.WeightProcessing;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.Safetensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.JsonNode;

/** Tiny models of every family against transformers and TransformerLens: see tests/peers/make_families.py. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class FamilyGoldenTest {
    /** Of the largest value of a tensor. */
    private static final double TOLERANCE = 1e-5;

    static Stream<String> cases() throws IOException {
        try (Stream<Path> folders = Files.list(Path.of("tests/resources/golden/families"))) {
            return folders.map(folder -> folder.getFileName().toString()).sorted().toList().stream();
        }
    }

    static Stream<Arguments> processingsWithHooks() throws IOException {
        return processingsWith("/hooks");
    }

    static Stream<Arguments> processings() throws IOException {
        return processingsWith("/weights");
    }

    /** Each case with each processing that it has such expected values for. */
    private static Stream<Arguments> processingsWith(String what) throws IOException {
        return cases().flatMap(name -> Stream.of("no_processing", "processed", "folded", "centred")
                .filter(processing -> Golden.of("families/" + name).expected().has(processing + what))
                .map(processing -> Arguments.of(name, processing)));
    }

    private static WeightProcessing processing(String name) {
        return switch (name) {
            case "processed" -> WeightProcessing.DEFAULT;
            case "no_processing" -> WeightProcessing.NONE;
            case "folded" -> new WeightProcessing(true, false, false, false);
            case "centred" -> WeightProcessing.CENTERED;
            default -> throw new IllegalArgumentException(name);
        };
    }

    private static HookedTransformer load(String name, String processing) {
        return HookedTransformer.fromPretrained(
                Golden.of("families/" + name).folder().resolve("model").toString(),
                TestDevice.options(processing(processing)));
    }

    /** The peers' tensors of a case; those that equal another one are not stored. */
    private record Expected(JsonNode json, Safetensors file) {
        static Expected of(String name, TensorScope scope) {
            Golden golden = Golden.of("families/" + name);
            return new Expected(
                    golden.expected(), Safetensors.open(golden.folder().resolve("expected.safetensors"), scope));
        }

        Tensor tensor(String key) {
            return file.tensor(json.get("same").path(key).stringValue(key));
        }

        List<String> names(String key) {
            return json.get(key).valueStream().map(JsonNode::stringValue).toList();
        }

        void assertClose(String key, Tensor actual) {
            Tensor expected = tensor(key);
            assertEquals(expected.shape(), actual.shape(), key);
            float[] e = expected.toFloats();
            float[] a = actual.toFloats();
            double largest = 0;
            for (float value : e) if (Float.isFinite(value)) largest = Math.max(largest, Math.abs(value));
            for (int i = 0; i < e.length; i++) {
                boolean close = e[i] == a[i] || Math.abs(e[i] - a[i]) <= TOLERANCE * largest;
                assertTrue(
                        close,
                        key + ": element " + i + " is " + a[i] + ", expected " + e[i] + ", of at most " + largest);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("processingsWithHooks")
    void everyHookHasTransformerLensNameShapeOrderAndValue(String name, String processing) {
        try (var scope = TensorScope.open();
                HookedTransformer model = load(name, processing)) {
            Expected expected = Expected.of(name, scope);
            List<String> hooks = expected.names(processing + "/hooks");
            assertEquals(hooks, model.hookNames());
            var run = model.runWithCache(expected.tensor("tokens"), hook -> true);
            assertEquals(hooks, run.cache().names());
            for (String hook : hooks)
                expected.assertClose(processing + "/" + hook, run.cache().get(hook));
            expected.assertClose(processing + "/logits", run.logits());
        }
    }

    @ParameterizedTest
    @MethodSource("processings")
    void logitsAndLossesEqualTransformerLens(String name, String processing) {
        try (var scope = TensorScope.open();
                HookedTransformer model = load(name, processing)) {
            Expected expected = Expected.of(name, scope);
            Tensor tokens = expected.tensor("tokens");
            Tensor text = expected.tensor("long_tokens");
            for (HookedTransformer way : List.of(model, model.exact())) {
                Tensor logits = way.run(text);
                expected.assertClose(processing + "/long_logits", logits.slice(1, text.size(1) - 2, text.size(1)));
                expected.assertClose(
                        processing + "/loss_per_token", way.forward(tokens).lossPerToken());
            }
        }
    }

    @ParameterizedTest
    @MethodSource("processings")
    void weightsEqualTransformerLens(String name, String processing) {
        try (var scope = TensorScope.open();
                HookedTransformer model = load(name, processing)) {
            Expected expected = Expected.of(name, scope);
            List<String> weights = expected.names(processing + "/weights");
            assertEquals(Set.copyOf(weights), Set.copyOf(model.weightNames()));
            for (String weight : weights) expected.assertClose(processing + "/weight/" + weight, model.weight(weight));
        }
    }

    @ParameterizedTest
    @MethodSource("cases")
    void logitsEqualTransformers(String name) {
        try (var scope = TensorScope.open();
                HookedTransformer model = load(name, "no_processing")) {
            Expected expected = Expected.of(name, scope);
            expected.assertClose("hf/logits", model.run(expected.tensor("tokens")));
            Tensor text = expected.tensor("long_tokens");
            expected.assertClose("hf/long_logits", model.run(text).slice(1, text.size(1) - 2, text.size(1)));
        }
    }

    @ParameterizedTest
    @MethodSource("cases")
    void leftPaddingAndPastKeysLeaveResultsAsTheyAre(String name) {
        try (var scope = TensorScope.open();
                HookedTransformer model = load(name, "no_processing")) {
            Expected expected = Expected.of(name, scope);
            Tensor tokens = expected.tensor("padded/tokens");
            Tensor logits = model.forward(tokens)
                    .attentionMask(expected.tensor("padded/mask"))
                    .logits();
            expected.assertClose("padded/logits", logits.select(1, tokens.size(1) - 1));
            for (boolean cache : new boolean[] {true, false}) {
                Tensor text = model.generate(expected.tensor("tokens"))
                        .maxNewTokens(6)
                        .stopAtEos(false)
                        .usePastKvCache(cache)
                        .run();
                assertArrayEquals(expected.tensor("generated").toLongs(), text.toLongs());
            }
        }
    }

    @ParameterizedTest
    @MethodSource("cases")
    void tokensEqualTransformerLens(String name) {
        try (var scope = TensorScope.open();
                HookedTransformer model = load(name, "no_processing")) {
            for (JsonNode text : Expected.of(name, scope).json().get("texts")) {
                String string = text.get("text").stringValue();
                assertIds(text.get("with_bos"), model.toTokens(string, true));
                if (text.get("without_bos").isEmpty()) continue;
                assertIds(text.get("without_bos"), model.toTokens(string, false));
                assertIds(text.get("default"), model.toTokens(string));
                int[] ids = text.get("ids")
                        .valueStream()
                        .mapToInt(JsonNode::intValue)
                        .toArray();
                assertEquals(
                        text.get("decoded").stringValue(), model.tokenizer().decode(ids));
            }
        }
    }

    private static void assertIds(JsonNode expected, Tensor actual) {
        assertArrayEquals(expected.valueStream().mapToLong(JsonNode::longValue).toArray(), actual.toLongs());
    }
}
