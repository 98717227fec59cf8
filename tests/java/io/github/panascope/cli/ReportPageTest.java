package io.github.panascope.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.HeadlessBrowser;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.openqa.selenium.By;

/** The tutorial's pages in a browser, with their links. */
class ReportPageTest {
    @TempDir
    private Path folder;

    @Test
    void allNumbersAndPlotsStandTogetherAndLeadToTheDashboards() {
        try (HeadlessBrowser browser = HeadlessBrowser.start()) {
            assertEquals(
                    0,
                    Main.run(
                            "tutorial",
                            "--rows",
                            "4",
                            "--dashboard-rows",
                            "16",
                            "--features",
                            "0-4",
                            "--out",
                            folder.toString(),
                            "--quiet"));
            for (String scheme : new String[] {"light", "dark"}) {
                browser.colours(scheme);
                browser.open(folder.resolve("index.html").toUri().toString());
                browser.waitFor("document.querySelector('.uplot')");
                browser.assertAccessible("the report, " + scheme);
                browser.screenshot("report-" + scheme);
            }
            String text = browser.driver.findElement(By.tagName("body")).getText();
            for (String part : new String[] {
                "L0", "Reconstructed", "Zero", "Mary", "Dashboards of 5 features over 16 rows", "metrics.json"
            }) assertTrue(text.toLowerCase().contains(part.toLowerCase()), part + " is not in " + text);
            browser.assertQuiet();
            browser.driver
                    .findElement(By.cssSelector("a[href*='demo_feature_dashboards.html#feature=3']"))
                    .click();
            browser.waitFor("document.documentElement.dataset.shown === '3'");
            browser.assertQuiet();
            browser.open(folder.resolve("l0_histogram.html").toUri().toString());
            browser.waitFor("document.querySelector('.uplot')");
            browser.assertAccessible("the histogram");
            browser.assertQuiet();
        }
    }
}
