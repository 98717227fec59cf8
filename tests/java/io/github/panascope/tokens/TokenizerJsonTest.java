package io.github.panascope.tokens;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** Files of tests/peers/make_tokenizer_files.py, as they are and with what is not understood put into them. */
class TokenizerJsonTest {
    private static final Golden GOLDEN = Golden.of("tokenizers");

    @TempDir
    private Path folder;

    @ParameterizedTest
    @ValueSource(strings = {"tokenizers", "transformers", "truncation"})
    void makesTheIdsOfTransformers(String name) {
        requireIds(Tokenizer.ofTokenizerJson(GOLDEN.folder().resolve(name + ".json")), name);
    }

    @Test
    void theOtherTwoFilesSayTheSame() {
        requireIds(
                Tokenizer.ofVocabulary(
                        GOLDEN.folder().resolve("vocab.json"), GOLDEN.folder().resolve("merges.txt")),
                "transformers");
    }

    private static void requireIds(Tokenizer tokenizer, String name) {
        List<JsonNode> texts = StreamSupport.stream(
                        GOLDEN.expected().get("texts").spliterator(), false)
                .toList();
        for (int i = 0; i < texts.size(); i++) {
            int[] expected = StreamSupport.stream(
                            GOLDEN.expected().get("ids").get(name).get(i).spliterator(), false)
                    .mapToInt(JsonNode::intValue)
                    .toArray();
            String text = texts.get(i).stringValue();
            assertArrayEquals(expected, tokenizer.encode(text), text);
            assertEquals(text, tokenizer.decode(expected));
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', quoteCharacter = '`', textBlock = """
        normalizer ; {"type": "NFC"} ; : 'normalizer' should be null
        pre_tokenizer ; null ; : 'pre_tokenizer' should be GPT-2's, of the type 'ByteLevel', not null.
        pre_tokenizer ; {"type": "Whitespace"} ; : pre_tokenizer: 'type' should be 'ByteLevel', not "Whitespace".
        pre_tokenizer ; {"type": "Sequence", "pretokenizers": []} ; : pre_tokenizer: 'type' should be 'ByteLevel',
        pre_tokenizer ; {"type": "ByteLevel"} ; : pre_tokenizer: 'add_prefix_space' should be false
        /pre_tokenizer/add_prefix_space ; true ; : pre_tokenizer: 'add_prefix_space' should be false, not true.
        /pre_tokenizer/use_regex ; false ; : pre_tokenizer: 'use_regex' should be true, not false.
        /pre_tokenizer/behaviour ; "Isolated" ; : pre_tokenizer: 'behaviour' is not understood, and may make other
        post_processor ; {"type": "TemplateProcessing", "single": [{"SpecialToken": {}}]} ; : 'post_processor' should
        post_processor ; {"type": "RobertaProcessing"} ; : 'post_processor' should be one that puts no token
        decoder ; {"type": "WordPiece"} ; : decoder: 'type' should be 'ByteLevel', not "WordPiece".
        model ; [] ; : 'model' should be an object, not [].
        /model/type ; "Unigram" ; : model: 'type' should be 'BPE', not "Unigram".
        /model/dropout ; 0.1 ; : model: 'dropout' should be null, as only then a text has one sequence of tokens,
        /model/continuing_subword_prefix ; "##" ; : model: 'continuing_subword_prefix' should be null or empty, no
        /model/end_of_word_suffix ; "</w>" ; : model: 'end_of_word_suffix' should be null or empty, not "</w>".
        /model/byte_fallback ; true ; : model: 'byte_fallback' should be false, not true.
        /model/ignore_merges ; true ; : model: 'ignore_merges' should be false, not true.
        /model/something_new ; 1 ; : model: 'something_new' is not understood, and may make other tokens.
        something_new ; 1 ; : 'something_new' is not understood, and may make other tokens.
        /model/merges ; [] ; : no merge makes the token
        /model/merges ; 7 ; : model has no 'merges'.
        /model/merges ; [7] ; : model: merges should hold pairs of tokens, not 7.
        /model/vocab ; null ; : model has no 'vocab'.
        added_tokens ; {} ; : 'added_tokens' should be a list, not {}.
        added_tokens ; [7] ; : added token should be a JSON object, not 7.
        added_tokens ; [{"id": 330, "content": "<|pad|>"}] ; : added token: 'content' should be '<|endoftext|>', t
        added_tokens ; [{"id": 0, "content": "<|endoftext|>", "lstrip": true}] ; : added token: 'lstrip' should be
        added_tokens ; [{"id": 7, "content": "<|endoftext|>"}] ; : the id of <|endoftext|> is 7 among the added to
        """)
    void whatIsNotUnderstoodIsRefusedByName(String where, String value, String message) throws IOException {
        ObjectNode json = (ObjectNode)
                JsonMapper.shared().readTree(Files.readString(GOLDEN.folder().resolve("tokenizers.json")));
        int slash = where.lastIndexOf('/');
        ObjectNode parent = slash < 0 ? json : (ObjectNode) json.at(where.substring(0, slash));
        parent.set(where.substring(slash + 1), JsonMapper.shared().readTree(value));
        Path file = Files.writeString(folder.resolve("tokenizer.json"), json.toString());
        String found = assertThrows(InputException.class, () -> Tokenizer.ofTokenizerJson(file))
                .getMessage();
        assertTrue(found.startsWith(file + message), found);
    }

    @Test
    void mergesThatAreCutShortAreRefused() throws IOException {
        List<String> lines = Files.readAllLines(GOLDEN.folder().resolve("merges.txt"));
        Path vocabulary = GOLDEN.folder().resolve("vocab.json");
        for (int kept : IntStream.range(1, lines.size()).toArray()) {
            Path cut = Files.write(folder.resolve("merges.txt"), lines.subList(0, kept));
            String found = assertThrows(InputException.class, () -> Tokenizer.ofVocabulary(vocabulary, cut))
                    .getMessage();
            assertTrue(
                    found.startsWith(vocabulary + " with merges.txt: no merge makes the token '"
                            + lines.get(kept).replace(" ", "") + "'"),
                    found);
        }
    }
}
