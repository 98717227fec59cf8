package io.github.panascope.hub;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Documents from the three kinds of files. */
class TextDatasetTest {
    @TempDir private Path folder;
    private final Hub offline = Hub.of(Map.of("HF_HOME", "/nonexistent", "HF_HUB_OFFLINE", "1"));

    private List<String> read(String name, String content) throws IOException {
        return TextDataset.of(Files.writeString(folder.resolve(name), content).toString(), offline).documents();
    }

    private void assertRefused(String part, String name, String content) {
        InputException e = assertThrows(InputException.class, () -> read(name, content));
        assertTrue(e.getMessage().contains(part), e.getMessage());
    }

    @Test
    void eachKindOfFileGivesItsDocuments() throws IOException {
        assertEquals(List.of("one", "", "zwei\n🤖"), read("a.jsonl", "{\"text\":\"one\",\"x\":1}\n\n{\"text\":null}\n{\"text\":\"zwei\\n\\ud83e\\udd16\"}\n"));
        assertEquals(List.of("a\nb\n"), read("a.txt", "a\nb\n"));
        List<String> parquet = TextDataset.of("tests/resources/golden/standard_a/dataset.parquet", offline).documents();
        assertEquals(1150, parquet.size());
    }

    @Test
    void badFilesAreRefusedWithTheirPlace() throws IOException {
        assertRefused("line 2: not JSON", "a.jsonl", "{\"text\":\"one\"}\n{");
        assertRefused("line 1: no field 'text'", "a.jsonl", "{\"txt\":\"one\"}");
        assertRefused("line 1: no field 'text'", "a.jsonl", "{\"text\":5}");
        assertRefused("is empty", "a.jsonl", "");
        assertRefused("is empty", "a.txt", "");
        assertRefused("should end in .parquet", "a.bin", "x");
        assertRefused("Not a Parquet file", "a.parquet", "PAR1 not really");
        byte[] whole = Files.readAllBytes(Path.of("tests/resources/golden/standard_a/dataset.parquet"));
        Path cut = Files.write(folder.resolve("cut.parquet"), java.util.Arrays.copyOf(whole, whole.length / 2));
        assertThrows(InputException.class, () -> TextDataset.of(cut.toString(), offline).documents());
        byte[] damaged = whole.clone();
        for (int i = 1000; i < 3000; i++) damaged[i] ^= 0x55;
        Path other = Files.write(folder.resolve("damaged.parquet"), damaged);
        assertThrows(InputException.class, () -> TextDataset.of(other.toString(), offline).documents());
        assertThrows(InputException.class, () -> TextDataset.of(folder.resolve("absent.parquet").toString(), offline));
        assertThrows(InputException.class, () -> TextDataset.of("owner/name", offline));
        Files.write(folder.resolve("latin.txt"), new byte[] {'a', (byte) 0xe9, 'b'});
        InputException e = assertThrows(InputException.class, () -> TextDataset.of(folder.resolve("latin.txt").toString(), offline).documents());
        assertTrue(e.getMessage().contains("not UTF-8"), e.getMessage());
    }
}
