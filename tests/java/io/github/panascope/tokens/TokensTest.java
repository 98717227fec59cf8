package io.github.panascope.tokens;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.knuddels.jtokkit.Encodings;
import com.knuddels.jtokkit.api.Encoding;
import com.knuddels.jtokkit.api.EncodingType;
import io.github.panascope.InputException;
import io.github.panascope.internal.PythonText;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ForkJoinPool;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Tokens, rows and Python's text, where the golden case does not reach. */
class TokensTest {
    private static final Tokenizer GPT2 = Tokenizer.gpt2();

    private static TokenDataset rows(List<String> documents, ChunkingStrategy tokenization, int length) {
        return TokenDataset.tokenizeAndConcatenate(documents::forEach, GPT2, tokenization, length);
    }

    @Test
    void spaceIsPythons() {
        for (int c : new int[] {' ', '\t', '\n', 0x1c, 0x1f, 0x85, 0xa0, 0x2007, 0x202f, 0x2028, 0x3000})
            assertTrue(PythonText.isSpace(c), Integer.toHexString(c));
        for (int c : new int[] {0x200b, 'a', 0, 0xfeff, 0x180e, 0x1b})
            assertFalse(PythonText.isSpace(c), Integer.toHexString(c));
    }

    @Test
    void numbersRoundHalfToEvenOnTheBinaryValue() {
        assertEquals("2.67", PythonText.fixed(2.675, 2));
        assertEquals("0.12", PythonText.fixed(0.125, 2));
        assertEquals("0.38", PythonText.fixed(0.375, 2));
        assertEquals("-0.00", PythonText.fixed(-0.001, 2));
        assertEquals("69.93%", PythonText.percent(0.6993, 2));
        assertEquals("inf", PythonText.fixed(Double.POSITIVE_INFINITY, 2));
    }

    @Test
    void reprIsPythons() {
        assertEquals(
                "['a', \"it's\", '\\n\\t', '\\x00\\xa0', '\\u200b', 'é', '\\\\', 'both \\' and \"', '\\ufffd'.]"
                        .replace("'\\ufffd'.", "'\ufffd'"),
                PythonText.repr(
                        List.of("a", "it's", "\n\t", "\u0000\u00a0", "\u200b", "é", "\\", "both ' and \"", "\ufffd")));
        assertEquals("'\\U000e0001🤖'", PythonText.repr("\udb40\udc01🤖"));
    }

    /** The pattern of GPT-2's own pre-tokenizer. */
    private static final Pattern PIECES = Pattern.compile(
            "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
            Pattern.UNICODE_CHARACTER_CLASS);

    /** What the pattern treats in different ways, or an implementation might. */
    private static final String[] PARTS = {
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "\u00a0",
        "\u3000",
        "\u0085",
        "\u200b",
        "\u001c",
        "'",
        "'s",
        "'ll",
        "'re",
        "'v",
        "'LL",
        "a",
        "Zq",
        "é",
        "ǅ",
        "ʰ",
        "中",
        "𝒜",
        "7",
        "½",
        "Ⅷ",
        "𝟘",
        "٣",
        ".",
        "!?",
        "-",
        "🤖",
        "\ud83e",
        "\udd16",
        "\u0301",
        "_",
        "\ue000",
        "\u0378",
        "<|endoftext|"
    };

    @Test
    void piecesOfRandomTextsAreThoseOfThePattern() {
        Random random = new Random(5);
        for (int i = 0; i < 20_000; i++) {
            String text = randomText(random);
            List<String> expected =
                    PIECES.matcher(text).results().map(MatchResult::group).toList();
            List<String> found = new ArrayList<>();
            char[] chars = text.toCharArray();
            for (int start = 0, end; start < chars.length; start = end)
                found.add(text.substring(start, end = Gpt2PreTokenizer.end(chars, start, chars.length)));
            assertEquals(expected, found);
        }
    }

    @Test
    void tokensOfRandomTextsAreThoseOfTheLibrary() {
        Encoding library = Encodings.newLazyEncodingRegistry().getEncoding(EncodingType.R50K_BASE);
        Random random = new Random(5);
        for (int i = 0; i < 20_000; i++) {
            String text = randomText(random);
            if (!text.contains(Gpt2Tokenizer.END_OF_TEXT))
                assertArrayEquals(library.encodeOrdinary(text).toArray(), GPT2.encode(text), text);
        }
    }

    private static String randomText(Random random) {
        return IntStream.range(0, 1 + random.nextInt(12))
                .mapToObj(_ -> PARTS[random.nextInt(PARTS.length)])
                .collect(Collectors.joining());
    }

    @Test
    void everyCharacterIsInThePieceOfThePattern() {
        for (int c = 0; c <= Character.MAX_CODE_POINT; c++) {
            char[] text = ("a" + Character.toString(c) + "1").toCharArray();
            String whole = new String(text);
            var match = PIECES.matcher(whole);
            assertTrue(match.find());
            assertEquals(match.end(), Gpt2PreTokenizer.end(text, 0, text.length), Integer.toHexString(c));
            if (match.end() < text.length) {
                assertTrue(match.find());
                assertEquals(
                        match.end(), Gpt2PreTokenizer.end(text, match.start(), text.length), Integer.toHexString(c));
            }
        }
    }

    @Test
    void aTextTooShortForARowIsFilledUp() {
        // Cut into single characters first, as the peers do with a text shorter than 20 characters.
        assertArrayEquals(
                new int[] {50256, 23307, 1790, 13, 50256, 50256, 50256, 50256},
                rows(List.of("Too short."), ChunkingStrategy.PER_DOCUMENT, 8).row(0));
        int[] cut = rows(List.of("Too short."), ChunkingStrategy.CHARACTER_CHUNKS, 16)
                .row(0);
        assertArrayEquals(
                new int[] {50256, 51, 78, 78, 220, 82, 71, 78, 81, 83, 13, 50256, 50256, 50256, 50256, 50256}, cut);
    }

    @Test
    void separatorsVanishInChunksAndStayBetweenDocuments() {
        List<String> documents = List.of("one two three four", "five<|endoftext|>six seven");
        assertTrue(Arrays.stream(
                        rows(documents, ChunkingStrategy.WHITESPACE_CHUNKS, 4).row(0))
                .skip(1)
                .noneMatch(id -> id == 50256));
        TokenDataset perDocument = rows(documents, ChunkingStrategy.PER_DOCUMENT, 5);
        assertArrayEquals(new int[] {50256, 505, 734, 1115, 1440}, perDocument.row(0));
        assertArrayEquals(new int[] {50256, 50256, 13261, 50256, 19412}, perDocument.row(1));
    }

    @Test
    void eachThousandDocumentsAreAGroup() {
        TokenDataset rows = rows(Collections.nCopies(2500, "word"), ChunkingStrategy.PER_DOCUMENT, 11);
        assertEquals(2500, rows.documents());
        assertEquals((1000 + 999) / 10 * 2 + (500 + 499) / 10, rows.rows());
    }

    @Test
    void rowsBeginWithTextWhereNoBosIsAskedFor() {
        List<String> documents = List.of("one two three four", "five six seven");
        TokenDataset rows = TokenDataset.tokenizeAndConcatenate(
                documents::forEach, GPT2, ChunkingStrategy.PER_DOCUMENT, 4, false, 1);
        assertArrayEquals(new int[] {505, 734, 1115, 1440}, rows.row(0));
        assertEquals(1, rows.rows());
        assertEquals(2, rows.rowsInAll()); // eight tokens with the one between, of which one row is kept
    }

    /** Pieces are tokenized in parallel, and which thread takes which must not show. */
    @Test
    void anyNumberOfThreadsMakesTheSameRows() throws Exception {
        List<String> documents = IntStream.range(0, 2300)
                .mapToObj(i -> "The " + i + "th story of Zoë and 🤖, " + "again ".repeat(i % 9))
                .toList();
        for (ChunkingStrategy tokenization : ChunkingStrategy.values()) {
            List<List<Integer>> rows = null;
            for (int threads : new int[] {1, 3, 8}) {
                List<List<Integer>> found = new ArrayList<>();
                try (ForkJoinPool pool = new ForkJoinPool(threads)) {
                    pool.submit(() -> TokenDataset.forEachRow(
                                    documents::forEach,
                                    GPT2,
                                    tokenization,
                                    32,
                                    true,
                                    row -> found.add(Arrays.stream(row).boxed().toList())))
                            .get();
                }
                if (rows != null) assertEquals(rows, found);
                rows = found;
            }
        }
    }

    @Test
    void tokenizedRowsAreCutAndChecked() {
        List<int[]> documents = List.of(new int[] {1, 2, 3, 4}, new int[] {5, 6, 7});
        TokenDataset rows = TokenDataset.ofTokens(documents::forEach, 8, 3, 10);
        assertArrayEquals(new int[] {1, 2, 3}, rows.row(0));
        assertArrayEquals(new int[] {5, 6, 7}, rows.row(1));
        assertThrows(
                InputException.class,
                () -> TokenDataset.ofTokens(documents::forEach, 8, 4, 10)); // the second is too short
        assertThrows(InputException.class, () -> TokenDataset.ofTokens(documents::forEach, 7, 3, 10)); // 7 is unknown
    }

    private static void assertSays(Class<? extends RuntimeException> type, String message, Executable call) {
        assertEquals(message, assertThrows(type, call).getMessage());
    }

    @Test
    void callersMistakesAreToldInASentence() {
        TokenDataset rows = TokenDataset.ofTokens(List.of(new int[] {1, 2, 3})::forEach, 8, 3, 10);
        String none = "a document is null: leave it out";
        List<String> withNull = Arrays.asList("a", null);
        for (ChunkingStrategy tokenization : ChunkingStrategy.values())
            assertSays(
                    NullPointerException.class,
                    none,
                    () -> TokenDataset.tokenizeAndConcatenate(withNull::forEach, GPT2, tokenization, 8));
        assertSays(
                NullPointerException.class,
                none,
                () -> TokenDataset.concatAndBatchSequences(withNull::forEach, GPT2, 8, true, 3));
        List<int[]> idsWithNull = Arrays.asList((int[]) null);
        assertSays(NullPointerException.class, none, () -> TokenDataset.ofTokens(idsWithNull::forEach, 8, 3, 10));
        for (int count : new int[] {0, -1})
            assertSays(
                    IllegalArgumentException.class,
                    "rows should be at least 1, not " + count,
                    () -> TokenDataset.concatAndBatchSequences(List.of("a")::forEach, GPT2, 8, true, count));
        String tooLong = "rows should be at most 16777216 tokens long, to fit into memory: 700000000";
        assertSays(
                IllegalArgumentException.class,
                tooLong,
                () -> TokenDataset.tokenizeAndConcatenate(
                        List.of("a")::forEach, GPT2, ChunkingStrategy.PER_DOCUMENT, 700_000_000));
        assertSays(
                IllegalArgumentException.class,
                tooLong,
                () -> TokenDataset.forEachRow(
                        List.of("a")::forEach, GPT2, ChunkingStrategy.PER_DOCUMENT, 700_000_000, true, row -> {}));
        assertSays(IndexOutOfBoundsException.class, "row 1 is none of the 1 rows, from 0", () -> rows.row(1));
        assertSays(IndexOutOfBoundsException.class, "row -1 is none of the 1 rows, from 0", () -> rows.row(-1));
        assertSays(
                IndexOutOfBoundsException.class,
                "a batch from row 0 to row 2 is not within the 1 rows, from 0",
                () -> rows.batch(0, 2));
    }

    @Test
    void whatTheyHoldIsSaidInALine() {
        assertEquals("Tokenizer of 50257 tokens, GPT-2's own", GPT2.toString());
        TokenDataset rows = TokenDataset.ofTokens(List.of(new int[] {1, 2, 3}, new int[] {4, 5, 6})::forEach, 8, 3, 1);
        assertEquals("TokenDataset of 1 rows of 3 tokens, of 2 in all, from 2 documents", rows.toString());
    }

    @Test
    void vocabulariesMayHaveHoles(@TempDir Path folder) throws IOException {
        Path merges = Files.writeString(folder.resolve("merges.txt"), "#version: 0.2\n");
        Path vocab = Files.writeString(folder.resolve("vocab.json"), "{\"a\": 0, \"<|endoftext|>\": 2}");
        Tokenizer tokenizer = Tokenizer.ofVocabulary(vocab, merges);
        assertArrayEquals(new int[] {0, 2}, tokenizer.encode("a?<|endoftext|>"));
        assertEquals("a", tokenizer.decode(0, 1));
        assertEquals("[id 1]", tokenizer.token(1));
        assertEquals("a", tokenizer.decode(0, 7), "a model may predict a row that only fills its embedding up");
        assertSays(IllegalArgumentException.class, "token id -1 is negative", () -> tokenizer.decode(-1));
        Files.writeString(vocab, "{\"a\": 0, \"<|endoftext|>\": 2147483647}");
        assertThrows(InputException.class, () -> Tokenizer.ofVocabulary(vocab, merges));
    }

    @Test
    void idsThatAreNoWholeNumbersAreRefused(@TempDir Path folder) throws IOException {
        Path merges = Files.writeString(folder.resolve("merges.txt"), "");
        for (String id : List.of("0.7", "\"0\"", "null", "true", "[0]", "4294967296")) {
            Path vocab = Files.writeString(folder.resolve("vocab.json"), "{\"a\": " + id + ", \"<|endoftext|>\": 1}");
            Path json = Files.writeString(
                    folder.resolve("tokenizer.json"),
                    "{\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}, \"model\":"
                            + " {\"vocab\": {\"a\": "
                            + id + ", \"<|endoftext|>\": 1}, \"merges\": []}}");
            String expected = ": the id of token 'a' should be a whole number, not " + id + ".";
            assertEquals(
                    vocab + " with merges.txt: model" + expected,
                    assertThrows(InputException.class, () -> Tokenizer.ofVocabulary(vocab, merges))
                            .getMessage());
            assertEquals(
                    json + ": model" + expected,
                    assertThrows(InputException.class, () -> Tokenizer.ofTokenizerJson(json))
                            .getMessage());
        }
    }

    @Test
    void documentsOfNothingMakeNoRows() {
        for (ChunkingStrategy tokenization :
                List.of(ChunkingStrategy.CHARACTER_CHUNKS, ChunkingStrategy.WHITESPACE_CHUNKS)) {
            assertThrows(InputException.class, () -> rows(List.of(" \n "), tokenization, 8));
        }
    }

    @Test
    void codePointsCountAndNotSurrogates() {
        String robots = "🤖".repeat(45);
        TokenDataset rows = rows(List.of(robots), ChunkingStrategy.CHARACTER_CHUNKS, 46);
        assertEquals(50256, rows.row(0)[0]);
        // A piece that began with half a character would hold U+FFFD.
        assertEquals(
                robots.substring(0, 30),
                GPT2.decode(Arrays.copyOfRange(rows.row(0), 1, 46)).substring(0, 30));
    }

    @Test
    void partialCharactersDecodeToTheReplacementCharacter() {
        int[] ids = GPT2.encode("🤖");
        assertEquals("🤖", GPT2.decode(ids));
        assertTrue(GPT2.tokens(ids).get(0).contains("\ufffd"));
        assertThrows(IllegalArgumentException.class, () -> GPT2.decode(50257));
    }

    /** Documents with separators, blank ones and a last group of one short document. */
    private static List<String> documents(int count) {
        Random random = new Random(4);
        return IntStream.range(0, count)
                .mapToObj(i -> i % 9 == 0 ? " " : i % 50 == 1 ? "<|endoftext|>" : "Number " + random.nextInt(1 << 20))
                .toList();
    }

    @ParameterizedTest
    @EnumSource(ChunkingStrategy.class)
    void groupsMakeTheRowsOfTheWholeCorpus(ChunkingStrategy chunking) {
        int group = TokenDataset.DOCUMENTS_IN_GROUP;
        for (int count : new int[] {0, 1, group - 1, group, group + 1, 2 * group + 1}) {
            List<String> documents = documents(count);
            for (boolean bos : new boolean[] {true, false}) {
                List<List<Integer>> whole = new ArrayList<>();
                TokenDataset.forEachRow(documents::forEach, GPT2, chunking, 64, bos, row -> whole.add(asList(row)));
                List<List<Integer>> grouped = new ArrayList<>();
                for (int start = 0; start < count; start += group)
                    for (int[] row : TokenDataset.rowsOfGroup(
                            documents.subList(start, Math.min(count, start + group)), GPT2, chunking, 64, bos))
                        grouped.add(asList(row));
                assertEquals(whole, grouped, count + " documents");
            }
        }
        assertEquals(List.of(), TokenDataset.rowsOfGroup(List.of(), GPT2, chunking, 64, true));
    }

    private static List<Integer> asList(int[] row) {
        return Arrays.stream(row).boxed().toList();
    }

    @Test
    void aGroupOfTooManyDocumentsIsRefused() {
        String message = assertThrows(
                        IllegalArgumentException.class,
                        () -> TokenDataset.rowsOfGroup(documents(1001), GPT2, ChunkingStrategy.PER_DOCUMENT, 64, true))
                .getMessage();
        assertTrue(message.startsWith("a group has at most 1000 documents, not 1001: "), message);
    }
}
