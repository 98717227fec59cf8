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
import io.github.panascope.hub.Hub;
import io.github.panascope.tokens.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

@ExtendWith(LeakCheck.class)
@OnEachDevice
class CachedModelTest {
    /** A cache that holds everything but the tokenizer's files. */
    private static Hub withoutTokenizer(Path cache, String vocabulary, Map<String, String> variables)
            throws IOException {
        Path snapshot = Files.createDirectories(cache.resolve("models--me--tiny/snapshots/abc"));
        Path refs = Files.createDirectories(cache.resolve("models--me--tiny/refs"));
        Files.writeString(refs.resolve("main"), "abc");
        Path model = Golden.standardA().model();
        Files.copy(model.resolve("model.safetensors"), snapshot.resolve("model.safetensors"));
        Files.writeString(
                snapshot.resolve("config.json"),
                Files.readString(model.resolve("config.json"))
                        .replaceAll("(\"vocab_size\": *)\\d+", "$1" + vocabulary));
        Map<String, String> all = new HashMap<>(variables);
        all.put("HF_HUB_CACHE", cache.toString());
        return Hub.of(all);
    }

    @Test
    void whereNoTokenizerCanBeFetchedGpt2sOwnIsTakenWithAWord(@TempDir Path folder) throws IOException {
        Map<String, Map<String, String>> cases = Map.of(
                "the hub does not answer",
                Map.of("HF_ENDPOINT", "http://127.0.0.1:1"),
                "the hub is not to be asked",
                Map.of("HF_HUB_OFFLINE", "1"));
        for (var each : cases.entrySet()) {
            Hub hub = withoutTokenizer(folder.resolve("right " + each.getKey().length()), "50257", each.getValue());
            try (HookedTransformer model = HookedTransformer.fromPretrained("me/tiny", TestDevice.OPTIONS.hub(hub))) {
                assertEquals(
                        List.of("Model me/tiny: its tokenizer's files are not in the hub cache, and " + each.getKey()
                                + "; GPT-2's own vocabulary is taken, which has as many tokens."),
                        model.advice());
                assertSame(Tokenizer.gpt2(), model.tokenizer());
            }
            Hub other = withoutTokenizer(folder.resolve("other " + each.getKey().length()), "50304", each.getValue());
            String message = assertThrows(
                            InputException.class,
                            () -> HookedTransformer.fromPretrained("me/tiny", TestDevice.OPTIONS.hub(other)))
                    .getMessage();
            assertEquals(
                    "model me/tiny: its tokenizer's files are not in the hub cache, and " + each.getKey()
                            + ", and its vocabulary of 50304 tokens is not GPT-2's.",
                    message);
        }
    }

    /** What is in the cache is taken, though the hub was to be asked for another file first. */
    @Test
    void aTokenizerInTheCacheIsTakenWhereTheHubDoesNotAnswer(@TempDir Path folder) throws IOException {
        Path golden = Golden.of("tokenizers").folder();
        for (boolean vocabulary : new boolean[] {false, true}) {
            Path cache = folder.resolve("vocabulary " + vocabulary);
            Hub hub = withoutTokenizer(cache, "50257", Map.of("HF_ENDPOINT", "http://127.0.0.1:1"));
            Path snapshot = cache.resolve("models--me--tiny/snapshots/abc");
            Files.copy(golden.resolve("tokenizers.json"), snapshot.resolve("tokenizer.json"));
            if (vocabulary) Files.writeString(snapshot.resolve("vocab.json"), "{}");
            try (HookedTransformer model = HookedTransformer.fromPretrained("me/tiny", TestDevice.OPTIONS.hub(hub))) {
                assertEquals(List.of(), model.advice());
                assertEquals(313, model.tokenizer().size());
            }
        }
    }

    @Test
    void aVocabularyWithoutItsMergesIsNotReplacedByGpt2s(@TempDir Path folder) throws IOException {
        Map<String, String> unreachable = Map.of("HF_ENDPOINT", "http://127.0.0.1:1");
        Map<String, String> offline = Map.of("HF_HUB_OFFLINE", "1");
        for (var each : Map.of("cannot be fetched from", unreachable, "has no file 'merges.txt' in", offline)
                .entrySet()) {
            Path cache = folder.resolve("cache " + each.getKey().length());
            Hub hub = withoutTokenizer(cache, "50257", each.getValue());
            Path snapshot = cache.resolve("models--me--tiny/snapshots/abc");
            Files.writeString(snapshot.resolve("vocab.json"), "{}");
            for (String model : List.of("me/tiny", snapshot.toString())) {
                String message = assertThrows(
                                InputException.class,
                                () -> HookedTransformer.fromPretrained(model, TestDevice.OPTIONS.hub(hub)))
                        .getMessage();
                String expected = model.equals("me/tiny") ? each.getKey() : "has no merges.txt.";
                assertTrue(message.contains(expected), message);
            }
        }
    }

    /** A shard that cannot be fetched says nothing about the tokenizer. */
    @Test
    void aShardThatIsMissingIsAskedForByName(@TempDir Path folder) throws IOException {
        Hub hub = withoutTokenizer(folder, "50304", Map.of("HF_ENDPOINT", "http://127.0.0.1:1"));
        Path snapshot = folder.resolve("models--me--tiny/snapshots/abc");
        Files.copy(Golden.of("tokenizers").folder().resolve("tokenizers.json"), snapshot.resolve("tokenizer.json"));
        Files.delete(snapshot.resolve("model.safetensors"));
        Path known = Files.createDirectories(folder.resolve("models--me--tiny/.no_exist/abc"));
        for (String name : List.of("vocab.json", "model.safetensors")) Files.createFile(known.resolve(name));
        Files.writeString(
                snapshot.resolve("model.safetensors.index.json"),
                "{\"weight_map\": {\"wte.weight\": \"model-00001-of-00001.safetensors\"}}");
        String message = assertThrows(
                        InputException.class,
                        () -> HookedTransformer.fromPretrained("me/tiny", TestDevice.OPTIONS.hub(hub)))
                .getMessage();
        assertTrue(message.startsWith("model-00001-of-00001.safetensors of model me/tiny cannot"), message);
    }
}
