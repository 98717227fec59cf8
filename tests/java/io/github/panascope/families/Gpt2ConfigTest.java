package io.github.panascope.families;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.panascope.InputException;
import io.github.panascope.families.ModelFamily.Parsed;
import io.github.panascope.internal.ConfigFile;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Keys of config.json by either of their names, as GPT2Config's attribute_map has them. */
class Gpt2ConfigTest {
    private static Parsed parse(String json) {
        return new Gpt2().parse(ConfigFile.parse("config.json", json));
    }

    @Test
    void namesThatAllModelsHaveMeanGpt2sOwn() {
        Parsed own = parse("{\"n_embd\": 8, \"n_positions\": 16, \"n_head\": 2, \"n_layer\": 3, \"vocab_size\": 300}");
        Parsed others = parse("{\"hidden_size\": 8, \"max_position_embeddings\": 16, \"num_attention_heads\": 2,"
                + " \"num_hidden_layers\": 3, \"n_embd\": null, \"vocab_size\": 300, \"n_ctx\": 7}");
        assertEquals(own.config(), others.config());
        assertEquals(16, others.config().nCtx());
        assertEquals(List.of(), others.skippedKeys());
        assertEquals(
                own.config(),
                parse("{\"n_embd\": 8, \"hidden_size\": 8, \"n_positions\": 16, \"n_head\": 2, \"n_layer\": 3,"
                                + " \"num_hidden_layers\": 3, \"vocab_size\": 300}")
                        .config());
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', textBlock = """
        hidden_size ; 16 ; 'n_embd' is 8 and 'hidden_size', another name for it, is 16: remove the one that is wrong.
        num_hidden_layers ; 4 ; 'n_layer' is 3 and 'num_hidden_layers', another name for it, is 4: remove the one that\
         is wrong.
        num_attention_heads ; 1 ; 'n_head' is 2 and 'num_attention_heads', another name for it, is 1: remove the one\
         that is wrong.
        max_position_embeddings ; 9 ; 'n_positions' is 16 and 'max_position_embeddings', another name for it, is 9:\
         remove the one that is wrong.
        hidden_size ; "8" ; 'hidden_size' should be a positive whole number, not "8".
        n_embd ; null ; 'n_embd' should be a positive whole number, not null.
        n_embd ; 3000000 ; 'n_embd' should be at most 2097152, not 3000000.
        """)
    void namesThatDisagreeAreRefused(String key, String value, String message) {
        String json = "{\"n_embd\": 8, \"n_positions\": 16, \"n_head\": 2, \"n_layer\": 3, \"vocab_size\": 300}";
        String changed = key.equals("n_embd")
                ? json.replace("\"n_embd\": 8", "\"n_embd\": " + value)
                : json.replace("}", ", \"" + key + "\": " + value + "}");
        assertEquals(
                "config.json: " + message,
                assertThrows(InputException.class, () -> parse(changed)).getMessage());
    }
}
