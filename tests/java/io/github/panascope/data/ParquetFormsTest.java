package io.github.panascope.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import io.github.panascope.hub.Hub;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** Odd Parquet files of tests/peers/make_datasets.py, and damaged ones. */
class ParquetFormsTest {
    private static final Path FORMS = Path.of("tests/resources/datasets");

    @TempDir
    private Path folder;

    private static TextDataset dataset(Path file) {
        return TextDataset.of(file.toString(), Hub.of(Map.of("HF_HOME", "/nonexistent", "HF_HUB_OFFLINE", "1")));
    }

    private static void assertRefused(String name, String message, Executable read) {
        assertEquals(
                FORMS.resolve(name) + message,
                assertThrows(InputException.class, read).getMessage());
    }

    private static void assertTextRefused(String name, String message) {
        assertRefused(name, message, () -> dataset(FORMS.resolve(name)).documents());
    }

    private static void assertTokensRefused(String name, String message) {
        assertRefused(name, message, () -> dataset(FORMS.resolve(name)).forEachTokens(ids -> {}));
    }

    @Test
    void bytesThatAreNoTextAreRefusedWithTheirRow() {
        for (String name : List.of("latin.parquet", "latin_beside_structure.parquet")) {
            assertTextRefused(name, ": row 3 of column 'text' is not UTF-8 text.");
            List<String> before = new ArrayList<>();
            assertThrows(
                    InputException.class, () -> dataset(FORMS.resolve(name)).forEach(before::add));
            assertEquals(List.of("\ufffd", "naïve"), before, "U+FFFD itself is text");
        }
    }

    @Test
    void textsBetweenNullsAreReadInBothEncodings() {
        List<String> expected = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
            if (i % 3 == 1) expected.add(String.valueOf(i % 50));
            if (i % 3 == 2) expected.add("é🤖".repeat(i % 5));
        }
        for (String form : List.of("dictionary", "plain")) {
            List<String> texts = new ArrayList<>();
            assertEquals(
                    67, dataset(FORMS.resolve("nulls_" + form + ".parquet")).forEach(texts::add));
            assertEquals(expected, texts);
        }
    }

    @Test
    void twoColumnsOfTheNameAreRefused() {
        assertTextRefused(
                "twice.parquet", " has 2 columns of the name 'text': write it again with the one that is meant.");
    }

    @Test
    void aNullInThePlaceOfAListIsRefused() {
        assertTokensRefused(
                "null_list.parquet", ": row 2 of column 'tokens' is null, and should be a list of token ids.");
    }

    @Test
    void unsignedIdsAreNotTakenForNegativeOnes() {
        assertTokensRefused("unsigned_32.parquet", ": column 'tokens' holds 2147483653, which is no token id.");
        assertTokensRefused(
                "unsigned_64.parquet", ": column 'tokens' holds 9223372036854775813, which is no token id.");
    }

    @Test
    void aColumnWithADotInItsNameIsRefused() {
        assertEquals(List.of("c", "d"), dataset(FORMS.resolve("dot.parquet")).documents());
        assertRefused(
                "dot.parquet",
                ": column 'a.text' has a dot in its name, which cannot be read: write it again under another name.",
                () -> dataset(FORMS.resolve("dot.parquet")).column("a.text").documents());
    }

    /** Whatever the library stumbles over, its words about arrays and objects say nothing to a reader of messages. */
    @Test
    void damageIsToldInWordsThatAreNotJavas() throws IOException {
        byte[] whole = Files.readAllBytes(FORMS.resolve("snappy.parquet"));
        Random random = new Random(7);
        int refused = 0;
        for (int i = 0; i < 300; i++) {
            byte[] damaged = whole.clone();
            int at = damaged.length - 8 - random.nextInt(900);
            damaged[at] = (byte) random.nextInt(256);
            Path file = Files.write(folder.resolve("damaged.parquet"), damaged);
            try {
                dataset(file).documents();
            } catch (InputException e) {
                refused++;
                assertFalse(
                        e.getMessage().matches(".*(java\\.|Exception|because \"|out of bounds|cannot be cast).*"),
                        e.getMessage());
            }
        }
        assertTrue(refused > 50, refused + " of 300");
    }

    @Test
    void aJavaThatAllowsNoNativeCodeIsToldHowToStart() {
        Throwable denied = new IllegalCallerException("Illegal native access from module x");
        for (Throwable each : List.of(
                new ExceptionInInitializerError(denied),
                new NoClassDefFoundError("Could not initialize class x").initCause(denied),
                new Error("[FAILED_TO_LOAD_NATIVE_LIBRARY] " + denied.getMessage()))) {
            RuntimeException thrown = ParquetFault.of(Path.of("a.parquet"), each);
            assertEquals(
                    "a.parquet cannot be read, as it is unpacked by native code, which this Java does not allow: start"
                            + " it with " + NativeAccess.OPTION + ".",
                    thrown.getMessage());
            assertEquals(InputException.class, thrown.getClass());
        }
        assertTrue(NativeAccess.OPTION.startsWith("--enable-native-access="));
        assertThrows(OutOfMemoryError.class, () -> ParquetFault.of(Path.of("a"), new OutOfMemoryError("heap")));
    }

    @Test
    void anInterruptedThreadStopsReading() throws IOException {
        Path lines = Files.writeString(folder.resolve("a.jsonl"), "{\"text\":\"a\"}\n".repeat(10));
        Path packed = Files.copy(FORMS.resolve("texts.jsonl.gz"), folder.resolve("b.jsonl.gz"));
        for (Path file : List.of(FORMS.resolve("zstd.parquet"), lines, packed)) {
            List<String> seen = new ArrayList<>();
            RunInterruptedException e;
            try {
                e = assertThrows(
                        RunInterruptedException.class,
                        () -> dataset(file).forEach(text -> {
                            seen.add(text);
                            Thread.currentThread().interrupt();
                        }));
            } finally {
                assertTrue(Thread.interrupted(), "the status is kept");
            }
            assertEquals("interrupted while reading " + file, e.getMessage());
            assertEquals(1, seen.size());
            Thread.currentThread().interrupt();
            try {
                assertThrows(RunInterruptedException.class, () -> dataset(file).isTokenized());
            } finally {
                assertTrue(Thread.interrupted());
            }
        }
    }
}
