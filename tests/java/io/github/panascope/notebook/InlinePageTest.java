package io.github.panascope.notebook;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.panascope.HeadlessBrowser;
import io.github.panascope.dashboard.DashboardConfig;
import io.github.panascope.dashboard.Dashboards;
import io.github.panascope.dashboard.FeatureCollector;
import io.github.panascope.dashboard.FeatureStore;
import io.github.panascope.dashboard.StoreIdentity;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.openqa.selenium.By;

/** Dashboards in a frame, as a notebook shows them, in a headless Chromium; skipped where there is none. */
class InlinePageTest {
    private static InlinePage page(Path folder) {
        int[] features = {0, 3, 8};
        try (HookedTransformer model = HookedTransformer.fromPretrained("src/demo/bundle/model");
                Sae sae = Sae.fromPretrained("src/demo/bundle/sae");
                Sae folded = sae.foldWDecNorm();
                FeatureStore store = FeatureStore.open(
                        folder.resolve("features"),
                        StoreIdentity.of(model, folded, "test", 32),
                        features,
                        folded.config().dIn())) {
            int[] ids = model.tokenizer().encode("The dog ran to Paris and said that it was glad. ".repeat(10));
            FeatureCollector.into(store, model, folded)
                    .collect(row -> Arrays.copyOfRange(ids, (int) row * 8, (int) row * 8 + 32), 0, 8);
            Dashboards dashboards = Dashboards.of(model, folded, store, DashboardConfig.DEFAULT);
            return Notebook.dashboards(model, dashboards, features, "Features");
        }
    }

    @Test
    void thePageWorksInItsFrame(@TempDir Path folder) throws Exception {
        try (HeadlessBrowser browser = HeadlessBrowser.start()) {
            Path file = folder.resolve("notebook.html");
            Files.writeString(
                    file,
                    "<!doctype html><title>A notebook</title>" + page(folder).iframe());
            browser.open(file.toUri().toString());
            browser.driver.switchTo().frame(0);
            browser.waitFor("document.documentElement.dataset.shown === '0'");
            browser.driver
                    .findElement(By.cssSelector("#list a[href='#feature=8']"))
                    .click();
            browser.waitFor("document.documentElement.dataset.shown === '8'");
            browser.driver.findElement(By.tagName("body")).sendKeys("k");
            browser.waitFor("document.documentElement.dataset.shown === '3'");
            assertEquals(760L, browser.script("return innerHeight + 2"));
            browser.assertQuiet();
        }
    }

    @Test
    void aPageWithoutHeightIsRefused() {
        assertThrows(IllegalArgumentException.class, () -> new InlinePage("", 0));
    }
}
