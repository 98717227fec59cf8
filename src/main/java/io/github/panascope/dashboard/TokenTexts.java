package io.github.panascope.dashboard;

import io.github.panascope.tokens.Tokenizer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** The texts of tokens of a model, which may have more logits than its tokenizer has tokens: these have no text. */
final class TokenTexts {
    private TokenTexts() {}

    /** {@return the bytes of a token's text; none for an id that the tokenizer does not have} */
    static byte[] bytes(Tokenizer tokenizer, int id) {
        return id < tokenizer.size() ? tokenizer.decodeBytes(id) : new byte[0];
    }

    /** {@return the text of each token; an empty one for an id that the tokenizer does not have} */
    static List<String> of(Tokenizer tokenizer, int[] ids) {
        List<String> texts = new ArrayList<>(ids.length);
        for (int id : ids) texts.add(new String(bytes(tokenizer, id), StandardCharsets.UTF_8));
        return texts;
    }
}
