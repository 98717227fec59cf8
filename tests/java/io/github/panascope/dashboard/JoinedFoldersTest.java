package io.github.panascope.dashboard;

import static io.github.panascope.dashboard.StoreFixture.assertRefused;
import static io.github.panascope.dashboard.StoreFixture.files;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Folders that are read as one, against one folder with all rows. */
class JoinedFoldersTest {
    private static final int D_IN = 5;
    private static final int CONTEXT = 3;
    private static final int[] FEATURES = {1, 4, 5, 9, 12, 40};
    private static final SyntheticStore ROWS = store("one", FEATURES);

    @TempDir
    private Path folder;

    private Path one, two, three;

    private static SyntheticStore store(String model, int[] features) {
        return new SyntheticStore(new StoreIdentity(Map.of("hook", "here", "model", model)), features, D_IN, CONTEXT);
    }

    @BeforeEach
    void fill() {
        one = filled("one", 0, 7, 3);
        two = filled("two", 7, 9, 3);
        three = filled("three", 9, 20, 4);
    }

    private Path filled(String name, int first, int end, int shardRows) {
        ROWS.add(folder.resolve(name), first, end, shardRows);
        return folder.resolve(name);
    }

    @Test
    void rowsAndSumsAreThoseOfOneFolder() {
        List<Path> folders = new ArrayList<>(List.of(one, two, three));
        Collections.shuffle(folders);
        Path whole = filled("whole", 0, 20, 20);
        try (FeatureStore expected = FeatureStore.read(whole);
                FeatureStore joined = FeatureStore.readJoined(folders)) {
            assertEquals(20, joined.rows());
            assertEquals(20, joined.end());
            assertEquals(expected.identity(), joined.identity());
            assertEquals(
                    List.of(0L, 3L, 6L, 7L, 9L, 13L, 17L),
                    joined.shards().stream().map(shard -> shard.firstRow).toList());
            ActivationShard all = expected.shards().getFirst();
            joined.requireSameText(row -> all.tokensOf((int) row), 20);
            assertRefused(
                    "the 3 folders from " + folders.getFirst() + " to " + folders.getLast()
                            + " holds other text: row 9",
                    () -> joined.requireSameText(row -> row == 9 ? new int[CONTEXT] : all.tokensOf((int) row), 20));
            for (int[] wanted : List.of(FEATURES, new int[] {4, 12}, new int[] {40}, new int[0]))
                assertSameSums(wanted, expected.sums(), joined.sumsByFeatures().apply(wanted));
            assertSame(expected.sums(), expected.sumsByFeatures().apply(new int[] {4}), "nothing is copied");
        }
    }

    private static void assertSameSums(int[] wanted, NeuronCorrelationSums expected, NeuronCorrelationSums found) {
        assertEquals(
                IntStream.of(wanted).boxed().toList(),
                IntStream.of(found.features()).boxed().toList());
        for (int j = 0; j < D_IN; j++) {
            assertEquals(expected.y(j), found.y(j));
            assertEquals(expected.ySquared(j), found.ySquared(j));
            for (int feature : wanted)
                assertEquals(expected.xy(expected.place(feature), j), found.xy(found.place(feature), j));
        }
    }

    @Test
    void foldersThatDoNotBelongTogetherAreRefused() {
        Path other = folder.resolve("other");
        store("two", FEATURES).add(other, 20, 22, 2);
        assertRefused("other cannot be joined: model is two there and one here", () -> join(one, other));
        Path fewer = folder.resolve("fewer");
        store("one", new int[] {1, 4, 5, 9}).add(fewer, 20, 22, 2);
        assertRefused(
                "fewer cannot be joined: it was made for other features, 4 features, 1 to 9 there and 6 features, 1 to"
                        + " 40 in " + one,
                () -> join(one, fewer));
        assertRefused("is named twice", () -> join(one, folder.resolve(".").resolve("one")));
        Path overlapping = filled("overlapping", 6, 8, 2);
        assertRefused("overlapping cannot be joined: its rows 6 to 7 are there already", () -> join(one, overlapping));
        assertRefused("overlapping cannot be joined: its rows 6 to 7 are there already", () -> join(two, overlapping));
        assertRefused("none holds no features", () -> join(one, folder.resolve("none")));
        store("one", FEATURES).add(folder.resolve("empty"), 0, 0, 1);
        assertRefused("empty holds no rows", () -> join(one, folder.resolve("empty")));
        assertThrows(IllegalArgumentException.class, () -> FeatureStore.readJoined(List.of()));
    }

    private static FeatureStore join(Path... folders) {
        return FeatureStore.readJoined(List.of(folders));
    }

    @Test
    void gapsAreRefusedWhereShardsAreRead() {
        try (FeatureStore joined = join(three, one)) {
            assertEquals(18, joined.rows());
            assertRefused(
                    "the 2 folders from " + three + " to " + one + " lacks rows 7 to 8: collect or merge them first",
                    joined::shards);
            assertRefused("cannot be written: collect into another folder", () -> joined.merge(List.of(two)));
        }
    }

    /** One byte of each file, also of sums of features that no call asks for. */
    @Test
    void damageIsRefused() throws IOException {
        Random random = new Random(3);
        for (Path sums : files(two, "sums-*.bin")) {
            byte[] bytes = Files.readAllBytes(sums);
            for (int at : random.ints(20, 24, bytes.length).toArray()) {
                byte[] damaged = bytes.clone();
                damaged[at] ^= 1;
                Files.write(sums, damaged);
                assertRefused("damaged", () -> join(one, two));
            }
            Files.write(sums, Arrays.copyOf(bytes, bytes.length - 1));
            assertRefused("damaged", () -> join(one, two));
            Files.write(sums, bytes);
            try (FeatureStore joined = join(one, two)) {
                Files.delete(sums);
                assertRefused("is missing", () -> joined.sumsByFeatures().apply(FEATURES));
            }
            assertRefused("is missing", () -> join(one, two));
            Files.write(sums, bytes);
        }
        for (Path shard : files(two, "rows-*.bin")) {
            byte[] bytes = Files.readAllBytes(shard);
            bytes[bytes.length / 2] ^= 1;
            Files.write(shard, bytes);
        }
        try (FeatureStore joined = join(one, two)) {
            assertRefused("damaged", joined::shards);
        }
    }
}
