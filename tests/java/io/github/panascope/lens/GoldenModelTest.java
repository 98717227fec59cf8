package io.github.panascope.lens;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.data.TextDataset;
import io.github.panascope.model.WeightProcessing;
import io.github.panascope.tokens.ChunkingStrategy;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.tokens.Tokenizer;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.Safetensors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;

/** The model, its tokenizer and its hooks against what TransformerLens computed. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class GoldenModelTest {
    private static final Golden GOLDEN = Golden.standardA();

    private static HookedTransformer load(WeightProcessing processing) {
        return GOLDEN.loadModel(TestDevice.options(processing));
    }

    static WeightProcessing processing(String name) {
        return switch (name) {
            case "processed" -> WeightProcessing.DEFAULT;
            case "no_processing" -> WeightProcessing.NONE;
            case "centred" -> WeightProcessing.CENTERED;
            default -> throw new IllegalArgumentException(name);
        };
    }

    @ParameterizedTest
    @CsvSource({"processed", "no_processing", "centred"})
    void everyHookHasTransformerLensNameShapeOrderAndValue(String name) {
        try (var scope = TensorScope.open();
                HookedTransformer model = load(processing(name))) {
            Safetensors expected = Safetensors.open(GOLDEN.folder().resolve("expected.safetensors"), scope);
            var run = model.runWithCache(expected.tensor("small_tokens"), hook -> true);
            JsonNode hooks = GOLDEN.expected().get(name + "/hooks");
            assertEquals(List.copyOf(hooks.propertyNames()), run.cache().names());
            int compared = 0;
            for (String hook : run.cache().names()) {
                assertArrayEquals(
                        hooks.get(hook)
                                .valueStream()
                                .mapToLong(JsonNode::longValue)
                                .toArray(),
                        run.cache().get(hook).shape().sizes(),
                        hook);
                if (!expected.has(name + "/" + hook)) continue;
                Golden.assertClose(
                        expected.tensor(name + "/" + hook), run.cache().get(hook), name + "/" + hook);
                compared++;
            }
            assertEquals(name.equals("processed") ? 17 * 3 + 4 : 4, compared);
            Golden.assertClose(
                    expected.tensor(name + "/logits_last"), run.logits().select(1, 15), name + " logits");
            assertEquals(
                    GOLDEN.number(name + "/logits_sum"),
                    run.logits().sum(DType.FLOAT64).item(),
                    0.05);
        }
    }

    @ParameterizedTest
    @CsvSource({"processed", "no_processing", "centred"})
    void lossEqualsTransformerLens(String name) {
        try (var _ = TensorScope.open();
                HookedTransformer model = load(processing(name))) {
            Tensor batch = tokens(model, ChunkingStrategy.WHITESPACE_CHUNKS).batch(0, 32);
            assertEquals(GOLDEN.number(name + "/loss"), model.forward(batch).loss(), 1e-4);
        }
    }

    @Test
    void lossPerTokenEqualsTransformerLensAndTheLossOfLogits() {
        try (var scope = TensorScope.open();
                HookedTransformer model = load(WeightProcessing.DEFAULT)) {
            Safetensors expected = Safetensors.open(GOLDEN.folder().resolve("expected.safetensors"), scope);
            Tensor tokens = expected.tensor("small_tokens");
            Golden.assertClose(
                    expected.tensor("processed/loss_per_token"),
                    model.forward(tokens).lossPerToken(),
                    "loss per token");
            assertEquals(
                    model.forward(tokens).loss(),
                    model.forward(tokens).logitsAndLoss().loss(),
                    1e-5);
        }
    }

    @Test
    void steeringAndAHeadAblationChangeTheLossAsInTransformerLens() {
        try (var scope = TensorScope.open();
                HookedTransformer model = load(WeightProcessing.DEFAULT)) {
            Tensor steer = Safetensors.open(GOLDEN.folder().resolve("expected.safetensors"), scope)
                    .tensor("steer_vector")
                    .to(TestDevice.DEVICE);
            Tensor batch = tokens(model, ChunkingStrategy.WHITESPACE_CHUNKS).batch(0, 32);
            Hooks steered = Hooks.at("blocks.2.hook_resid_pre", (activation, name) -> activation.add(steer));
            assertEquals(
                    GOLDEN.number("ce_steered"),
                    model.forward(batch).hooks(steered).loss(),
                    1e-4);
            Tensor head = Tensor.of(new long[] {1}, Shape.of(1), TestDevice.DEVICE);
            Hooks ablated = Hooks.at("blocks.0.attn.hook_z", (z, name) -> z.indexFill(2, head, 0));
            assertEquals(
                    GOLDEN.number("ce_head_ablated"),
                    model.forward(batch).hooks(ablated).loss(),
                    1e-4);
        }
    }

    /** A file may hold an unembedding that a tied model never uses. */
    @Test
    void aTiedModelUnembedsWithItsEmbedding(@TempDir Path folder) throws IOException {
        try (var scope = TensorScope.open()) {
            Safetensors file = Safetensors.open(GOLDEN.model().resolve("model.safetensors"), scope);
            Map<String, Tensor> tensors = new LinkedHashMap<>();
            for (String name : file.names()) tensors.put(name, file.tensor(name));
            tensors.put(
                    "lm_head.weight",
                    tensors.get(tensors.containsKey("wte.weight") ? "wte.weight" : "transformer.wte.weight")
                            .mul(2));
            Safetensors.write(folder.resolve("model.safetensors"), tensors);
            String config = Files.readString(GOLDEN.model().resolve("config.json"))
                    .replaceAll("\"tie_word_embeddings\": *\\w+,?", "");
            Tensor tokens = Tensor.of(new long[] {50256, 11, 13}, Shape.of(1, 3));
            double[] losses = new double[2];
            for (int tied = 0; tied < 2; tied++) {
                Files.writeString(
                        folder.resolve("config.json"),
                        config.replaceFirst("\\{", "{\"tie_word_embeddings\": " + (tied == 1) + ","));
                try (HookedTransformer model = HookedTransformer.fromPretrained(folder.toString())) {
                    losses[tied] = model.forward(tokens).loss();
                }
            }
            try (HookedTransformer model = load(WeightProcessing.DEFAULT)) {
                assertEquals(model.forward(tokens).loss(), losses[1], 1e-6);
            }
            assertTrue(Math.abs(losses[0] - losses[1]) > 1e-3);
        }
    }

    @Test
    void everyCombinationOfProcessingLeavesTheLossAsItIs() {
        try (var scope = TensorScope.open()) {
            Tensor tokens = Safetensors.open(GOLDEN.folder().resolve("expected.safetensors"), scope)
                    .tensor("small_tokens");
            Double plain = null;
            for (int bits = 0; bits < 16; bits++) {
                try (HookedTransformer model = load(
                        new WeightProcessing((bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0))) {
                    double loss = model.forward(tokens).loss();
                    if (plain == null) plain = loss;
                    assertEquals(plain, loss, 2e-5, "combination " + bits);
                }
            }
        }
    }

    @Test
    void tokensEqualHuggingFaceOnTrickyTexts(@TempDir Path folder) throws IOException {
        Path vocab = GOLDEN.model().resolve("vocab.json");
        Path merges = GOLDEN.model().resolve("merges.txt");
        assertSame(Tokenizer.gpt2(), Tokenizer.ofVocabulary(vocab, merges), "GPT-2's own is recognised");
        Path another = Files.writeString(
                folder.resolve("merges.txt"), Files.readString(merges) + "\n"); // and built where it is not
        for (Tokenizer tokenizer : List.of(Tokenizer.gpt2(), Tokenizer.ofVocabulary(vocab, another))) {
            for (JsonNode pair : GOLDEN.expected().get("tokenizer")) {
                int[] ids = pair.get("ids")
                        .valueStream()
                        .mapToInt(JsonNode::intValue)
                        .toArray();
                assertArrayEquals(ids, tokenizer.encode(pair.get("text").stringValue()), pair.toString());
                assertEquals(pair.get("text").stringValue(), tokenizer.decode(ids));
            }
            assertEquals(50257, tokenizer.size());
        }
    }

    private static TokenDataset tokens(HookedTransformer model, ChunkingStrategy tokenization) {
        TextDataset texts =
                TextDataset.of(GOLDEN.folder().resolve("dataset.parquet").toString(), GOLDEN.hub());
        return TokenDataset.tokenizeAndConcatenate(
                texts::forEach,
                model.tokenizer(),
                tokenization,
                GOLDEN.expected().get("args").get("context_size").intValue());
    }

    @Test
    void rowsEqualBothChunkAlgorithms() {
        try (HookedTransformer model = load(WeightProcessing.NONE)) {
            TokenDataset whitespace = tokens(model, ChunkingStrategy.WHITESPACE_CHUNKS);
            JsonNode expected = GOLDEN.expected();
            assertEquals(expected.get("n_rows_total").intValue(), whitespace.rows());
            assertRows(expected.get("tokens_first_rows"), whitespace);
            assertArrayEquals(ids(expected.get("tokens_last_row")), whitespace.row(whitespace.rows() - 1));
            long sum = 0;
            long weighted = 0;
            long position = 0;
            for (int row = 0; row < whitespace.rows(); row++) {
                for (int id : whitespace.row(row)) {
                    sum += id;
                    weighted += id * ++position % 1000003;
                }
            }
            assertEquals(expected.get("tokens_checksum").get(0).longValue(), sum);
            assertEquals(expected.get("tokens_checksum").get(1).longValue(), weighted);

            JsonNode characters = expected.get("tokens_character_chunks");
            TokenDataset character = tokens(model, ChunkingStrategy.CHARACTER_CHUNKS);
            assertEquals(characters.get("n_rows").intValue(), character.rows());
            assertRows(characters.get("first_rows"), character);
        }
    }

    private static void assertRows(JsonNode expected, TokenDataset actual) {
        for (int row = 0; row < expected.size(); row++)
            assertArrayEquals(ids(expected.get(row)), actual.row(row), "row " + row);
    }

    private static int[] ids(JsonNode array) {
        return array.valueStream().mapToInt(JsonNode::intValue).toArray();
    }

    @Test
    void testPromptPrintsWhatTransformerLensPrints() {
        String prompt = "When John and Mary went to the shops, John gave the bag to";
        try (HookedTransformer model = load(WeightProcessing.DEFAULT)) {
            assertEquals(
                    GOLDEN.text("test_prompt"),
                    TestPrompt.run(model, prompt, List.of(" Mary"), Hooks.NONE, 10)
                            .format());
            assertEquals(
                    GOLDEN.text("test_prompt"),
                    TestPrompt.run(model, prompt, "Mary").toString());
            assertEquals(
                    GOLDEN.text("test_prompt_multi"),
                    TestPrompt.run(model, prompt, List.of(" Mary", " John", "them"), Hooks.NONE, 10)
                            .format());
            assertEquals(
                    GOLDEN.text("test_prompt_long_answer"),
                    TestPrompt.run(model, prompt, List.of("Mary and the others"), Hooks.NONE, 3)
                            .format());
        }
    }

    @Test
    void stoppingAndStartingAtALayerEqualsTheWholeRun() {
        try (var _ = TensorScope.open();
                HookedTransformer model = load(WeightProcessing.DEFAULT)) {
            Tensor tokens = model.toTokens("When John and Mary went to the shops");
            Tensor whole = model.run(tokens);
            for (int layer = 0; layer < 3; layer++) {
                Tensor resid = model.forward(tokens).stopAtLayer(layer);
                assertTrue(
                        whole.sameElements(
                                model.forward(tokens).startAtLayer(layer, resid).logits()),
                        "layer " + layer);
            }
            assertTrue(model.forward(tokens)
                    .stopAtLayer(-1)
                    .sameElements(model.forward(tokens).stopAtLayer(2)));
        }
    }

    @Test
    void aTextRunsAsItsTokensDo() {
        String text = "When John and Mary went to the shops";
        try (var _ = TensorScope.open();
                HookedTransformer model = load(WeightProcessing.DEFAULT)) {
            Tensor tokens = model.toTokens(text);
            assertEquals("<|endoftext|>", model.toStrTokens(text).getFirst());
            assertEquals(model.toStrTokens(tokens), model.toStrTokens(text));
            Tensor logits = model.run(tokens);
            assertTrue(logits.sameElements(model.run(text)));
            String point = "blocks.1.hook_resid_pre";
            Tensor activation =
                    model.runWithCache(tokens, point::equals).cache().get(point);
            HookedTransformer.RunWithCache selected = model.runWithCache(text, point::equals);
            assertEquals(List.of(point), List.copyOf(selected.cache().names()));
            for (HookedTransformer.RunWithCache all : List.of(model.runWithCache(tokens), model.runWithCache(text))) {
                assertEquals(model.hookNames(), List.copyOf(all.cache().names()));
                assertTrue(activation.allclose(all.cache().get(point), 0, 1e-4)); // as hooks see it, step by step
                assertTrue(logits.allclose(all.logits(), 0, 1e-3));
            }
            assertTrue(activation.sameElements(selected.cache().get(point)));
        }
    }

    @Test
    void aDescriptionNamesTheFolderWithoutItsPath(@TempDir Path folder) {
        HookedTransformer.Options options = TestDevice.OPTIONS.hub(GOLDEN.hub());
        try (HookedTransformer model =
                HookedTransformer.fromPretrained(GOLDEN.model().toString(), options)) {
            String last = GOLDEN.model().getFileName().toString();
            assertTrue(model.toString().startsWith("HookedTransformer(" + last + ", "), model.toString());
            assertEquals(
                    "Generation(" + last + ", 1 prompt, at most 10 new tokens)",
                    model.generate("one").maxNewTokens(10).toString());
            assertEquals(
                    "Generation(" + last + ", 2 prompts, at most 1 new token)",
                    model.generate(List.of("one", "two")).maxNewTokens(1).toString());
            model.save(folder.resolve("saved.pt"));
        }
        try (HookedTransformer saved = HookedTransformer.loadTorchScript(folder.resolve("saved.pt"), Device.CPU)) {
            assertTrue(saved.toString()
                    .startsWith("HookedTransformer(" + GOLDEN.model().getFileName() + ", "));
        }
        try (HookedTransformer named = load(WeightProcessing.DEFAULT)) {
            assertTrue(named.toString().startsWith("HookedTransformer(" + named.name() + ", "), named.toString());
        }
    }

    private static double largest(Tensor values) {
        return values.abs().reshape(-1).topk(1).values().item();
    }

    /**
     * The fused operators against the steps that they stand for; to float32's rounding, of which each block adds a
     * little.
     */
    @Test
    void fusedOperatorsEqualTheSteps() {
        for (WeightProcessing processing : List.of(WeightProcessing.DEFAULT, WeightProcessing.NONE)) {
            try (var _ = TensorScope.open();
                    HookedTransformer model = load(processing)) {
                Tensor tokens = model.toTokens(
                        List.of(
                                "When John and Mary went to the shops, John gave the bag to",
                                "The quick brown fox jumps over the lazy dog, again and again and on"),
                        true);
                HookedTransformer exact = model.exact();
                assertTrue(exact.isExact()
                        && !model.isExact()
                        && exact.with(Hooks.NONE).isExact());
                double largest = largest(exact.run(tokens));
                assertEquals(
                        0, largest(model.run(tokens).sub(exact.run(tokens))), 1e-5 * largest, processing.toString());
                assertEquals(
                        0,
                        largest(model.forward(tokens)
                                .lossPerToken()
                                .sub(exact.forward(tokens).lossPerToken())),
                        2e-5 * largest,
                        processing.toString());
                // A hook on an intermediate result gets the steps; they are exact where hooks are on all of them.
                Tensor seen = model.runWithHooks(tokens, Hooks.where(name -> true, (activation, name) -> null));
                assertTrue(exact.run(tokens).sameElements(seen));
            }
        }
    }

    @Test
    void aReplacementMayHaveFewerPositions() {
        try (var _ = TensorScope.open();
                HookedTransformer model = load(WeightProcessing.DEFAULT)) {
            Tensor tokens = Tensor.ofTokens(IntStream.range(0, 16).toArray());
            Tensor fifteen = model.forward(
                            Tensor.ofTokens(IntStream.range(0, 15).toArray()))
                    .stopAtLayer(2);
            Tensor logits =
                    model.runWithHooks(tokens, Hooks.at("blocks.2.hook_resid_pre", (activation, name) -> fifteen));
            assertEquals(15, logits.size(1));
        }
    }
}
