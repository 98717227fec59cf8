package io.github.panascope.lens;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.InputException;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.model.WeightProcessing;
import io.github.panascope.tokens.Tokenizer;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

@ExtendWith(LeakCheck.class)
@OnEachDevice
class SavedModelTest {
    private static final Golden GOLDEN = Golden.standardA();

    private static HookedTransformer load(WeightProcessing processing) {
        return GOLDEN.loadModel(TestDevice.options(processing));
    }

    @Test
    void aSavedModelWithGpt2sTokenizerIgnoresTheFilesBesideIt(@TempDir Path folder) throws IOException {
        Path file = folder.resolve("saved.pt");
        try (HookedTransformer model = load(WeightProcessing.DEFAULT)) {
            model.save(file);
        }
        Files.copy(Golden.of("tokenizers").folder().resolve("tokenizers.json"), folder.resolve("tokenizer.json"));
        try (HookedTransformer loaded = HookedTransformer.loadTorchScript(file, TestDevice.DEVICE)) {
            assertSame(Tokenizer.gpt2(), loaded.tokenizer());
        }
    }

    @Test
    void aSavedModelKnowsItsTokenizer(@TempDir Path folder) throws IOException {
        Path golden = Golden.of("tokenizers").folder();
        Path model = Files.createDirectories(folder.resolve("model"));
        for (String name : List.of("config.json", "model.safetensors"))
            Files.copy(Golden.standardA().model().resolve(name), model.resolve(name));
        Files.copy(golden.resolve("tokenizers.json"), model.resolve("tokenizer.json"));
        Path file = folder.resolve("saved.pt");
        try (HookedTransformer loaded = HookedTransformer.fromPretrained(
                model.toString(), TestDevice.OPTIONS.hub(Golden.standardA().hub()))) {
            assertEquals(313, loaded.tokenizer().size());
            loaded.save(file);
        }
        String message = assertThrows(
                        InputException.class, () -> HookedTransformer.loadTorchScript(file, TestDevice.DEVICE))
                .getMessage();
        assertEquals(
                file
                        + " was saved with another tokenizer: put its vocab.json and merges.txt, or its"
                        + " tokenizer.json, beside it.",
                message);
        Files.copy(golden.resolve("transformers.json"), folder.resolve("tokenizer.json"));
        try (HookedTransformer loaded = HookedTransformer.loadTorchScript(file, TestDevice.DEVICE)) {
            assertEquals(313, loaded.tokenizer().size());
        }
    }

    @Test
    void aSavedModelRunsTheSameWithItsHooks(@TempDir Path folder) {
        try (var _ = TensorScope.open();
                HookedTransformer model = load(WeightProcessing.DEFAULT)) {
            Tensor tokens = model.toTokens("The quick brown fox");
            Tensor expected = model.exact().run(tokens);
            model.save(folder.resolve("model.pt"));
            try (HookedTransformer loaded =
                    HookedTransformer.loadTorchScript(folder.resolve("model.pt"), TestDevice.DEVICE)) {
                assertEquals(model.config(), loaded.config());
                List<String> seen = new ArrayList<>();
                Tensor logits = loaded.exact().runWithHooks(tokens, Hooks.where(name -> true, (activation, name) -> {
                    seen.add(name.name());
                    return null;
                }));
                assertTrue(expected.sameElements(logits));
                assertEquals(model.hookNames(), seen);
            }
        }
    }

    @Test
    void aModelThatCannotBeSavedLeavesNothing() throws IOException {
        try (HookedTransformer model = load(WeightProcessing.NONE)) {
            assertThrows(InputException.class, () -> model.save(Path.of("/proc/no/such/model.pt")));
            RuntimeException full = assertThrows(RuntimeException.class, () -> model.save(Path.of("/dev/full")));
            assertTrue(full.getMessage().contains("No space left"), full.getMessage());
            assertTrue(Files.exists(Path.of("/dev/full")));
        }
    }
}
