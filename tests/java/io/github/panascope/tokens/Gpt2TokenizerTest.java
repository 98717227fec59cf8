package io.github.panascope.tokens;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a tokenizer tells of its tokens, for the one that has only one special token. */
class Gpt2TokenizerTest {
    private static final Tokenizer GPT2 = Tokenizer.gpt2();

    @Test
    void aTokenAndItsIdLeadToEachOther() {
        for (int id = 0; id < GPT2.size(); id++) assertEquals(OptionalInt.of(id), GPT2.id(GPT2.token(id)));
        assertEquals("Ġthe", GPT2.token(262));
        assertEquals("Ċ", GPT2.token(198));
        assertEquals("<|endoftext|>", GPT2.token(50256));
        assertEquals(OptionalInt.empty(), GPT2.id("▁the"));
        assertThrows(IllegalArgumentException.class, () -> GPT2.token(50257));
    }

    @Test
    void oneTokenBeginsEndsAndPads() {
        assertEquals(50256, GPT2.bos());
        assertEquals(50256, GPT2.eos());
        assertEquals(50256, GPT2.pad());
        assertArrayEquals(new int[] {50256}, GPT2.bosEosPad());
        assertEquals(Set.of(50256), GPT2.specialIds());
        assertTrue(GPT2.isSpecial(50256));
        assertFalse(GPT2.isSpecial(50257));
        assertFalse(GPT2.addsBos());
        assertArrayEquals(GPT2.encode("a b"), GPT2.encodeWithSpecialTokens("a b"));
        assertArrayEquals(GPT2.encode("<|endoftext|>a b"), GPT2.encodeAfterBos("a b"));
        assertEquals("a b", GPT2.decode(true, GPT2.encodeAfterBos("a b")));
        assertEquals("<|endoftext|>a b", GPT2.decode(false, GPT2.encodeAfterBos("a b")));
    }

    @Test
    void placesCountUtf16UnitsAndHoldWholeCharacters() {
        String text = "Hi <|endoftext|> 🤖é";
        Tokenizer.Encoding encoding = GPT2.encodeWithOffsets(text);
        assertArrayEquals(GPT2.encode(text), encoding.ids());
        assertEquals(List.of("Hi", "Ġ", "<|endoftext|>", "ĠðŁ", "¤", "ĸ", "Ã©"), encoding.tokens());
        assertArrayEquals(new int[] {0, 2, 3, 16, 17, 17, 19}, encoding.starts());
        assertArrayEquals(new int[] {2, 3, 16, 19, 19, 19, 20}, encoding.ends());
        assertEquals(0, GPT2.encodeWithOffsets("").ids().length);
    }

    @Test
    void aFolderNeedsAVocabulary(@TempDir Path folder) {
        assertEquals(
                "folder " + folder + " has no tokenizer: it needs tokenizer.json, or tokenizer.model, or vocab.json and"
                        + " merges.txt.",
                assertThrows(InputException.class, () -> Tokenizer.ofFolder(folder))
                        .getMessage());
    }
}
