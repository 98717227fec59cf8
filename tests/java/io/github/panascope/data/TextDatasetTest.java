package io.github.panascope.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.luben.zstd.ZstdOutputStream;
import io.github.panascope.InputException;
import io.github.panascope.hub.FakeHub;
import io.github.panascope.hub.Hub;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Documents from every kind of file, and from the hub. */
class TextDatasetTest {
    @TempDir
    private Path folder;

    private final Hub offline = Hub.of(Map.of("HF_HOME", "/nonexistent", "HF_HUB_OFFLINE", "1"));

    private List<String> read(String name, String content) throws IOException {
        return TextDataset.of(Files.writeString(folder.resolve(name), content).toString(), offline)
                .documents();
    }

    private void assertRefused(String part, String name, String content) {
        InputException e = assertThrows(InputException.class, () -> read(name, content));
        assertTrue(e.getMessage().contains(part), e.getMessage());
    }

    @Test
    void eachKindOfFileGivesItsDocuments() throws IOException {
        assertEquals(
                List.of("one", "zwei\n🤖"),
                read(
                        "a.jsonl",
                        "{\"text\":\"one\",\"x\":1}\n\n{\"text\":null}\n{\"text\":\"zwei\\n\\ud83e\\udd16\"}\n"));
        assertEquals(List.of("a\nb\n"), read("a.txt", "a\nb\n"));
        List<String> parquet = TextDataset.of("tests/resources/golden/standard_a/dataset.parquet", offline)
                .documents();
        assertEquals(1150, parquet.size());
        TextDataset ofFile = TextDataset.of("tests/resources/golden/standard_a/dataset.parquet");
        assertEquals(parquet, ofFile.documents());
        assertEquals("TextDataset(dataset.parquet, 1 file, column text)", ofFile.toString());
        assertEquals(
                "TextDataset(" + folder.getFileName() + ", 1 file, column text)",
                TextDataset.of(Files.writeString(folder.resolve("b.txt"), "b").getParent() + "/.", offline)
                        .toString());
        assertEquals(
                "TextDataset(b.txt, 1 file, column story)",
                TextDataset.of(folder.resolve("b.txt").toString(), offline)
                        .column("story")
                        .toString());
    }

    /** As Hugging Face's datasets reads them, tried with version 5.2. */
    @Test
    void anArrayOfObjectsIsReadAsItsElements() throws IOException {
        assertEquals(
                List.of("a", "b"),
                read("a.json", "\ufeff \n[{\"text\":\"a\"},\n {\"text\":null}, {\"text\":\"b\",\"score\":NaN}\n]\n"));
        assertEquals(List.of("a", "b"), read("b.json", "[\"a\",\"b\"]"));
        assertRefused(
                "b.json, element 2: no field 'text' that holds text", "b.json", "[{\"text\":\"a\"},{\"title\":\"b\"}]");
        assertRefused("b.json, element 2: no field 'text' that holds text", "b.json", "[{\"text\":\"a\"},7]");
        assertRefused("b.json, element 2: not JSON (", "b.json", "[{\"text\":\"a\"},{\"text\":\"b\"");
        assertRefused("b.json holds more than one JSON array", "b.json", "[{\"text\":\"a\"}]\n[{\"text\":\"b\"}]");
        assertRefused("b.json, element 1: not JSON (", "b.json", "[".repeat(100_000));
        assertRefused("is empty: it has no documents", "b.json", "[]");
        Path tokens = Files.writeString(folder.resolve("tokens.json"), "[{\"tokens\":[1,2]},{\"tokens\":[3]}]");
        assertTrue(TextDataset.of(tokens.toString(), offline).isTokenized());
    }

    @Test
    void jsonThatIsTooDeepSaysHowDeepItMayBe() throws IOException {
        InputException e = assertThrows(
                InputException.class, () -> read("deep.jsonl", "{\"text\":" + "[".repeat(600) + "]".repeat(600) + "}"));
        assertEquals(
                folder.resolve("deep.jsonl")
                        + ", line 1: not JSON (Document nesting depth (501) exceeds the maximum allowed (500)).",
                e.getMessage());
    }

    /** A few bytes of zstd unpack to as many characters as one likes. */
    @Test
    void anElementWithoutEndIsRefused() throws IOException {
        Path bomb = folder.resolve("bomb.json.zst");
        try (OutputStream out = new ZstdOutputStream(Files.newOutputStream(bomb))) {
            out.write("[{\"text\":\"a\"},{\"x\":[".getBytes(StandardCharsets.UTF_8));
            byte[] many = "[],".repeat(1 << 18).getBytes(StandardCharsets.UTF_8);
            for (int i = 0; i < 400; i++) out.write(many);
        }
        assertTrue(Files.size(bomb) < 100_000, "it has " + Files.size(bomb) + " bytes");
        assertRefused(
                "bomb.json.zst: an element is longer than 268435456 characters.",
                () -> TextDataset.of(bomb.toString(), offline).documents());
    }

    @Test
    void anArraysFileThatIsNoTextOrCutShortIsToldApartFromBadJson() throws IOException {
        byte[] bad = "[{\"text\":\"a\"},{\"text\":\"\u00e9\"}]".getBytes(StandardCharsets.ISO_8859_1);
        Path latin = Files.write(folder.resolve("latin.json"), bad);
        assertRefused(
                latin + " is not UTF-8 text.",
                () -> TextDataset.of(latin.toString(), offline).documents());
        ByteArrayOutputStream packed = new ByteArrayOutputStream();
        try (OutputStream out = new GZIPOutputStream(packed)) {
            for (int i = 0; i < 1000; i++)
                out.write(((i == 0 ? "[" : ",") + "{\"text\":\"" + i * i + "\"}").getBytes(StandardCharsets.UTF_8));
        }
        Path cut = Files.write(folder.resolve("cut.json.gz"), Arrays.copyOf(packed.toByteArray(), packed.size() / 2));
        assertRefused(
                cut + " cannot be read: ",
                () -> TextDataset.of(cut.toString(), offline).documents());
    }

    @Test
    void skippedDocumentsAreToldOfWhereReadingStopsEarly() throws IOException {
        Path file =
                Files.writeString(folder.resolve("n.jsonl"), "{\"text\":null}\n{\"text\":\"a\"}\n{\"text\":null}\n");
        List<Long> counts = new ArrayList<>();
        assertThrows(
                IllegalStateException.class,
                () -> TextDataset.of(file.toString(), offline)
                        .forEach(
                                document -> {
                                    throw new IllegalStateException("enough");
                                },
                                counts::add));
        assertEquals(List.of(1L), counts);
    }

    @Test
    void documentsWithoutTextAreSkippedAndCounted() throws IOException {
        Path file = Files.writeString(
                folder.resolve("nulls.jsonl"), "{\"text\":null}\n{\"text\":\"a\"}\n{\"text\":null}\n");
        List<String> texts = new ArrayList<>();
        assertEquals(2, TextDataset.of(file.toString(), offline).forEach(texts::add));
        assertEquals(List.of("a"), texts);
        assertRefused("has no text: it is null in all of its 1 documents", "only.jsonl", "{\"text\":null}\n");
    }

    private static final Path FORMS = Path.of("tests/resources/datasets");

    private TextDataset form(String file) {
        return TextDataset.of(FORMS.resolve(file).toString(), offline);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "none.parquet",
                "snappy.parquet",
                "gzip.parquet",
                "zstd.parquet",
                "texts.jsonl.gz",
                "texts.jsonl.zst"
            })
    void eachCompressionGivesTheSameDocuments(String file) {
        List<String> documents = form("texts.jsonl").documents();
        assertEquals(100, documents.size());
        assertEquals("Document 2: naïve 🤖 text. naïve 🤖 text. ", documents.get(2));
        assertFalse(form(file).isTokenized());
        assertEquals(documents, form(file).documents());
    }

    @ParameterizedTest
    @ValueSource(strings = {"tokens.parquet", "input_ids.parquet", "tokens.jsonl"})
    void tokenIdsAreReadAsTheyAre(String file) {
        assertTrue(form(file).isTokenized());
        List<int[]> rows = new ArrayList<>();
        form(file).forEachTokens(rows::add);
        assertEquals(100, rows.size());
        for (int i = 0; i < 100; i++) {
            int[] expected = new int[16 + i % 3];
            for (int j = 0; j < expected.length; j++) expected[j] = (i * 31 + j * 7) % 50257;
            assertArrayEquals(expected, rows.get(i));
        }
    }

    @Test
    void aStructuresFieldIsNoColumn() {
        assertEquals(List.of("this", ""), form("beside_structure.parquet").documents());
        assertRefused(
                "column 'text' should hold text, not lists or structures",
                () -> form("structure.parquet").documents());
        assertRefused(
                "holds a null where a token id should be",
                () -> form("null_token.parquet").forEachTokens(ids -> {}));
        assertRefused(
                "no column 'text'; its columns are [attention_mask, tokens]",
                () -> form("tokens.parquet").documents());
        assertRefused(
                "Did you mean 'text'?",
                () -> form("none.parquet").column("texd").documents());
        assertRefused(
                "should hold lists of whole numbers",
                () -> form("none.parquet").column("id").forEachTokens(ids -> {}));
        assertRefused(
                "should hold text, not INT64",
                () -> form("none.parquet").column("id").documents());
        assertRefused(
                "is compressed with BROTLI; [UNCOMPRESSED, SNAPPY, GZIP, ZSTD] are supported",
                () -> form("brotli.parquet").documents());
    }

    /** As Python's json writes them, beside the text. */
    @Test
    void notANumberBesideATextIsRead() throws IOException {
        Path file = Files.writeString(
                folder.resolve("scores.jsonl"),
                "{\"text\":\"a b\",\"score\":NaN}\n{\"score\":-Infinity,\"text\":\"c d\"}\n");
        assertEquals(
                List.of("a b", "c d"), TextDataset.of(file.toString(), offline).documents());
        Path tokens = Files.writeString(folder.resolve("tokens.jsonl"), "{\"tokens\":[1,NaN]}\n");
        assertRefused(
                "line 1: NaN is no token id",
                () -> TextDataset.of(tokens.toString(), offline).forEachTokens(ids -> {}));
    }

    @Test
    void aFoldersFilesAreOneDataset() throws IOException {
        Files.createDirectories(folder.resolve("data"));
        Files.copy(FORMS.resolve("texts.jsonl.gz"), folder.resolve("data/train-00001-of-00002.jsonl.gz"));
        Files.writeString(folder.resolve("data/train-00000-of-00002.jsonl"), "{\"text\":\"first\"}\n");
        Files.writeString(folder.resolve("data/validation.jsonl"), "{\"text\":\"held out\"}\n");
        Files.writeString(folder.resolve("README.md"), "# a dataset");
        Files.writeString(folder.resolve("notes.txt"), "no document");
        List<String> train = TextDataset.of(folder.toString(), offline).documents();
        assertEquals(101, train.size());
        assertEquals("first", train.getFirst());
        assertEquals(
                List.of("held out"),
                TextDataset.of(folder.toString(), "validation", offline).documents());
        assertRefused("has no files of the split 'test'", () -> TextDataset.of(folder.toString(), "test", offline));
    }

    @Test
    void hiddenFilesAndFoldersAreNoneOfADataset() throws IOException {
        Path hidden = Files.createDirectories(folder.resolve(".set/.cache"));
        Files.writeString(hidden.resolve("a.jsonl"), "{\"text\":\"cached\"}\n");
        Files.writeString(hidden.resolveSibling("._a.jsonl"), "no JSON");
        Files.writeString(hidden.resolveSibling("b.jsonl"), "{\"text\":\"one\"}\n");
        assertEquals(
                List.of("one"),
                TextDataset.of(folder.resolve(".set").toString(), offline).documents());
    }

    @Test
    void theFirstFileWithADocumentSaysWhetherTheyAreTokenized() throws IOException {
        Files.writeString(folder.resolve("a.jsonl"), "\n");
        Files.writeString(folder.resolve("b.json"), "[]");
        Files.writeString(folder.resolve("c.jsonl"), "{\"tokens\":[1,2]}\n");
        TextDataset dataset = TextDataset.of(folder.toString(), offline);
        assertTrue(dataset.isTokenized());
        List<int[]> rows = new ArrayList<>();
        dataset.forEachTokens(rows::add);
        assertArrayEquals(new int[] {1, 2}, rows.getFirst());
    }

    @Test
    void anArrayMayBeginAfterManyBlanks() throws IOException {
        assertEquals(List.of("a"), read("a.json", " \n".repeat(20_000) + "[{\"text\":\"a\"}]"));
    }

    @Test
    void aGzipFileWithSomethingElseAfterItIsRefused() throws IOException {
        byte[] lines = Files.readAllBytes(FORMS.resolve("texts.jsonl.gz"));
        byte[] both = Arrays.copyOf(lines, lines.length + 4);
        Path file = Files.write(folder.resolve("a.jsonl.gz"), both);
        assertEquals(100, TextDataset.of(file.toString(), offline).documents().size());
        both[lines.length] = 'x';
        Files.write(file, both);
        assertRefused(
                file + " cannot be read: it is not gzip after byte " + lines.length + ".",
                () -> TextDataset.of(file.toString(), offline).documents());
    }

    @Test
    void anIdIsFoundInTheHubsLayout() throws IOException {
        try (FakeHub hub = new FakeHub()) {
            hub.small("/datasets/a/b/resolve/main/data/train.jsonl", "{\"text\":\"one\"}\n")
                    .small("/datasets/a/b/resolve/main/data/test.jsonl", "{\"text\":\"two\"}\n")
                    .small("/datasets/a/b/resolve/main/README.md", "x");
            Hub online = Hub.of(Map.of("HF_HOME", folder.toString(), "HF_ENDPOINT", hub.endpoint()));
            assertEquals(List.of("one"), TextDataset.of("a/b", online).documents());
            assertEquals(List.of("two"), TextDataset.of("a/b", "test", online).documents());
        }
    }

    private static void assertRefused(String part, Executable read) {
        InputException e = assertThrows(InputException.class, read);
        assertTrue(e.getMessage().toLowerCase(Locale.ROOT).contains(part.toLowerCase(Locale.ROOT)), e.getMessage());
    }

    @Test
    void aReceiversExceptionIsItsOwn() {
        for (String file : List.of("zstd.parquet", "texts.jsonl")) {
            assertEquals(
                    "mine",
                    assertThrows(
                                    IllegalStateException.class,
                                    () -> form(file).forEach(document -> {
                                        throw new IllegalStateException("mine");
                                    }))
                            .getMessage());
        }
    }

    @Test
    void badFilesAreRefusedWithTheirPlace() throws IOException {
        assertRefused("line 2: not JSON", "a.jsonl", "{\"text\":\"one\"}\n{");
        assertRefused("line 1: no field 'text'", "a.jsonl", "{\"txt\":\"one\"}");
        assertRefused("line 1: no field 'text'", "a.jsonl", "{\"text\":5}");
        assertRefused("line 1: field 'text' holds half of a surrogate pair", "a.jsonl", "{\"text\":\"\\ud800\"}");
        assertEquals(List.of("one"), read("b.jsonl", "\ufeff{\"text\":\"one\"}"));
        assertRefused("is empty", "a.jsonl", "");
        assertRefused("is empty", "a.txt", "");
        assertRefused("should end in .parquet", "a.bin", "x");
        assertRefused("Not a Parquet file", "a.parquet", "PAR1 not really");
        byte[] whole = Files.readAllBytes(Path.of("tests/resources/golden/standard_a/dataset.parquet"));
        Path cut = Files.write(folder.resolve("cut.parquet"), Arrays.copyOf(whole, whole.length / 2));
        assertThrows(
                InputException.class,
                () -> TextDataset.of(cut.toString(), offline).documents());
        byte[] damaged = whole.clone();
        for (int i = 1000; i < 3000; i++) damaged[i] ^= 0x55;
        Path other = Files.write(folder.resolve("damaged.parquet"), damaged);
        assertThrows(
                InputException.class,
                () -> TextDataset.of(other.toString(), offline).documents());
        assertThrows(
                InputException.class,
                () -> TextDataset.of(folder.resolve("absent.parquet").toString(), offline));
        assertThrows(InputException.class, () -> TextDataset.of("owner/name", offline));
        Files.write(folder.resolve("latin.txt"), new byte[] {'a', (byte) 0xe9, 'b'});
        InputException e = assertThrows(
                InputException.class,
                () -> TextDataset.of(folder.resolve("latin.txt").toString(), offline)
                        .documents());
        assertTrue(e.getMessage().contains("not UTF-8"), e.getMessage());
    }
}
