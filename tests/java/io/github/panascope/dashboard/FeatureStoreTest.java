package io.github.panascope.dashboard;

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
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Folders of features by themselves: what is believed of them, what is removed, and what is refused. Nothing here needs
 * a model.
 */
class FeatureStoreTest {
    private static final StoreIdentity IDENTITY = new StoreIdentity(Map.of("hook", "here", "model", "one"));
    private static final int[] FEATURES = {1, 4};
    private static final int CONTEXT = 3;
    private static final int D_IN = 2;

    @TempDir
    private Path folder;

    private FeatureStore open(String name) {
        return FeatureStore.open(folder.resolve(name), IDENTITY, FEATURES, D_IN);
    }

    private static int[] row(long number) {
        return new int[] {50256, (int) number, (int) number + 1};
    }

    /** Adds rows of which every position has one feature. */
    private static void add(FeatureStore store, int first, int end) {
        int positions = (end - first) * CONTEXT;
        int[] tokens = new int[positions];
        int[] ones = new int[positions];
        Arrays.fill(ones, 1);
        try (FeatureStore.Shard shard = store.begin()) {
            for (int r = first; r < end; r++) {
                System.arraycopy(row(r), 0, tokens, (r - first) * CONTEXT, CONTEXT);
                shard.sums().addNeurons(new double[] {r, 1}, new double[] {r * r, 1});
            }
            shard.commit(
                    first,
                    end,
                    List.of(new ActivationShard.Part(
                            tokens, new float[positions], ones, ones, new float[positions], positions, positions)),
                    CONTEXT);
        }
    }

    /** A folder with two shards. */
    private Path filled(String name) {
        try (FeatureStore store = open(name)) {
            add(store, 0, 4);
            add(store, 4, 6);
        }
        return folder.resolve(name);
    }

    private static List<Path> files(Path folder, String glob) throws IOException {
        try (var files = Files.newDirectoryStream(folder, glob)) {
            List<Path> found = new ArrayList<>();
            files.forEach(found::add);
            return found.stream().sorted().toList();
        }
    }

    private static void assertRefused(String part, Executable action) {
        String message = assertThrows(InputException.class, action).getMessage();
        assertTrue(message.contains(part), message);
        assertEquals(1, message.lines().count(), message);
        for (String internal : List.of("jackson", "Source:", "null", "Exception"))
            assertFalse(message.contains(internal), message);
    }

    /** Every way into a folder. */
    private void assertRefusedEverywhere(String part, String name) {
        assertRefused(part, () -> open(name));
        assertRefused(part, () -> FeatureStore.read(folder.resolve(name)));
        assertRefused(part, () -> FeatureStore.merged(folder.resolve(name + "-merged"), List.of(folder.resolve(name))));
    }

    @Test
    void aShardThatIsNotCommittedLeavesTheSumsAsTheyWere() {
        try (FeatureStore store = open("store")) {
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
        try (FeatureStore store = open("store")) {
            assertEquals(15, store.sums().y(0));
        }
    }

    @Test
    void whatWasWrittenIsRead() throws IOException {
        Path filled = filled("one");
        try (FeatureStore store = open("one")) {
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
        Path filled = filled("one");
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
        open("one").close();
        for (String name : remnants) assertFalse(Files.exists(filled.resolve(name)), name);
        for (String name : foreign) assertTrue(Files.exists(filled.resolve(name)), name);
        try (FeatureStore store = open("one")) {
            add(store, 6, 8);
            assertEquals(3, store.shards().size());
        }
    }

    @Test
    void finishedShardsWithoutAManifestAreRefusedAndStay() throws IOException {
        Path filled = filled("one");
        Files.move(filled.resolve("manifest.json"), folder.resolve("kept.json"));
        List<Path> before = files(filled, "*");
        assertRefused("but no manifest.json, which says what they are of: put it back", () -> open("one"));
        assertRefused("has no manifest.json", () -> FeatureStore.read(filled));
        assertEquals(before, files(filled, "*"));
        Files.move(folder.resolve("kept.json"), filled.resolve("manifest.json"));
        open("one").close();
        // Sums alone are hours of work too.
        Path sums = Files.createDirectories(folder.resolve("sums"));
        Files.copy(files(filled, "sums-*").getFirst(), sums.resolve("sums-6-2.bin"));
        assertRefused("but no manifest.json", () -> open("sums"));
        // Files that only have such names stay as they are.
        Path foreign = Files.createDirectories(folder.resolve("foreign"));
        for (String name : List.of("rows-1.bin", "sums-6-2.bin", "rows-00000000-00000004.bin.part"))
            Files.writeString(foreign.resolve(name), "mine");
        try (FeatureStore store = open("foreign")) {
            add(store, 0, 2);
        }
        for (String name : List.of("rows-1.bin", "sums-6-2.bin", "rows-00000000-00000004.bin.part"))
            assertEquals("mine", Files.readString(foreign.resolve(name)), name);
    }

    /** A process that ends before its first manifest with rows leaves a folder that can be gone on with. */
    @Test
    void aFolderThatEndedInItsFirstShardIsGoneOnWith() throws IOException {
        open("one").close();
        Path begun = folder.resolve("one");
        String id = JsonMapper.shared()
                .readTree(Files.readString(begun.resolve("manifest.json")))
                .path("id")
                .asString();
        Files.copy(files(filled("other"), "rows-*").getFirst(), begun.resolve("rows-00000000-00000004-" + id + ".bin"));
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
        Path manifest = filled("one").resolve("manifest.json");
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
            assertRefused("'format' should be 'panascope features 2'", () -> open("one"));
        }
        Files.writeString(
                manifest,
                "{\"format\": \"panascope features 1\", \"identity\": {}, \"rows\": [[0, 4,"
                        + " \"rows-00000000-00000004.bin\"]], \"sums\": \"sums-4-1.bin\"}");
        assertRefusedEverywhere("is of another version of panascope, 'panascope features 1'", "one");
        assertEquals(2, files(folder.resolve("one"), "rows-*").size(), "nothing was removed");
        Files.writeString(manifest, JsonMapper.shared().readTree(whole).toString());
        open("one").close(); // spaces do not matter
    }

    /** Changes a manifest and gives it the checksum of its new content, like a careful edit by hand. */
    private static void rewrite(Path manifest, Consumer<ObjectNode> change) throws IOException {
        ObjectNode json = (ObjectNode) JsonMapper.shared().readTree(Files.readString(manifest));
        change.accept(json);
        json.remove("checksum");
        CRC32C crc = new CRC32C();
        crc.update(json.toString().getBytes(StandardCharsets.UTF_8));
        json.put("checksum", String.format("%08x", crc.getValue()));
        Files.writeString(manifest, json.toString());
    }

    @Test
    void aManifestThatDoesNotFitItsFilesIsRefused() throws IOException {
        Path manifest = filled("one").resolve("manifest.json");
        String whole = Files.readString(manifest);
        ArrayNode rows = (ArrayNode) JsonMapper.shared().readTree(whole).path("rows");
        String first = rows.get(0).toString();
        String second = rows.get(1).toString();
        List<String> bad = List.of(
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
        for (String each : bad) {
            for (boolean fits : new boolean[] {false, true}) {
                Files.writeString(manifest, whole);
                if (fits)
                    rewrite(
                            manifest,
                            json -> json.set("rows", JsonMapper.shared().readTree(each)));
                else
                    Files.writeString(
                            manifest,
                            ((ObjectNode) JsonMapper.shared().readTree(whole))
                                    .set("rows", JsonMapper.shared().readTree(each))
                                    .toString());
                String message = assertThrows(
                                InputException.class,
                                () -> {
                                    try (FeatureStore store = open("one")) {
                                        store.shards();
                                    }
                                },
                                each)
                        .getMessage();
                assertTrue(message.matches("(?s).*(damaged|missing|lacks).*"), message);
                assertThrows(
                        InputException.class,
                        () -> FeatureStore.merged(folder.resolve("merged"), List.of(folder.resolve("one"))),
                        each);
            }
        }
        for (String sums : List.of("null", "\"00000000\"", "7", "\"../../etc/passwd\"")) {
            Files.writeString(manifest, whole);
            rewrite(manifest, json -> json.set("sums", JsonMapper.shared().readTree(sums)));
            assertRefusedEverywhere("damaged", "one");
        }
        Files.writeString(manifest, whole);
        open("one").close();
    }

    /** Files that are whole, but of another folder or another time. */
    @Test
    void filesOfOtherFoldersAreRefused() throws IOException {
        Path one = filled("one");
        Path other;
        try (FeatureStore store = open("other")) {
            add(store, 10, 14);
            add(store, 4, 6);
            other = store.folder();
        }
        for (String kind : List.of("sums-6-2-*", "rows-00000004*")) {
            Path file = files(one, kind).getFirst();
            Path kept = Files.move(file, folder.resolve("kept"), StandardCopyOption.REPLACE_EXISTING);
            assertRefused(file + " is missing", () -> open("one"));
            Files.copy(
                    files(
                                    kind.startsWith("sums") ? other : filled(kind),
                                    kind.startsWith("sums") ? kind : "rows-00000000*")
                            .getFirst(),
                    file);
            assertRefused(file + " is damaged", () -> {
                try (FeatureStore store = open("one")) {
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
            assertRefused(sums + " is damaged", () -> open("one"));
        }
        Files.write(sums, Arrays.copyOf(bytes, bytes.length - 5));
        assertRefused(sums + " is damaged", () -> open("one"));
    }

    @Test
    void rowsOfOtherTextAreRefused() {
        filled("one");
        try (FeatureStore store = open("one")) {
            store.requireSameText(FeatureStoreTest::row, 6);
            store.requireSameText(FeatureStoreTest::row, 1000);
            assertRefused(
                    "holds other text: it has rows up to 5, and this text makes 5 rows",
                    () -> store.requireSameText(FeatureStoreTest::row, 5));
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

    @Test
    void partsOfSomethingElseAreNotMerged() throws IOException {
        Path one = filled("one");
        try (FeatureStore store = FeatureStore.open(
                folder.resolve("other"), new StoreIdentity(Map.of("hook", "here", "model", "two")), FEATURES, D_IN)) {
            add(store, 6, 8);
        }
        assertRefused(
                "other cannot be merged: model is two there and one here",
                () -> FeatureStore.merged(folder.resolve("merged"), List.of(one, folder.resolve("other"))));
        try (FeatureStore store = FeatureStore.open(folder.resolve("features"), IDENTITY, new int[] {1, 5}, D_IN)) {
            add(store, 6, 8);
        }
        assertRefused(
                "features cannot be merged: it was made for other features",
                () -> FeatureStore.merged(folder.resolve("merged"), List.of(one, folder.resolve("features"))));
        assertRefused(
                "is named twice",
                () -> FeatureStore.merged(
                        folder.resolve("merged"),
                        List.of(one, folder.resolve(".").resolve("one"))));
        try (FeatureStore merged = FeatureStore.merged(folder.resolve("merged"), List.of(one))) {
            assertEquals(6, merged.rows());
            assertEquals(15, merged.sums().y(0));
            assertEquals(2, merged.shards().size());
        }
    }

    /** Root may write anywhere: so it is the lock that cannot be opened. */
    @Test
    void aFolderThatCannotBeWrittenIsShownAndNotAddedTo() throws IOException {
        Path filled = filled("one");
        Files.delete(filled.resolve("lock"));
        Files.createDirectory(filled.resolve("lock"));
        List<Path> before = files(filled, "*");
        try (FeatureStore store = open("one")) {
            assertEquals(2, store.shards().size());
            assertRefused(
                    "one cannot be written: collect into another folder, and merge the two", store::requireWritable);
            assertRefused("one cannot be written", () -> store.merge(List.of(filled("two"))));
        }
        assertEquals(before, files(filled, "*"));
        assertRefused(
                "model is one there and two here",
                () -> FeatureStore.open(
                        filled, new StoreIdentity(Map.of("hook", "here", "model", "two")), FEATURES, D_IN));
        Files.createDirectories(folder.resolve("empty/lock"));
        assertRefused("empty cannot be used", () -> open("empty"));
    }

    /** What comes of it can be written to, whatever it was made of. */
    @Test
    void foldersThatCannotBeWrittenCanBeMerged() throws IOException {
        Path filled = filled("one");
        for (Path file : files(filled, "*"))
            Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("r--r--r--"));
        FeatureStore.merged(folder.resolve("merged"), List.of(filled)).close();
        for (Path file : files(folder.resolve("merged"), "*"))
            assertTrue(Files.getPosixFilePermissions(file).contains(PosixFilePermission.OWNER_WRITE), file.toString());
    }

    @Test
    void aFolderThatIsBeingWrittenIsNeitherOpenedNorMerged() {
        filled("one");
        try (FeatureStore store = open("two")) {
            add(store, 6, 8);
            assertRefused("two is being written by another process", () -> open("two"));
            assertRefused(
                    "two is being written",
                    () -> FeatureStore.merged(
                            folder.resolve("merged"), List.of(folder.resolve("one"), folder.resolve("two"))));
            assertRefused("cannot be merged into itself", () -> store.merge(List.of(folder.resolve("two"))));
        }
        FeatureStore.merged(folder.resolve("merged"), List.of(folder.resolve("one"), folder.resolve("two")))
                .close();
        open("two").close();
    }
}
