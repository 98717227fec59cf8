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
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** Vocabularies whose merges say otherwise than their tokens; what they make in tokenizers 0.23. */
class MergesTest {
    private static final int BYTES = 256;

    private static Tokenizer build(String... merges) {
        Map<String, Integer> ids = new LinkedHashMap<>();
        for (String letter : Gpt2Tokenizer.letters()) ids.put(letter, ids.size());
        for (String merge : merges) ids.put(merge.replace(" ", ""), ids.size());
        ids.put(Gpt2Tokenizer.END_OF_TEXT, ids.size());
        return Gpt2Tokenizer.build("here", ids, List.of(merges));
    }

    private static void assertRefused(String message, String... merges) {
        assertEquals(
                "here: " + message,
                assertThrows(InputException.class, () -> build(merges)).getMessage());
    }

    /** tokenizers gives 'a' and 'bc', as "b c" comes first; joining what is a token would give 'abc'. */
    @Test
    void aTokenThatItsMergesDoNotMakeIsRefused() {
        assertRefused(
                "the merges do not make the token 'abc' (id " + (BYTES + 2)
                        + ") of its own bytes, as those of a lower rank leave others: such a vocabulary is not"
                        + " supported.",
                "b c",
                "a b",
                "ab c");
        Tokenizer other = build("a b", "ab c", "b c");
        assertArrayEquals(new int[] {BYTES + 1}, other.encode("abc"));
        assertArrayEquals(new int[] {BYTES, BYTES + 2}, other.encode("abbc"));
    }

    /** Of small alphabets, so that merges get in each other's way. */
    @Test
    void aVocabularyThatIsTakenMakesTheIdsOfItsMerges() {
        Random random = new Random(3);
        int taken = 0;
        for (int i = 0; i < 600; i++) {
            List<String> tokens = new ArrayList<>(List.of("a", "b", "c"));
            List<String> merges = new ArrayList<>();
            while (merges.size() < 8) {
                String left = tokens.get(random.nextInt(tokens.size()));
                String right = tokens.get(random.nextInt(tokens.size()));
                if (tokens.contains(left + right)) continue;
                tokens.add(left + right);
                merges.add(left + " " + right);
            }
            if (random.nextBoolean()) Collections.swap(merges, random.nextInt(8), random.nextInt(8));
            Tokenizer tokenizer;
            try {
                tokenizer = build(merges.toArray(String[]::new));
            } catch (InputException e) {
                continue;
            }
            taken++;
            for (int j = 0; j < 20; j++) {
                String text = random.ints(1 + random.nextInt(30), 'a', 'd')
                        .mapToObj(Character::toString)
                        .collect(Collectors.joining());
                assertEquals(merged(text, merges), tokenizer.tokens(tokenizer.encode(text)), merges + " on " + text);
            }
        }
        assertTrue(taken > 50 && taken < 590, taken + " of 600 were taken");
    }

    /** Joins the two neighbours whose merge has the lowest rank, the first of them, as long as there are any. */
    private static List<String> merged(String text, List<String> merges) {
        List<String> parts = new ArrayList<>(List.of(text.split("")));
        while (true) {
            int best = -1;
            int lowest = merges.size();
            for (int i = 0; i + 1 < parts.size(); i++) {
                int rank = merges.indexOf(parts.get(i) + " " + parts.get(i + 1));
                if (rank < 0 || rank >= lowest) continue;
                best = i;
                lowest = rank;
            }
            if (best < 0) return parts;
            parts.set(best, parts.get(best) + parts.remove(best + 1));
        }
    }

    @Test
    void aMergeOfWhatIsNoTokenIsRefused() {
        assertRefused("the merge 'ab cd' joins 'cd', which the vocabulary does not have.", "a b", "ab cd");
        assertRefused("the merge 'cd ab' joins 'cd', which the vocabulary does not have.", "a b", "cd ab");
    }

    /** A token many times as long as any of GPT-2's. */
    @Test
    void longTokensAreMadeStepByStep() {
        String[] merges = new String[12];
        for (int i = 0; i < merges.length; i++) merges[i] = "x".repeat(1 << i) + " " + "x".repeat(1 << i);
        assertArrayEquals(
                new int[] {BYTES + 11, BYTES + 11, 'x' - '!'}, build(merges).encode("x".repeat(8193)));
    }

    /** The file of the hub, whose bytes follow from the vocabulary's. */
    @Test
    void gpt2sTokenizerJsonIsRecognisedByItsChecksum(@TempDir Path folder) throws IOException {
        Path model = Golden.standardA().model();
        JsonMapper mapper = JsonMapper.shared();
        Map<Integer, String> vocabulary = new TreeMap<>();
        mapper.readTree(Files.readString(model.resolve("vocab.json")))
                .forEachEntry((token, id) -> vocabulary.put(id.intValue(), token));
        ObjectNode ids = mapper.createObjectNode();
        vocabulary.forEach((id, token) -> ids.put(token, id));
        List<String> merges =
                Files.readAllLines(model.resolve("merges.txt")).stream().skip(1).toList();
        String byteLevel = "\"type\":\"ByteLevel\",\"add_prefix_space\":";
        String json = "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[{\"id\":50256,"
                + "\"special\":true,\"content\":\"<|endoftext|>\",\"single_word\":false,\"lstrip\":false,"
                + "\"rstrip\":false,\"normalized\":true}],\"normalizer\":null,"
                + "\"pre_tokenizer\":{" + byteLevel + "false,\"trim_offsets\":true},"
                + "\"post_processor\":{" + byteLevel + "true,\"trim_offsets\":false},"
                + "\"decoder\":{" + byteLevel + "true,\"trim_offsets\":true},"
                + "\"model\":{\"dropout\":null,\"unk_token\":null,\"continuing_subword_prefix\":\"\","
                + "\"end_of_word_suffix\":\"\",\"fuse_unk\":false,\"vocab\":" + ids + ",\"merges\":"
                + mapper.writeValueAsString(merges) + "}}";
        Path file = Files.writeString(folder.resolve("tokenizer.json"), json);
        assertTrue(Gpt2Vocabulary.is(file), Files.size(file) + " bytes");
        assertSame(Tokenizer.gpt2(), Tokenizer.ofTokenizerJson(file));
        Files.writeString(file, json.replace("\"!\":0,\"\\\"\":1", "\"!\":1,\"\\\"\":0"));
        assertFalse(Gpt2Vocabulary.is(file));
    }

    @Test
    void gpt2sOwnIsRecognisedInATokenizerJson(@TempDir Path folder) throws IOException {
        Path model = Golden.standardA().model();
        JsonMapper mapper = JsonMapper.shared();
        ObjectNode json = (ObjectNode) mapper.readTree(
                Files.readString(Golden.of("tokenizers").folder().resolve("transformers.json")));
        ObjectNode bpe = (ObjectNode) json.get("model");
        json.remove("added_tokens");
        bpe.set("vocab", mapper.readTree(Files.readString(model.resolve("vocab.json"))));
        bpe.putArray("merges");
        Files.readAllLines(model.resolve("merges.txt")).stream().skip(1).forEach(bpe.withArray("merges")::add);
        Path file = folder.resolve("tokenizer.json");
        Files.writeString(file, json.toString());
        assertSame(Tokenizer.gpt2(), Tokenizer.ofTokenizerJson(file));
        ObjectNode vocabulary = (ObjectNode) bpe.get("vocab");
        vocabulary.put("!", 1).put("\"", 0);
        Files.writeString(file, json.toString());
        Tokenizer other = Tokenizer.ofTokenizerJson(file);
        assertArrayEquals(new int[] {1}, other.encode("!"));
        assertArrayEquals(new int[] {0}, other.encode("\""));
    }
}
