package io.github.panascope.tokens;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.panascope.Golden;
import io.github.panascope.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What stands beside a vocabulary and would make other ids than it does. */
class TokenizerSettingsTest {
    @TempDir
    private Path folder;

    private Path write(String name, String content) throws IOException {
        return Files.writeString(folder.resolve(name), content);
    }

    @Test
    void whatTransformersWritesForGpt2IsUnderstood() throws IOException {
        for (String name : TokenizerSettings.FILES) {
            Path file = Golden.standardA().model().resolve(name);
            if (Files.exists(file)) TokenizerSettings.require(file, Tokenizer.gpt2());
        }
        assertDoesNotThrow(() ->
                TokenizerSettings.require(write("added_tokens.json", "{\"<|endoftext|>\": 50256}"), Tokenizer.gpt2()));
        assertDoesNotThrow(() -> TokenizerSettings.require(
                write(
                        "tokenizer_config.json",
                        "{\"pad_token\": null, \"add_prefix_space\": null, \"additional_special_tokens\":"
                                + " [\"<|endoftext|>\"], \"extra_special_tokens\": {}, \"model_max_length\": 1e30}"),
                Tokenizer.gpt2()));
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', quoteCharacter = '`', textBlock = """
        tokenizer_config.json ; {"add_prefix_space": true} ; : 'add_prefix_space' should be false, not true.
        tokenizer_config.json ; {"pad_token": "[PAD]"} ; : pad_token should be '<|endoftext|>', the only special token\
         that is supported, not '[PAD]'.
        special_tokens_map.json ; {"eos_token": {"content": "</s>"}} ; : eos_token should be '<|endoftext|>', the only\
         special token that is supported, not '</s>'.
        special_tokens_map.json ; {"mask_token": 7} ; : mask_token should be a JSON object, not 7.
        special_tokens_map.json ; {"unk_token": {"content": "<|endoftext|>", "lstrip": true}} ; : unk_token: 'lstrip'\
         should be false, not true.
        special_tokens_map.json ; {"additional_special_tokens": ["<|endoftext|>", "<x>"]} ; :\
         additional_special_tokens should be '<|endoftext|>', the only special token that is supported, not '<x>'.
        tokenizer_config.json ; {"extra_special_tokens": {"image": "<i>"}} ; : extra_special_tokens should be\
         '<|endoftext|>', the only special token that is supported, not '<i>'.
        tokenizer_config.json ; {"extra_special_tokens": "<i>"} ; : 'extra_special_tokens' should be a list of tokens,\
         not "<i>".
        tokenizer_config.json ; {"added_tokens_decoder": {"50257": {"content": "<|user|>"}}} ; :\
         added_tokens_decoder: 50257 should be '<|endoftext|>', the only special token that is supported, not\
         '<|user|>'.
        tokenizer_config.json ; {"added_tokens_decoder": {"50257": {"content": "<|endoftext|>"}}} ; :\
         added_tokens_decoder: the id of <|endoftext|> is 50257 here, and 50256 in the vocabulary.
        added_tokens.json ; {"[PAD]": 50257} ; : the added token should be '<|endoftext|>', the only special token\
         that is supported, not '[PAD]'.
        added_tokens.json ; {"<|endoftext|>": 50257} ; : the id of <|endoftext|> is 50257 here, and 50256 in the\
         vocabulary.
        added_tokens.json ; [] ; should hold a JSON object.
        """)
    void whatWouldMakeOtherIdsIsRefusedByName(String name, String content, String message) throws IOException {
        Path file = write(name, content);
        assertEquals(
                file + (message.startsWith(":") ? message : " " + message),
                assertThrows(InputException.class, () -> TokenizerSettings.require(file, Tokenizer.gpt2()))
                        .getMessage());
    }
}
