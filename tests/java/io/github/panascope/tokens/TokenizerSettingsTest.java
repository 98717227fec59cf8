package io.github.panascope.tokens;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What stands beside a vocabulary. */
class TokenizerSettingsTest {
    @TempDir
    private Path folder;

    private Path write(String name, String content) throws IOException {
        return Files.writeString(folder.resolve(name), content);
    }

    @BeforeEach
    void aVocabularyOf313Tokens() throws IOException {
        Files.copy(Golden.of("tokenizers").folder().resolve("tokenizers.json"), folder.resolve("tokenizer.json"));
    }

    @Test
    void whatTransformersWritesForGpt2IsUnderstood() throws IOException {
        for (String name : TokenizerSettings.FILES) {
            Path file = Golden.standardA().model().resolve(name);
            if (Files.exists(file))
                assertSame(Tokenizer.gpt2(), Tokenizer.gpt2().withSettings(List.of(file)));
        }
        for (Path file : List.of(
                write("added_tokens.json", "{\"<|endoftext|>\": 50256}"),
                write(
                        "tokenizer_config.json",
                        "{\"pad_token\": null, \"add_prefix_space\": null, \"additional_special_tokens\":"
                                + " [\"<|endoftext|>\"], \"extra_special_tokens\": {}, \"model_max_length\": 1e30}")))
            assertSame(Tokenizer.gpt2(), Tokenizer.gpt2().withSettings(List.of(file)));
    }

    @Test
    void tokensOfSettingsAreAddedAndMarkTexts() throws IOException {
        write(
                "tokenizer_config.json",
                "{\"bos_token\": \"<s>\", \"pad_token\": {\"content\": \"[PAD]\", \"lstrip\": true},"
                        + " \"chat_template\": \"{{ messages }}\"}");
        Tokenizer tokenizer = Tokenizer.ofFolder(folder);
        int size = Tokenizer.ofTokenizerJson(folder.resolve("tokenizer.json")).size();
        assertEquals(size + 2, tokenizer.size());
        assertEquals(size, tokenizer.bos());
        assertEquals(0, tokenizer.eos()); // <|endoftext|>, as none is named
        assertEquals(size + 1, tokenizer.pad());
        assertArrayEquals(new int[] {0, size, size + 1}, tokenizer.bosEosPad());
        assertTrue(tokenizer.isSpecial(size + 1));
        assertEquals("a", tokenizer.decode(true, tokenizer.encode("<s>a [PAD]")));
        assertEquals(" [PAD]", tokenizer.encodeWithOffsets("a [PAD]").tokens().getLast());
        assertEquals(Optional.of("{{ messages }}"), tokenizer.chatTemplate());
        assertFalse(tokenizer.addsBos());
    }

    @Test
    void someClassesPutTokensAroundTexts() throws IOException {
        write(
                "tokenizer_config.json",
                "{\"tokenizer_class\": \"LlamaTokenizer\", \"add_eos_token\": true, \"unk_token\": null}");
        Tokenizer tokenizer = Tokenizer.ofFolder(folder);
        int[] plain = tokenizer.encode("the cat");
        int[] whole = tokenizer.encodeWithSpecialTokens("the cat");
        assertTrue(tokenizer.addsBos());
        assertEquals("<s>", tokenizer.token(whole[0]));
        assertEquals("</s>", tokenizer.token(whole[whole.length - 1]));
        assertEquals(plain.length + 2, whole.length);
        write("tokenizer_config.json", "{\"tokenizer_class\": \"GPTNeoXTokenizer\", \"add_bos_token\": false}");
        assertArrayEquals(plain, Tokenizer.ofFolder(folder).encodeWithSpecialTokens("the cat"));
    }

    @Test
    void onlyOlderVersionsReadTheOtherFiles() throws IOException {
        write("special_tokens_map.json", "{\"eos_token\": \"</s>\"}");
        write("added_tokens.json", "{\"</s>\": 313, \"new\": 314}");
        Tokenizer tokenizer = Tokenizer.ofFolder(folder);
        assertEquals(313, tokenizer.eos());
        assertTrue(tokenizer.isSpecial(313));
        assertFalse(tokenizer.isSpecial(314));
        write("tokenizer_config.json", "{\"added_tokens_decoder\": {\"313\": {\"content\": \"<x>\"}}}");
        assertEquals(0, Tokenizer.ofFolder(folder).eos());
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', quoteCharacter = '`', textBlock = """
        tokenizer_config.json ; {"split_special_tokens": true} ; : 'split_special_tokens' should be false, not true.
        tokenizer_config.json ; {"tokenizer_class": "LlamaTokenizer", "add_prefix_space": false} ; : 'add_prefix_space'\
         should be true or absent, as Transformers would build the tokenizer again, not false.
        special_tokens_map.json ; {"mask_token": 7} ; : mask_token should be a JSON object, not 7.
        special_tokens_map.json ; {"unk_token": {"content": "<u>", "lstrip": 1}} ; : unk_token: 'lstrip' should be true\
         or false, not 1.
        tokenizer_config.json ; {"extra_special_tokens": "<i>"} ; : 'extra_special_tokens' should be a list of tokens,\
         not "<i>".
        tokenizer_config.json ; {"added_tokens_decoder": {"400": {"content": "<|user|>"}}} ; : the id of '<|user|>' is\
         400 here, and 313 in the vocabulary or after it.
        tokenizer_config.json ; {"added_tokens_decoder": {"x": {"content": "<|user|>"}}} ; : added_tokens_decoder: the\
         key 'x' should be an id.
        added_tokens.json ; {"[PAD]": 50257} ; : the id of '[PAD]' is 50257 here, and 313 in the vocabulary or after it.
        added_tokens.json ; [] ; should hold a JSON object.
        tokenizer_config.json ; {"tokenizer_class": "GPTNeoXTokenizer", "add_bos_token": true, "bos_token": null} ; :\
         texts begin or end with the bos_token, which is 'null' and no token: name one, or set 'add_bos_token' to false.
        """)
    void whatWouldMakeOtherIdsIsRefusedByName(String name, String content, String message) throws IOException {
        Path file = write(name, content);
        assertEquals(
                file + (message.startsWith(":") ? message : " " + message),
                assertThrows(InputException.class, () -> Tokenizer.ofFolder(folder))
                        .getMessage());
    }

    @Test
    void gpt2sOwnVocabularyAloneHasNoOtherTokens() throws IOException {
        Path file = write("tokenizer_config.json", "{\"pad_token\": \"[PAD]\"}");
        assertEquals(
                file + ": pad_token is '[PAD]'. GPT-2's tokenizer has only <|endoftext|>: put a tokenizer.json, or"
                        + " vocab.json and merges.txt, beside the settings.",
                assertThrows(InputException.class, () -> Tokenizer.gpt2().withSettings(List.of(file)))
                        .getMessage());
    }
}
