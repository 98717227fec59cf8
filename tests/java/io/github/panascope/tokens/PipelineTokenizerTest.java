package io.github.panascope.tokens;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.InputException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * What Hugging Face's tokenizers makes of texts with tokenizers of all kinds, from tests/peers/make_tokenizers.py. The
 * system property panascope.tokenizers names a larger file of that script to compare with.
 */
class PipelineTokenizerTest {
    private static final String LLAMA3 = WordScanner.PATTERN.replace("DIGITS", "\\p{N}{1,3}");

    @TempDir
    private Path folder;

    @Test
    void idsPlacesTokensAndTextsAreThoseOfTokenizers() throws IOException {
        String other = System.getProperty("panascope.tokenizers");
        Path file = other != null
                ? Path.of(other)
                : Golden.of("tokenizers").folder().resolve("pipelines.json");
        int cases = 0;
        for (JsonNode each : JsonMapper.shared().readTree(Files.readString(file))) {
            Path json = Files.writeString(
                    folder.resolve("tokenizer.json"), each.get("tokenizer").toString());
            Tokenizer tokenizer = Tokenizer.ofTokenizerJson(json);
            for (JsonNode expected : each.get("cases")) {
                compare(each.get("name").stringValue(), tokenizer, expected);
                cases++;
            }
        }
        assertTrue(cases > 400, cases + " cases");
    }

    @Test
    void sentencePieceModelsAreConvertedAsTransformersDoes() throws IOException {
        Path goldens = Golden.of("tokenizers").folder();
        JsonNode all = JsonMapper.shared().readTree(Files.readString(goldens.resolve("sentencepiece.json")));
        assertEquals(3, all.size());
        for (JsonNode each : all) {
            String name = each.get("model").stringValue();
            Files.write(folder.resolve("tokenizer.model"), Files.readAllBytes(goldens.resolve(name + ".model")));
            Files.writeString(
                    folder.resolve("tokenizer_config.json"),
                    each.get("settings").toString());
            Tokenizer tokenizer = Tokenizer.ofFolder(folder);
            for (JsonNode expected : each.get("cases")) compare(name, tokenizer, expected);
            assertTrue(tokenizer.addsBos());
        }
        byte[] model = Files.readAllBytes(goldens.resolve("llama.model"));
        int first = 2 + model[1]; // the length of a token with its tag and its own length
        for (int length : new int[] {model.length - 3, first, 0}) {
            Path cut = Files.write(folder.resolve("tokenizer.model"), Arrays.copyOf(model, length));
            assertEquals(
                    cut + " is no SentencePiece model, or it is cut short.",
                    assertThrows(InputException.class, () -> Tokenizer.ofFolder(folder))
                            .getMessage());
        }
        byte[] small = {10, 3, 10, 1, 'a', 18, 2, 24, 2, 26, 0}; // a token, byte pairs, and an empty normalizer
        Path file = Files.write(folder.resolve("tokenizer.model"), small);
        Files.writeString(folder.resolve("tokenizer_config.json"), "{\"tokenizer_class\": \"GemmaTokenizer\"}");
        assertEquals(
                file + ": a model of Gemma begins with the tokens <pad>, <eos>, <bos>, and this one has 1 tokens.",
                assertThrows(InputException.class, () -> Tokenizer.ofFolder(folder))
                        .getMessage());
    }

    @Test
    void gpt2sOwnIsRecognisedInAFileThatIsWrittenDifferently() throws IOException {
        Path model = Golden.standardA().model();
        JsonMapper mapper = JsonMapper.shared();
        ObjectNode json = (ObjectNode) mapper.readTree(
                Files.readString(Golden.of("tokenizers").folder().resolve("transformers.json")));
        ObjectNode bpe = (ObjectNode) json.get("model");
        ((ObjectNode) json.get("added_tokens").get(0)).put("id", 50256);
        bpe.set("vocab", mapper.readTree(Files.readString(model.resolve("vocab.json"))));
        bpe.putArray("merges");
        Files.readAllLines(model.resolve("merges.txt")).stream().skip(1).forEach(bpe.withArray("merges")::add);
        Path file = Files.writeString(folder.resolve("tokenizer.json"), json.toString());
        assertSame(Tokenizer.gpt2(), Tokenizer.ofTokenizerJson(file));
        ((ObjectNode) bpe.get("vocab")).put("!", 1).put("\"", 0);
        Files.writeString(file, json.toString());
        Tokenizer other = Tokenizer.ofTokenizerJson(file);
        assertArrayEquals(new int[] {1}, other.encode("!"));
        assertNotEquals(Tokenizer.gpt2().fingerprint(), other.fingerprint());
        String text = "Hello, world! It's naïve 🤖\n\n  x<|endoftext|>";
        int[] swapped = other.encode(text);
        int[] own = Tokenizer.gpt2().encode(text);
        for (int i = 0; i < own.length; i++) assertEquals(own[i] == 0 ? 1 : own[i], swapped[i]);
        assertEquals(text, other.decode(swapped));
    }

    private static void compare(String name, Tokenizer tokenizer, JsonNode expected) {
        String text = expected.get("text").stringValue();
        String what = name + ": " + text;
        int[] ids = ints(expected.get("ids"));
        Tokenizer.Encoding encoding = tokenizer.encodeWithOffsets(text);
        assertArrayEquals(ids, encoding.ids(), what);
        assertArrayEquals(ids, tokenizer.encode(text), what);
        List<String> tokens = new ArrayList<>();
        expected.get("tokens").forEach(token -> tokens.add(token.stringValue()));
        assertEquals(tokens, encoding.tokens(), what);
        assertArrayEquals(ints(expected.get("starts")), codePoints(text, encoding.starts()), what);
        assertArrayEquals(ints(expected.get("ends")), codePoints(text, encoding.ends()), what);
        assertArrayEquals(ints(expected.get("special")), tokenizer.encodeWithSpecialTokens(text), what);
        assertEquals(expected.get("decoded").stringValue(), tokenizer.decode(false, ids), what);
        assertEquals(expected.get("skipped").stringValue(), tokenizer.decode(true, ids), what);
    }

    private static int[] ints(JsonNode list) {
        return IntStream.range(0, list.size()).map(i -> list.get(i).intValue()).toArray();
    }

    /** Python counts code points. */
    private static int[] codePoints(String text, int[] places) {
        return IntStream.of(places).map(place -> text.codePointCount(0, place)).toArray();
    }

    @Test
    void scannersFindTheMatchesOfTheirPatterns() {
        Random random = new Random(3);
        String signs = "aZé'ſsSrReElLtTdDmMvV  \n\r\t\u3000\u00a012½Ⅷ猫🤖!\u0301.ǅ";
        int[] codePoints = signs.codePoints().toArray();
        for (String pattern : List.of(
                WordScanner.GPT2_PATTERN,
                LLAMA3,
                WordScanner.PATTERN.replace("DIGITS", "\\p{N}"),
                WordScanner.PATTERN.replace("DIGITS", "\\p{N}+"))) {
            WordScanner scanner = WordScanner.of(pattern);
            var compiled = OnigurumaPattern.compile("test", pattern);
            for (int i = 0; i < 3000; i++) {
                int[] chosen = random.ints(random.nextInt(24), 0, codePoints.length)
                        .map(index -> codePoints[index])
                        .toArray();
                String text = new String(chosen, 0, chosen.length);
                List<Integer> matched = new ArrayList<>();
                OnigurumaPattern.find("test", compiled, text, (_, to) -> matched.add(to));
                List<Integer> scanned = new ArrayList<>();
                for (int at = 0; at < text.length(); scanned.add(at))
                    at = scanner.end(text.toCharArray(), at, text.length());
                assertEquals(matched, scanned, pattern + " on " + text);
            }
        }
    }

    @Test
    void aLongPieceTakesLittleTimeAndTheIdsOfItsParts() throws IOException {
        String vocabulary = "{\"a\":0,\"aa\":1,\"aaaa\":2,\"b\":3,\"ab\":4,\"▁\":5}";
        String merges = "[[\"a\",\"b\"],[\"a\",\"a\"],[\"aa\",\"aa\"]]";
        Path file = Files.writeString(
                folder.resolve("tokenizer.json"),
                "{\"model\":{\"type\":\"BPE\",\"vocab\":" + vocabulary + ",\"merges\":" + merges + "}}");
        Tokenizer tokenizer = Tokenizer.ofTokenizerJson(file);
        String piece = "a".repeat(1 << 20) + "b";
        int[] ids = tokenizer.encode(piece);
        assertEquals((1 << 18) - 1 + 2 + 1, ids.length); // two and one a before the last, which joins the b
        assertEquals(
                piece,
                String.join("", IntStream.of(ids).mapToObj(tokenizer::token).toList()));
        assertArrayEquals(new int[] {1, 0, 4}, Arrays.copyOfRange(ids, ids.length - 3, ids.length));
    }

    @Test
    void bytesOfPartsOfCharactersAreKept() throws IOException {
        JsonNode first = JsonMapper.shared()
                .readTree(Files.readString(Golden.of("tokenizers").folder().resolve("pipelines.json")));
        int compared = 0;
        for (JsonNode each : first) {
            if (!each.get("tokenizer").path("decoder").path("type").asString("").equals("ByteLevel")) continue;
            if (each.get("name").stringValue().startsWith("random")) continue;
            Path json = Files.writeString(
                    folder.resolve("tokenizer.json"), each.get("tokenizer").toString());
            Tokenizer tokenizer = Tokenizer.ofTokenizerJson(json);
            for (JsonNode expected : each.get("cases")) {
                int[] ids = ints(expected.get("ids"));
                byte[] whole = tokenizer.decodeBytes(ids);
                assertEquals(expected.get("decoded").stringValue(), new String(whole, StandardCharsets.UTF_8));
                byte[] parts = new byte[whole.length];
                int at = 0;
                for (int id : ids) for (byte b : tokenizer.decodeBytes(id)) parts[at++] = b;
                assertArrayEquals(whole, parts);
                compared++;
            }
        }
        assertTrue(compared > 50, compared + " texts");
    }
}
