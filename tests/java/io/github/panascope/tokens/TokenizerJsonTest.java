package io.github.panascope.tokens;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.text.Normalizer.Form;
import java.time.Duration;
import java.util.Arrays;
import java.util.Collections;
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
        normalizer ; {"type": "Nmt"} ; : normalizer: 'type' should be 'NFC', 'NFD',
        normalizer ; {"type": "NFC", "more": 1} ; : normalizer: 'more' is not understood, and may make other tokens.
        normalizer ; {"type": "Replace", "pattern": {"Regex": "(?x:a)"}, "content": ""} ; : normalizer: the pattern '(?\
        x:a)' has a group (?x:, which is not supported.
        normalizer ; {"type": "Sequence", "normalizers": [{"type": "Strip", "strip_left": 1, "strip_right": true}]} ; :\
         normalizer: normalizers: 'strip_left' should be true or false, not 1.
        pre_tokenizer ; {"type": "BertPreTokenizer"} ; : pre_tokenizer: 'type' should be 'ByteLevel', 'Split',
        pre_tokenizer ; {"type": "Sequence"} ; : pre_tokenizer: 'pretokenizers' should be a list, not absent.
        pre_tokenizer ; {"type": "ByteLevel"} ; : pre_tokenizer: 'add_prefix_space' should be true or false, not absent
        pre_tokenizer ; {"type": "Split", "pattern": {"Regex": "\\\\p{Nope}"}, "behavior": "Isolated", "invert": false\
        } ; : pre_tokenizer: the pattern '\\p{Nope}' has \\p{Nope}, which is not supported.
        pre_tokenizer ; {"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Kept", "invert": false} ; : p\
        re_\
        tokenizer: 'behavior' should be 'Removed', 'Isolated',
        /pre_tokenizer/behaviour ; "Isolated" ; : pre_tokenizer: 'behaviour' is not understood, and may make other
        post_processor ; {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}]} ; : post_pr\
        ocessor: 's\
        pecial_tokens' should be an object with the ids of 'x', not absent.
        post_processor ; {"type": "TemplateProcessing", "single": []} ; : post_processor: 'single' should be a template
        post_processor ; {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}, {"Sequence": {"id":\
         "A"}}], "special_tokens": {"x": {"ids": [-1]}}} ; : post_processor: the template puts the id -1 around a text,
        post_processor ; {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}, {"Sequence": {"id":\
         "A"}}], "special_tokens": {"x": {"ids": [5000]}}} ; : post_processor: the template puts the id 5000 around
        post_processor ; {"type": "RobertaProcessing"} ; : post_processor: 'type' should be 'TemplateProcessing',
        decoder ; {"type": "WordPiece"} ; : decoder: 'type' should be 'ByteLevel', 'Replace',
        model ; [] ; : 'model' should be an object, not [].
        /model/type ; "Unigram" ; : model: 'type' should be 'BPE', the supported one, not "Unigram".
        /model/dropout ; 0.1 ; : model: 'dropout' should be null, as only then a text has one sequence of tokens,
        /model/continuing_subword_prefix ; "##" ; : model: the merge
        /model/something_new ; 1 ; : model: 'something_new' is not understood, and may make other tokens.
        something_new ; 1 ; : 'something_new' is not understood, and may make other tokens.
        /model/merges ; ["a"] ; : model: merges should hold pairs of tokens, not "a".
        /model/merges ; [["a", "zz"]] ; : model: the merge 'a' with 'zz' needs the token 'zz', which the vocabulary do
        /model/merges ; 7 ; : model has no 'merges'.
        /model/merges ; [7] ; : model: merges should hold pairs of tokens, not 7.
        /model/vocab ; null ; : model has no 'vocab'.
        /model/vocab ; {"a": -1} ; : model: the id of token 'a' should be from 0 to 16777216, not -1.
        added_tokens ; {} ; : 'added_tokens' should be a list, not {}.
        added_tokens ; [7] ; : added token should be a JSON object, not 7.
        added_tokens ; [{"id": 330, "content": "<|pad|>"}] ; : the id of the added token '<|pad|>' is 330 in the file,
        added_tokens ; [{"id": 7, "content": "<|endoftext|>"}] ; : the id of the added token '<|endoftext|>' is 7 in
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

    /** The ids are those of tokenizers 0.22: a whole piece that is a token is taken although no merge makes it. */
    @ParameterizedTest
    @CsvSource({"true, abc, 4", "false, abc, 3 2", "true, abca, 3 2 0"})
    void ignoredMergesTakeWholePieces(boolean ignored, String text, String ids) throws IOException {
        Path file = Files.writeString(folder.resolve("tokenizer.json"), """
            {"model": {"type": "BPE", "ignore_merges": %b, "merges": ["a b"],
                       "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3, "abc": 4}}}\
            """.formatted(ignored));
        assertArrayEquals(
                Arrays.stream(ids.split(" ")).mapToInt(Integer::parseInt).toArray(),
                Tokenizer.ofTokenizerJson(file).encode(text));
    }

    @Test
    void sizesOfPatternsAndTokensHaveLimits() throws IOException {
        for (String deep : List.of("[", "(")) {
            String pattern = deep.repeat(5_000);
            String found = assertThrows(InputException.class, () -> OnigurumaPattern.compile("x", pattern))
                    .getMessage();
            assertTrue(found.startsWith("x: the pattern '" + pattern.substring(0, 60) + "...' has "), found);
            assertTrue(found.endsWith(" inside one another, which is not supported."), found);
        }
        ObjectNode json = (ObjectNode)
                JsonMapper.shared().readTree(Files.readString(GOLDEN.folder().resolve("tokenizers.json")));
        json.putArray("added_tokens").addObject().put("id", 313).put("content", "x".repeat(1001));
        Path file = Files.writeString(folder.resolve("tokenizer.json"), json.toString());
        assertEquals(
                file + ": the added token '" + "x".repeat(60) + "...' has 1001 characters: at most 1000 are supported.",
                assertThrows(InputException.class, () -> Tokenizer.ofTokenizerJson(file))
                        .getMessage());
    }

    @Test
    void longRunsOfMarksAreOrderedInLinearTime() {
        String marks = "\u0301\u0316".repeat(200_000);
        String ordered = "\u00e1" + "\u0316".repeat(200_000) + "\u0301".repeat(199_999);
        for (boolean tracked : new boolean[] {false, true})
            assertEquals(
                    ordered,
                    assertTimeoutPreemptively(
                            Duration.ofSeconds(10),
                            () -> new UnicodeForm(Form.NFC)
                                    .apply(AlignedText.of("a" + marks, tracked))
                                    .toString()));
    }

    @Test
    void placesAreTrimmedInLinearTime() {
        int count = 400_000;
        int[] starts = IntStream.range(0, count).map(i -> 2 * i).toArray();
        int[] ends = IntStream.range(0, count).map(i -> 2 * i + 2).toArray();
        PostProcessor processor = new PostProcessor(new int[0], new int[0], List.of(false));
        assertTimeoutPreemptively(
                Duration.ofSeconds(10),
                () -> processor.trim("a ".repeat(count), Collections.nCopies(count, "a "), starts, ends));
        for (int i = 0; i < count; i++) assertEquals(starts[i] + 1, ends[i]);
    }

    @Test
    void whatMetaspaceSaysOfASpaceCountsBesideSettings() throws IOException {
        ObjectNode json = (ObjectNode)
                JsonMapper.shared().readTree(Files.readString(GOLDEN.folder().resolve("tokenizers.json")));
        json.putObject("pre_tokenizer")
                .put("type", "Metaspace")
                .put("replacement", "▁")
                .put("add_prefix_space", true);
        Path file = Files.writeString(folder.resolve("tokenizer.json"), json.toString());
        int[] alone = Tokenizer.ofTokenizerJson(file).encode("Hello you");
        Files.writeString(folder.resolve("tokenizer_config.json"), "{}");
        assertArrayEquals(alone, Tokenizer.ofFolder(folder).encode("Hello you"));
    }
}
