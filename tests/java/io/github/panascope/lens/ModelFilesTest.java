package io.github.panascope.lens;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.panascope.Golden;
import io.github.panascope.InputException;
import io.github.panascope.hub.FakeHub;
import io.github.panascope.hub.Hub;
import io.github.panascope.tokens.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Which of a model's files say how texts are tokenized. */
class ModelFilesTest {
    private static final String PATH = "/me/tiny/resolve/main/";

    @TempDir
    private Path folder;

    private static Map<String, String> contents() throws IOException {
        Path golden = Golden.of("tokenizers").folder();
        Map<String, String> files = new HashMap<>();
        files.put("config.json", "{}");
        files.put("model.safetensors", "weights");
        files.put("tokenizer.json", Files.readString(golden.resolve("tokenizers.json")));
        files.put("tokenizer_config.json", "{\"eos_token\": \"<|endoftext|>\"}");
        files.put("special_tokens_map.json", "{}");
        for (String name : List.of("vocab.json", "merges.txt")) files.put(name, "not read");
        return files;
    }

    private Path write(Map<String, String> files) throws IOException {
        for (var file : files.entrySet()) Files.writeString(folder.resolve(file.getKey()), file.getValue());
        return folder;
    }

    private static List<String> names(List<Path> files) {
        return files.stream().map(file -> file.getFileName().toString()).toList();
    }

    @Test
    void tokenizerJsonComesFirst() throws IOException {
        ModelFiles files = ModelFiles.find(write(contents()).toString(), Hub.of(Map.of("HF_HUB_OFFLINE", "1")));
        assertEquals(
                List.of(
                        "config.json",
                        "tokenizer.json",
                        "tokenizer_config.json",
                        "special_tokens_map.json",
                        "model.safetensors"),
                names(files.all()));
        assertEquals(313, files.tokenizer().size());
        assertEquals(313, ModelFiles.tokenizerIn(folder).size());
    }

    @Test
    void theHubIsAskedForEachFileOnce() throws IOException {
        try (FakeHub server = new FakeHub()) {
            contents().forEach((name, content) -> server.small(PATH + name, content));
            Hub hub = Hub.of(Map.of("HF_HOME", folder.toString(), "HF_ENDPOINT", server.endpoint()));
            ModelFiles files = ModelFiles.find("me/tiny", hub);
            assertEquals(313, files.tokenizer().size());
            assertEquals(
                    List.of(
                            "HEAD config.json",
                            "HEAD model.safetensors",
                            "HEAD tokenizer.json",
                            "HEAD tokenizer_config.json",
                            "HEAD added_tokens.json",
                            "HEAD special_tokens_map.json",
                            "HEAD chat_template.jinja"),
                    server.requests.stream()
                            .filter(request -> request.startsWith("HEAD"))
                            .map(request -> request.replace(PATH, ""))
                            .toList());
            int asked = server.requests.size();
            assertEquals(files, ModelFiles.find("me/tiny", hub));
            assertEquals(asked, server.requests.size());
        }
    }

    /** Those beside the vocabulary need not be known, if it is. */
    @Test
    void aHubThatDoesNotAnswerIsDoneWithoutForTheRest() throws IOException {
        Path snapshot = Files.createDirectories(folder.resolve("models--me--tiny/snapshots/abc"));
        Files.writeString(
                Files.createDirectories(folder.resolve("models--me--tiny/refs")).resolve("main"), "abc");
        for (String name : List.of("config.json", "model.safetensors", "tokenizer.json", "special_tokens_map.json"))
            Files.writeString(snapshot.resolve(name), contents().get(name));
        for (Map<String, String> variable :
                List.of(Map.of("HF_ENDPOINT", "http://127.0.0.1:1"), Map.of("HF_HUB_OFFLINE", "1"))) {
            Map<String, String> environment = new HashMap<>(variable);
            environment.put("HF_HUB_CACHE", folder.toString());
            ModelFiles files = ModelFiles.find("me/tiny", Hub.of(environment));
            assertEquals(List.of("special_tokens_map.json"), names(files.settings()));
            assertEquals(313, files.tokenizer().size());
        }
    }

    @Test
    void gpt2sOwnVocabularyIsCheckedToo() throws IOException {
        Map<String, String> files = contents();
        for (String name : List.of("tokenizer.json", "vocab.json", "merges.txt")) files.remove(name);
        Hub offline = Hub.of(Map.of("HF_HUB_OFFLINE", "1"));
        assertSame(
                Tokenizer.gpt2(),
                ModelFiles.find(write(files).toString(), offline).tokenizer());
        Path config = Files.writeString(folder.resolve("tokenizer_config.json"), "{\"pad_token\": \"[PAD]\"}");
        ModelFiles changed = ModelFiles.find(folder.toString(), offline);
        assertEquals(
                config + ": pad_token is '[PAD]'. GPT-2's tokenizer has only <|endoftext|>: put a tokenizer.json, or"
                        + " vocab.json and merges.txt, beside the settings.",
                assertThrows(InputException.class, changed::tokenizer).getMessage());
    }
}
