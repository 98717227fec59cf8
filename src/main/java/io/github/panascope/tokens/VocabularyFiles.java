package io.github.panascope.tokens;

import io.github.panascope.internal.ConfigFile;
import io.github.panascope.internal.TextFile;
import java.nio.file.Path;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/** Reads {@code vocab.json} and {@code merges.txt}, which describe a tokenizer like GPT-2's. */
final class VocabularyFiles {
    private static final JsonNodeFactory JSON = JsonNodeFactory.instance;

    private VocabularyFiles() {}

    static PipelineTokenizer read(Path vocab, Path merges) {
        ConfigFile file = ConfigFile.read(vocab);
        ObjectNode ids = JSON.objectNode();
        for (String token : file.keys()) ids.set(token, file.value(token));
        ArrayNode pairs = JSON.arrayNode();
        TextFile.read(merges)
                .lines()
                .filter(line -> !line.startsWith("#version") && !line.isBlank())
                .forEach(pairs::add);
        ObjectNode model = JSON.objectNode().put("type", "BPE");
        model.set("vocab", ids);
        model.set("merges", pairs);
        ObjectNode all = JSON.objectNode();
        all.set("added_tokens", endOfText(file.value(Gpt2Tokenizer.END_OF_TEXT)));
        all.set("pre_tokenizer", byteLevel());
        all.set("decoder", byteLevel());
        all.set("model", model);
        return TokenizerJson.of(ConfigFile.of(vocab + " with " + merges.getFileName(), all));
    }

    private static ArrayNode endOfText(JsonNode id) {
        ArrayNode tokens = JSON.arrayNode();
        if (id == null) return tokens;
        ObjectNode token = tokens.addObject()
                .put("content", Gpt2Tokenizer.END_OF_TEXT)
                .put("normalized", false)
                .put("special", true);
        token.set("id", id);
        return tokens;
    }

    private static ObjectNode byteLevel() {
        return JSON.objectNode()
                .put("type", "ByteLevel")
                .put("add_prefix_space", false)
                .put("trim_offsets", false);
    }
}
