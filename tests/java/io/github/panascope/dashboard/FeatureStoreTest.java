package io.github.panascope.dashboard;

import static io.github.panascope.dashboard.StoreFixture.D_IN;
import static io.github.panascope.dashboard.StoreFixture.add;
import static io.github.panascope.dashboard.StoreFixture.assertRefused;
import static io.github.panascope.dashboard.StoreFixture.files;
import static io.github.panascope.dashboard.StoreFixture.filled;
import static io.github.panascope.dashboard.StoreFixture.open;
import static io.github.panascope.dashboard.StoreFixture.row;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Folders of features by themselves: what is believed of them, what is removed, and what is refused. Nothing here needs
 * a model.
 */
class FeatureStoreTest {
    @TempDir
    private Path folder;

    /** Checks that every way into a folder refuses it. */
    private void assertRefusedEverywhere(String part, String name) {
        assertRefused(part, () -> open(folder, name));
        assertRefused(part, () -> FeatureStore.read(folder.resolve(name)));
        assertRefused(part, () -> FeatureStore.merged(folder.resolve(name + "-merged"), List.of(folder.resolve(name))));
    }

    @Test
    void aShardThatIsNotCommittedLeavesTheSumsAsTheyWere() {
        try (FeatureStore store = open(folder, "store")) {
            try (FeatureStore.Shard shard = store.begin()) {
                shard.sums().addNeurons(new double[] {7, 7}, new double[] {49, 49});
                assertThrows(IllegalStateException.class, store::begin);
            }
            assertEquals(0, store.sums().y(0));
            add(store, 0, 4);
            try (FeatureStore.Shard shard = store.begin()) {
                shard.sums().addNeurons(new double[] {7, 7}, new double[] {49, 49});
            }
            add(store, 4, 6);
            assertEquals(15, store.sums().y(0));
            assertEquals(6, store.rows());
        }
        try (FeatureStore store = open(folder, "store")) {
            assertEquals(15, store.sums().y(0));
        }
    }

    @Test
    void whatWasWrittenIsRead() throws IOException {
        Path filled = filled(folder, "one");
        try (FeatureStore store = open(folder, "one")) {
            assertEquals(6, store.rows());
            assertEquals(6, store.end());
            assertEquals(15, store.sums().y(0));
            assertArrayEquals(row(5), store.shards().get(1).tokensOf(1));
        }
        assertEquals(
                List.of("lock", "manifest.json", "rows", "rows", "sums"),
                files(filled, "*").stream()
                        .map(file -> file.getFileName().toString().replaceAll("-.*", ""))
                        .toList());
    }

    @Test
    void onlyRemnantsOfItsOwnAreRemoved() throws IOException {
        Path filled = filled(folder, "one");
        Path own = files(filled, "rows-*").getFirst();
        String id = own.getFileName().toString().replaceAll(".*-|\\.bin", "");
        List<String> remnants = List.of(
                "rows-00000006-00000008-" + id + ".bin",
                "rows-00000006-00000008-" + id + ".bin.part",
                "sums-8-3-" + id + ".bin",
                "sums-8-3-" + id + ".bin.part");
        List<String> foreign = List.of(
                "rows-1.bin",
                "rows-00000006-00000008.bin",
                "rows-00000006-00000008-0123456789abcdef.bin",
                "sums-1.bin.part",
                "sums-8-3.bin",
                ".manifest.json.mine.part",
                "rows-a-" + id + ".bin",
                own.getFileName() + ".bak");
        for (String name : remnants) Files.copy(own, filled.resolve(name));
        for (String name : foreign)
            Files.setLastModifiedTime(
                    Files.copy(own, filled.resolve(name)),
                    FileTime.from(Instant.now().minus(Duration.ofDays(1))));
        open(folder, "one").close();
        for (String name : remnants) assertFalse(Files.exists(filled.resolve(name)), name);
        for (String name : foreign) assertTrue(Files.exists(filled.resolve(name)), name);
        try (FeatureStore store = open(folder, "one")) {
            add(store, 6, 8);
            assertEquals(3, store.shards().size());
        }
    }

    @Test
    void finishedShardsWithoutAManifestAreRefusedAndStay() throws IOException {
        Path filled = filled(folder, "one");
        Files.move(filled.resolve("manifest.json"), folder.resolve("kept.json"));
        List<Path> before = files(filled, "*");
        assertRefused("but no manifest.json, which says what they are of: put it back", () -> open(folder, "one"));
        assertRefused("has no manifest.json", () -> FeatureStore.read(filled));
        assertEquals(before, files(filled, "*"));
        Files.move(folder.resolve("kept.json"), filled.resolve("manifest.json"));
        open(folder, "one").close();
        // Sums alone are hours of work too.
        Path sums = Files.createDirectories(folder.resolve("sums"));
        Files.copy(files(filled, "sums-*").getFirst(), sums.resolve("sums-6-2.bin"));
        assertRefused("but no manifest.json", () -> open(folder, "sums"));
        // Files that only have such names belong to others, and are left alone.
        Path foreign = Files.createDirectories(folder.resolve("foreign"));
        for (String name : List.of("rows-1.bin", "sums-6-2.bin", "rows-00000000-00000004.bin.part"))
            Files.writeString(foreign.resolve(name), "mine");
        try (FeatureStore store = open(folder, "foreign")) {
            add(store, 0, 2);
        }
        for (String name : List.of("rows-1.bin", "sums-6-2.bin", "rows-00000000-00000004.bin.part"))
            assertEquals("mine", Files.readString(foreign.resolve(name)), name);
    }

    /** A process that ends before its first manifest with rows leaves a folder that can be gone on with. */
    @Test
    void aFolderThatEndedInItsFirstShardIsGoneOnWith() throws IOException {
        open(folder, "one").close();
        Path begun = folder.resolve("one");
        String id = JsonMapper.shared()
                .readTree(Files.readString(begun.resolve("manifest.json")))
                .path("id")
                .asString();
        Files.copy(
                files(filled(folder, "other"), "rows-*").getFirst(),
                begun.resolve("rows-00000000-00000004-" + id + ".bin"));
        StoreIdentity another = new StoreIdentity(Map.of("hook", "there"));
        try (FeatureStore store = FeatureStore.open(begun, another, new int[] {7}, D_IN)) {
            assertEquals(0, store.rows());
            assertEquals(another, store.identity());
            assertEquals(0, files(begun, "rows-*").size());
        }
        assertRefused("holds no rows", () -> FeatureStore.read(begun));
    }

    @Test
    void aDamagedManifestIsRefusedInOneSentence() throws IOException {
        Path manifest = filled(folder, "one").resolve("manifest.json");
        String whole = Files.readString(manifest);
        for (String damaged : List.of(
                "",
                " ",
                "{",
                whole.substring(0, whole.length() / 2),
                "\0\0\0",
                whole + "x",
                "[".repeat(5000),
                "[]",
                "3",
                "null",
                whole.replace("\"one\"", "\"two\""))) {
            Files.writeString(manifest, damaged);
            assertRefusedEverywhere("manifest.json is damaged", "one");
        }
        Files.write(manifest, new byte[] {'"', (byte) 0xff, '"'});
        assertRefusedEverywhere("manifest.json is damaged", "one");
        for (String other : List.of("{}", "{\"format\": \"panascope\"}", "{\"format\": 2}")) {
            Files.writeString(manifest, other);
            assertRefused("'format' should be 'panascope features 2'", () -> open(folder, "one"));
        }
        Files.writeString(
                manifest,
                "{\"format\": \"panascope features 1\", \"identity\": {}, \"rows\": [[0, 4,"
                        + " \"rows-00000000-00000004.bin\"]], \"sums\": \"sums-4-1.bin\"}");
        assertRefusedEverywhere("is of another version of panascope, 'panascope features 1'", "one");
        assertEquals(2, files(folder.resolve("one"), "rows-*").size(), "nothing was removed");
        Files.writeString(manifest, JsonMapper.shared().readTree(whole).toString());
        open(folder, "one").close(); // spaces do not matter
    }

    /** Changes a manifest and gives it a checksum that fits, as an edit with good intentions would. */
    private static void rewrite(Path manifest, Consumer<ObjectNode> change) throws IOException {
        ObjectNode json = (ObjectNode) JsonMapper.shared().readTree(Files.readString(manifest));
        change.accept(json);
        json.remove("checksum");
        CRC32C crc = new CRC32C();
        crc.update(json.toString().getBytes(StandardCharsets.UTF_8));
        json.put("checksum", String.format("%08x", crc.getValue()));
        Files.writeString(manifest, json.toString());
    }

    /** Lists of shards that are not those of the folder. */
    private static List<String> badRows(ArrayNode rows) {
        String first = rows.get(0).toString();
        String second = rows.get(1).toString();
        return List.of(
                "[" + first + "]",
                "[" + second + "]",
                "[" + first + "," + first + "," + second + "]",
                "[" + second + "," + first + "]",
                "[]",
                "[[0,6,\"00000000\"]]",
                "3",
                "[3]",
                "[[]]",
                "[" + first + ",[3,6,\"00000000\"]]",
                "[" + first.replace("[0,", "[-1,") + "," + second + "]",
                "[" + first + "," + second.replace("6,", "9223372036854775808,") + "]",
                "[" + first + "," + second.replace("6,", "9223372036854775807,") + "]",
                "[" + first + "," + second.replace("6,", "4,") + "]",
                "[" + first + "," + second.replace("6,", "7,") + "]",
                "[" + first.replace("4,", "4.0,") + "," + second + "]",
                "[" + first.replace("[0,", "[\"0\",") + "," + second + "]",
                "[" + first + "," + second + ",[6,8,\"00000000\"]]",
                "[[0,4," + rows.get(1).get(2) + "],[4,6," + rows.get(0).get(2) + "]]",
                "null");
    }

    @ParameterizedTest(name = "with a checksum that fits: {0}")
    @ValueSource(booleans = {false, true})
    void aManifestWithOtherShardsIsRefused(boolean fits) throws IOException {
        Path manifest = filled(folder, "one").resolve("manifest.json");
        String whole = Files.readString(manifest);
        for (String bad :
                badRows((ArrayNode) JsonMapper.shared().readTree(whole).path("rows"))) {
            Files.writeString(manifest, whole);
            if (fits)
                rewrite(manifest, json -> json.set("rows", JsonMapper.shared().readTree(bad)));
            else
                Files.writeString(
                        manifest,
                        ((ObjectNode) JsonMapper.shared().readTree(whole))
                                .set("rows", JsonMapper.shared().readTree(bad))
                                .toString());
            String message = assertThrows(
                            InputException.class,
                            () -> {
                                try (FeatureStore store = open(folder, "one")) {
                                    store.shards();
                                }
                            },
                            bad)
                    .getMessage();
            assertTrue(message.matches("(?s).*(damaged|missing|lacks).*"), message);
            assertThrows(
                    InputException.class,
                    () -> FeatureStore.merged(folder.resolve("merged"), List.of(folder.resolve("one"))),
                    bad);
        }
        Files.writeString(manifest, whole);
        open(folder, "one").close();
    }

    @ParameterizedTest
    @ValueSource(strings = {"null", "\"00000000\"", "7", "\"../../etc/passwd\""})
    void aManifestWithOtherSumsIsRefused(String sums) throws IOException {
        Path manifest = filled(folder, "one").resolve("manifest.json");
        String whole = Files.readString(manifest);
        rewrite(manifest, json -> json.set("sums", JsonMapper.shared().readTree(sums)));
        assertRefusedEverywhere("damaged", "one");
        Files.writeString(manifest, whole);
        open(folder, "one").close();
    }

    /** Files that are whole, but of another folder or another time. */
    @Test
    void filesOfOtherFoldersAreRefused() throws IOException {
        Path one = filled(folder, "one");
        Path other;
        try (FeatureStore store = open(folder, "other")) {
            add(store, 10, 14);
            add(store, 4, 6);
            other = store.folder();
        }
        for (String kind : List.of("sums-6-2-*", "rows-00000004*")) {
            Path file = files(one, kind).getFirst();
            Path kept = Files.move(file, folder.resolve("kept"), StandardCopyOption.REPLACE_EXISTING);
            assertRefused(file + " is missing", () -> open(folder, "one"));
            Files.copy(
                    files(
                                    kind.startsWith("sums") ? other : filled(folder, kind),
                                    kind.startsWith("sums") ? kind : "rows-00000000*")
                            .getFirst(),
                    file);
            assertRefused(file + " is damaged", () -> {
                try (FeatureStore store = open(folder, "one")) {
                    store.shards();
                }
            });
            Files.move(kept, file, StandardCopyOption.REPLACE_EXISTING);
        }
        Path sums = files(one, "sums-*").getFirst();
        byte[] bytes = Files.readAllBytes(sums);
        for (int at : new int[] {8, 11, 12, 15, 20, bytes.length - 1
        }) { // how many features, how wide, which, and the checksum
            byte[] changed = bytes.clone();
            changed[at] ^= 0x40;
            Files.write(sums, changed);
            assertRefused(sums + " is damaged", () -> open(folder, "one"));
        }
        Files.write(sums, Arrays.copyOf(bytes, bytes.length - 5));
        assertRefused(sums + " is damaged", () -> open(folder, "one"));
    }

    @Test
    void rowsOfOtherTextAreRefused() {
        filled(folder, "one");
        try (FeatureStore store = open(folder, "one")) {
            store.requireSameText(StoreFixture::row, 6);
            store.requireSameText(StoreFixture::row, 1000);
            assertRefused(
                    "holds other text: it has rows up to 5, and this text makes 5 rows",
                    () -> store.requireSameText(StoreFixture::row, 5));
            assertRefused(
                    "holds other text: row 5 has another token at position 2",
                    () -> store.requireSameText(number -> number == 5 ? new int[] {50256, 5, 7} : row(number), 6));
            assertRefused(
                    "holds other text: row 0 has another token at position 3",
                    () -> store.requireSameText(number -> Arrays.copyOf(row(number), 4), 6));
            assertRefused(
                    "holds other text: row 0 has another token at position 2",
                    () -> store.requireSameText(number -> Arrays.copyOf(row(number), 2), 6));
        }
    }
}
