package io.github.panascope.dashboard;

import static io.github.panascope.dashboard.DashboardFixture.CONTEXT;
import static io.github.panascope.dashboard.DashboardFixture.FEATURES;
import static io.github.panascope.dashboard.DashboardFixture.ROWS;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import io.github.panascope.OnEachDevice;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** What does not belong to a folder of features of a model and an SAE is refused. */
@OnEachDevice
class StoreRefusalsTest extends UsesDashboardFixture {

    /** A folder with the features of some rows. */
    private Path filled(String name, int first, int end) {
        try (FeatureStore store = open(name, FEATURES)) {
            fixture.collect(store, first, end, 8, 1);
        }
        return folder.resolve(name);
    }

    private static void assertRefused(String part, Executable action) {
        String message = assertThrows(InputException.class, action).getMessage();
        assertTrue(message.contains(part), message);
    }

    @Test
    void aSecondWriterIsRefused() {
        try (FeatureStore store = open("one", FEATURES)) {
            fixture.collect(store, 0, 8, 8, 1);
            assertRefused("another process", () -> open("one", FEATURES));
        }
    }

    @Test
    void otherFeaturesAreRefused() {
        filled("one", 0, 8);
        assertRefused("other features", () -> open("one", 0, 1));
    }

    @Test
    void otherTextAndOtherWeightsAreNamed() {
        Path filled = filled("one", 0, 8);
        StoreIdentity other = StoreIdentity.of(fixture.model, fixture.loaded, "another text", CONTEXT);
        String message = assertThrows(
                        InputException.class,
                        () -> FeatureStore.open(
                                filled, other, FEATURES, fixture.sae.config().dIn()))
                .getMessage();
        assertTrue(
                message.contains("text is test there and another text here") && message.contains("weights is"),
                message);
    }

    @Test
    void rowsThatAreThereAreNotMergedAgain() {
        Path filled = filled("one", 0, 8);
        try (FeatureStore store = open("two", FEATURES)) {
            fixture.collect(store, 4, 12, 8, 1);
            assertRefused("are there already", () -> store.merge(List.of(filled)));
            assertEquals(8, store.rows(), "nothing was merged");
        }
    }

    @Test
    void rowsOfOtherTokensAreNamed() {
        try (FeatureStore store = open("two", FEATURES)) {
            fixture.collect(store, 4, 12, 8, 1);
            assertRefused("other text: row 4", () -> store.requireSameText(row -> new int[CONTEXT], ROWS));
        }
    }

    @Test
    void aDamagedShardIsRefused() throws IOException {
        Path shard;
        try (var files = Files.list(filled("one", 0, 8))) {
            shard = files.filter(file -> file.getFileName().toString().startsWith("rows-"))
                    .findFirst()
                    .orElseThrow();
        }
        byte[] bytes = Files.readAllBytes(shard);
        bytes[bytes.length / 2] ^= 1;
        Files.write(shard, bytes);
        try (FeatureStore store = open("one", FEATURES)) {
            assertRefused("damaged", () -> Dashboards.of(fixture.model, fixture.sae, store, DashboardConfig.DEFAULT));
        }
    }

    @Test
    void aFolderThatIsNotThereIsRefused() {
        assertThrows(InputException.class, () -> FeatureStore.read(folder.resolve("none")));
    }
}
