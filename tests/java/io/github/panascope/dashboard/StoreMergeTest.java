package io.github.panascope.dashboard;

import static io.github.panascope.dashboard.StoreFixture.D_IN;
import static io.github.panascope.dashboard.StoreFixture.FEATURES;
import static io.github.panascope.dashboard.StoreFixture.IDENTITY;
import static io.github.panascope.dashboard.StoreFixture.add;
import static io.github.panascope.dashboard.StoreFixture.assertRefused;
import static io.github.panascope.dashboard.StoreFixture.files;
import static io.github.panascope.dashboard.StoreFixture.filled;
import static io.github.panascope.dashboard.StoreFixture.open;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Folders of features that are merged, that cannot be written, and that are being written. */
class StoreMergeTest {
    @TempDir
    private Path folder;

    @Test
    void partsOfSomethingElseAreNotMerged() throws IOException {
        Path one = filled(folder, "one");
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
        Path filled = filled(folder, "one");
        Files.delete(filled.resolve("lock"));
        Files.createDirectory(filled.resolve("lock"));
        List<Path> before = files(filled, "*");
        try (FeatureStore store = open(folder, "one")) {
            assertEquals(2, store.shards().size());
            assertRefused(
                    "one cannot be written: collect into another folder, and merge the two", store::requireWritable);
            assertRefused("one cannot be written", () -> store.merge(List.of(filled(folder, "two"))));
        }
        assertEquals(before, files(filled, "*"));
        assertRefused(
                "model is one there and two here",
                () -> FeatureStore.open(
                        filled, new StoreIdentity(Map.of("hook", "here", "model", "two")), FEATURES, D_IN));
        Files.createDirectories(folder.resolve("empty/lock"));
        assertRefused("empty cannot be used", () -> open(folder, "empty"));
    }

    /** The merged folder can be written to, whatever the permissions of its parts. */
    @Test
    void foldersThatCannotBeWrittenCanBeMerged() throws IOException {
        Path filled = filled(folder, "one");
        for (Path file : files(filled, "*"))
            Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("r--r--r--"));
        FeatureStore.merged(folder.resolve("merged"), List.of(filled)).close();
        for (Path file : files(folder.resolve("merged"), "*"))
            assertTrue(Files.getPosixFilePermissions(file).contains(PosixFilePermission.OWNER_WRITE), file.toString());
    }

    @Test
    void aFolderThatIsBeingWrittenIsNeitherOpenedNorMerged() {
        filled(folder, "one");
        try (FeatureStore store = open(folder, "two")) {
            add(store, 6, 8);
            assertRefused("two is being written by another process", () -> open(folder, "two"));
            assertRefused(
                    "two is being written",
                    () -> FeatureStore.merged(
                            folder.resolve("merged"), List.of(folder.resolve("one"), folder.resolve("two"))));
            assertRefused("cannot be merged into itself", () -> store.merge(List.of(folder.resolve("two"))));
        }
        FeatureStore.merged(folder.resolve("merged"), List.of(folder.resolve("one"), folder.resolve("two")))
                .close();
        open(folder, "two").close();
    }
}
