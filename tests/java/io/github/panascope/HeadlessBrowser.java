package io.github.panascope;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.logging.Level;
import org.openqa.selenium.OutputType;
import org.openqa.selenium.chrome.ChromeDriver;
import org.openqa.selenium.chrome.ChromeDriverService;
import org.openqa.selenium.chrome.ChromeOptions;
import org.openqa.selenium.logging.LogEntry;
import org.openqa.selenium.logging.LogType;
import org.openqa.selenium.logging.LoggingPreferences;

/** A headless Chromium without a network, in which pages are tried. */
public final class HeadlessBrowser implements AutoCloseable {
    public final ChromeDriver driver;

    private HeadlessBrowser(ChromeDriver driver) {
        this.driver = driver;
    }

    /** Starts a browser. Where there is none, the calling test is skipped. */
    public static HeadlessBrowser start() {
        Path chromium = onPath("chromium");
        Path chromedriver = onPath("chromedriver");
        assumeTrue(chromium != null, "no chromium found (apt install chromium)");
        assumeTrue(chromedriver != null, "no chromedriver found (apt install chromium-driver)");
        ChromeOptions options = new ChromeOptions();
        options.setBinary(chromium.toFile());
        options.addArguments(
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--window-size=1500,1300",
                "--host-resolver-rules=MAP * ~NOTFOUND");
        LoggingPreferences logs = new LoggingPreferences();
        logs.enable(LogType.BROWSER, Level.ALL);
        options.setCapability("goog:loggingPrefs", logs);
        ChromeDriver driver = new ChromeDriver(
                new ChromeDriverService.Builder()
                        .usingDriverExecutable(chromedriver.toFile())
                        .build(),
                options);
        driver.manage().timeouts().scriptTimeout(Duration.ofSeconds(60));
        return new HeadlessBrowser(driver);
    }

    private static Path onPath(String name) {
        return Arrays.stream(System.getenv("PATH").split(":"))
                .map(place -> Path.of(place, name))
                .filter(Files::isExecutable)
                .findFirst()
                .orElse(null);
    }

    public void open(String address) {
        driver.get("about:blank");
        driver.get(address);
    }

    public Object script(String code) {
        return driver.executeScript(code);
    }

    public void waitFor(String condition) {
        for (int i = 0; i < 200; i++) {
            Object value = script("return " + condition);
            if (value != null && !value.equals(false)) return;
            try {
                Thread.sleep(25);
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }
        throw new AssertionError(condition + " never held; the browser says "
                + driver.manage().logs().get(LogType.BROWSER).getAll());
    }

    /** Nothing was said on the console, and nothing was asked for. */
    public void assertQuiet() {
        List<LogEntry> said = driver.manage().logs().get(LogType.BROWSER).getAll();
        assertTrue(said.isEmpty(), said.toString());
        assertEquals(0L, script("return performance.getEntriesByType('resource').length"), "requests");
    }

    /** light, dark, or the browser's own. */
    public void colours(String scheme) {
        driver.executeCdpCommand(
                "Emulation.setEmulatedMedia",
                Map.of(
                        "features",
                        scheme.isEmpty()
                                ? List.of()
                                : List.of(Map.of("name", "prefers-color-scheme", "value", scheme))));
    }

    /** axe-core finds nothing. */
    public void assertAccessible(String what) {
        try (InputStream in = HeadlessBrowser.class.getResourceAsStream("/axe.min.js")) {
            script(new String(in.readAllBytes(), StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        Object found = driver.executeAsyncScript(
                "const done = arguments[arguments.length - 1]; axe.run(document).then(r => done(r.violations.map(v =>"
                    + " v.id + ': ' + v.nodes.map(n => n.html + ' ' + n.failureSummary).slice(0, 3).join(' | '))))");
        assertEquals(List.of(), found, what);
    }

    /** Kept in target, to be looked at. */
    public void screenshot(String name) {
        try {
            Files.write(Path.of("target/" + name + ".png"), driver.getScreenshotAs(OutputType.BYTES));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void close() {
        driver.quit();
    }
}
