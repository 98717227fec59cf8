package io.github.panascope.tokens;

import io.github.panascope.InputException;
import io.github.panascope.internal.ConfigFile;
import java.nio.file.Path;
import java.util.List;
import tools.jackson.databind.JsonNode;

/**
 * Checks of the settings files that Transformers keeps beside a vocabulary. They can put a space before texts and add
 * tokens that the vocabulary does not have, so that a tokenizer that ignores them would produce other ids. A setting
 * that would do so is refused by name.
 */
final class TokenizerSettings {
    private static final String CONFIG = "tokenizer_config.json";
    private static final String ADDED = "added_tokens.json";
    private static final String SPECIAL = "special_tokens_map.json";
    /** The names of the settings files; a model may lack each of them. */
    static final List<String> FILES = List.of(CONFIG, ADDED, SPECIAL);

    private static final List<String> SPECIAL_TOKENS =
            List.of("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token");
    /** Keys of lists of further special tokens; the second is Transformers 5's name for the first. */
    private static final List<String> MORE_TOKENS = List.of("additional_special_tokens", "extra_special_tokens");

    private TokenizerSettings() {}

    /**
     * Checks that a tokenizer produces the ids that a settings file asks for.
     *
     * @param file      a file with one of the names in {@link #FILES}
     * @param tokenizer the tokenizer
     * @throws InputException if the file asks for other ids, or cannot be read or is malformed
     */
    static void require(Path file, Tokenizer tokenizer) {
        ConfigFile settings = ConfigFile.read(file);
        if (file.getFileName().toString().equals(ADDED)) {
            for (String token : settings.keys()) {
                requireEndOfText(settings.place() + ": the added token", token);
                requireId(settings.place(), Tokenizer.id(settings.place(), token, settings.value(token)), tokenizer);
            }
            return;
        }
        if (settings.flag("add_prefix_space", false)) throw settings.wrong("add_prefix_space", "false");
        for (String key : SPECIAL_TOKENS) requireToken(settings.place() + ": " + key, settings.value(key));
        for (String key : MORE_TOKENS) {
            JsonNode more = settings.value(key);
            if (more == null || more.isNull()) continue;
            if (!more.isContainer()) throw settings.wrong(key, "a list of tokens");
            for (JsonNode token : more) requireToken(settings.place() + ": " + key, token);
        }
        settings.object("added_tokens_decoder")
                .ifPresent(added -> added.keys().forEach(id -> {
                    requireToken(added.place() + ": " + id, added.value(id));
                    if (!id.equals(String.valueOf(tokenizer.eos()))) throw otherId(added.place(), id, tokenizer);
                }));
    }

    /**
     * Checks a special token, which is a string or an object with a string as its content; null means that there is
     * none.
     */
    private static void requireToken(String place, JsonNode token) {
        if (token == null || token.isNull()) return;
        if (token.isString()) {
            requireEndOfText(place, token.stringValue());
            return;
        }
        ConfigFile described = ConfigFile.of(place, token);
        requireEndOfText(place, described.text("content"));
        for (String key : List.of("single_word", "lstrip", "rstrip"))
            if (described.flag(key, false)) throw described.wrong(key, "false");
    }

    private static void requireEndOfText(String place, String token) {
        if (!token.equals(Gpt2Tokenizer.END_OF_TEXT))
            throw new InputException(place + " should be '" + Gpt2Tokenizer.END_OF_TEXT
                    + "', the only special token that is supported, not '" + token + "'.");
    }

    private static void requireId(String place, int id, Tokenizer tokenizer) {
        if (id != tokenizer.eos()) throw otherId(place, String.valueOf(id), tokenizer);
    }

    private static InputException otherId(String place, String id, Tokenizer tokenizer) {
        return new InputException(place + ": the id of " + Gpt2Tokenizer.END_OF_TEXT + " is " + id + " here, and "
                + tokenizer.eos() + " in the vocabulary.");
    }
}
