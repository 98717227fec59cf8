package io.github.panascope.dashboard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.HeadlessBrowser;
import io.github.panascope.dashboard.FeatureDashboard.Ablation;
import io.github.panascope.dashboard.FeatureDashboard.Entry;
import io.github.panascope.dashboard.FeatureDashboard.Sequence;
import io.github.panascope.dashboard.FeatureDashboard.SequenceGroup;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.Tokenizer;
import io.github.panascope.torch.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.openqa.selenium.By;
import org.openqa.selenium.Keys;
import org.openqa.selenium.WebElement;
import org.openqa.selenium.interactions.Actions;

/** The page in a headless Chromium without a network; skipped where there is none. */
class DashboardPageTest {
    private static final Tokenizer TOKENIZER = Tokenizer.gpt2();
    private static final String EVIL = "<img src=x onerror=alert(1)></script><script>alert(2)</script> & \"quoted\"";

    @TempDir
    private static Path folder;

    private static HeadlessBrowser browser;

    @BeforeAll
    static void start() {
        browser = HeadlessBrowser.start();
    }

    @AfterAll
    static void end() {
        if (browser != null) browser.close();
    }

    // ------------------------------------------------------------------------------------------------- pages

    private static FeatureDashboard feature(int number, String text, boolean ablation) {
        Random random = new Random(number);
        if (number % 7 == 6) {
            return new FeatureDashboard(
                    number,
                    new FeatureDashboard.Statistics(1000, 0, 0, 0, 0, 0, 0, 0, Double.NaN, Double.NaN, new double[0]),
                    new FeatureDashboard.Tables(List.of(new Entry(1, .1, .2)), List.of(), List.of()),
                    Histogram.of(new float[0], 0, 50),
                    null,
                    null,
                    List.of());
        }
        int[] tokens = Arrays.copyOf(TOKENIZER.encode(text), 11);
        List<SequenceGroup> groups = new ArrayList<>();
        for (int g = 0; g < 11; g++) {
            List<Sequence> sequences = new ArrayList<>();
            for (int s = 0; s < (g == 0 ? 20 : 5); s++) {
                float[] activations = new float[11];
                for (int i = 0; i < 11; i++) activations[i] = i == 5 ? 3 - g * .25f : random.nextFloat();
                Ablation found = ablation
                        ? new Ablation(
                                new float[] {0, .1f, -.2f, 0, 0, .5f, -.7f, 0, 0, 0, 0},
                                new float[11],
                                fill(tokens[2]),
                                fill(.25f),
                                fill(tokens[3]),
                                fill(-.125f))
                        : null;
                sequences.add(new Sequence(s, 20, 15, tokens, activations, new float[11], found));
            }
            groups.add(new SequenceGroup(
                    g == 0 ? SequenceGroup.Kind.TOP : SequenceGroup.Kind.INTERVAL,
                    g == 0 ? Double.NaN : g,
                    g + 1,
                    .01,
                    sequences));
        }
        float[] values = new float[500];
        for (int i = 0; i < values.length; i++) values[i] = (float) random.nextGaussian();
        int[] ids = IntStream.range(0, 10).map(i -> tokens[i]).toArray();
        float[] logits = {3, 2, 1, 1, 1, 1, 1, 1, 1, 1};
        return new FeatureDashboard(
                number,
                new FeatureDashboard.Statistics(1000, 10, 10 + number % 50, .01, 3, .1, .5, .2, 3, 4, new double[0]),
                new FeatureDashboard.Tables(
                        List.of(new Entry(1, .1, .2), new Entry(2, .05, .1)),
                        List.of(new Entry(5, .3, .4)),
                        List.of(new Entry(number + 1, .3, .4))),
                Histogram.of(values, values.length, 50),
                Histogram.of(values, values.length, 50),
                new FeatureDashboard.LogitsTable(
                        ids, logits, ids, new float[] {-3, -2, -1, -1, -1, -1, -1, -1, -1, -1}),
                groups);
    }

    private static int[][] fill(int id) {
        return IntStream.range(0, 11).mapToObj(i -> new int[] {id}).toArray(int[][]::new);
    }

    private static float[][] fill(float value) {
        return IntStream.range(0, 11).mapToObj(i -> new float[] {value}).toArray(float[][]::new);
    }

    private static Path page(String name, int count, String text, boolean ablation) {
        Map<String, String> facts = new LinkedHashMap<>(Map.of("Text", EVIL));
        Path file = folder.resolve(name);
        try (DashboardPage page = DashboardPage.open(
                file,
                new DashboardPage.Header("Features of " + EVIL, facts, "https://neuronpedia.org/gpt2-small/8-res-jb/"),
                TOKENIZER)) {
            for (int number = 0; number < count; number++)
                page.accept(feature(number, number == 3 ? "the harbour was quiet and then some more" : text, ablation));
            page.complete();
        }
        return file;
    }

    private static void open(Path file, String hash) {
        browser.open(file.toUri() + hash);
        waitFor("document.documentElement.dataset.shown");
    }

    private static Object script(String code) {
        return browser.script(code);
    }

    private static void waitFor(String condition) {
        browser.waitFor(condition);
    }

    private static void assertQuiet() {
        browser.assertQuiet();
    }

    private static WebElement element(String id) {
        return browser.driver.findElement(By.id(id));
    }

    private static List<String> listed() {
        return browser.driver.findElements(By.cssSelector("#list a")).stream()
                .map(link -> link.getDomAttribute("href").replace("#feature=", ""))
                .toList();
    }

    private static void type(String id, String text) {
        element(id).clear();
        element(id).sendKeys(text);
        script("document.getElementById('" + id + "').dispatchEvent(new Event('input', {bubbles: true}))");
    }

    // ------------------------------------------------------------------------------------------------- tests

    @Test
    void everyControlWorks() throws Exception {
        open(page("controls.html", 30, "When John and Mary went to the shops", true), "#feature=3");
        assertEquals(
                "Feature 3",
                browser.driver.findElement(By.cssSelector("#feature h2")).getText());
        browser.screenshot("dashboard-page");
        assertEquals("30 of 30 features", element("count").getText());
        browser.driver
                .findElement(By.cssSelector("button[aria-keyshortcuts=j]"))
                .click();
        waitFor("document.documentElement.dataset.shown === '4'");
        browser.driver.findElement(By.tagName("body")).sendKeys("k");
        waitFor("document.documentElement.dataset.shown === '3'");
        browser.driver.findElement(By.tagName("body")).sendKeys("j");
        waitFor("document.documentElement.dataset.shown === '4'");
        type("search", "harbour");
        assertEquals(List.of("3"), listed());
        element("search").sendKeys(Keys.ENTER);
        waitFor("document.documentElement.dataset.shown === '3'");
        type("search", "12");
        assertEquals(List.of("12"), listed());
        type("search", "");
        element("sort").sendKeys("density, r");
        script("document.getElementById('sort').value = 'rare'; document.getElementById('sort').dispatchEvent(new"
                + " Event('input'))");
        assertEquals(List.of("6", "13", "20", "27", "0"), listed().subList(0, 5));
        script("document.getElementById('sort').value = 'density'; document.getElementById('sort').dispatchEvent(new"
                + " Event('input'))");
        assertEquals("29", listed().getFirst());
        element("dead").click();
        assertFalse(listed().contains("6"));
        type("least", "3");
        type("most", "3.5");
        assertEquals(List.of("25", "24", "23", "22", "21"), listed());
        element("facts").findElement(By.tagName("summary")).click();
        assertTrue(element("facts").getText().contains(EVIL));
        open(folder.resolve("controls.html"), "#feature=6");
        assertTrue(
                element("feature").getText().contains("Dead: this feature does not fire"),
                element("feature").getText());
        assertTrue(element("feature").getText().contains("it has no logits"));
        open(folder.resolve("controls.html"), "#feature=3");
        assertEquals(
                "https://neuronpedia.org/gpt2-small/8-res-jb/3",
                browser.driver.findElement(By.linkText("Neuronpedia")).getDomAttribute("href"));
        browser.driver.findElement(By.linkText("4")).click(); // among the correlated features
        waitFor("document.documentElement.dataset.shown === '4'");
        assertQuiet();
    }

    @Test
    void pointingAndTheKeyboardShowWhatATokenIs() {
        open(page("tips.html", 4, "naïve 🙂🚀 done \u200b Привет ‘x’", true), "");
        WebElement token =
                browser.driver.findElements(By.cssSelector(".sequence b")).getFirst();
        new Actions(browser.driver).moveToElement(token).perform();
        assertTrue(element("tip").isDisplayed());
        String tip = element("tip").getText();
        for (String part :
                List.of("activation", "3.0000", "loss effect", "+0.5000", "row 0, position 20", "changes most"))
            assertTrue(tip.contains(part), tip);
        WebElement sequence =
                browser.driver.findElements(By.cssSelector(".sequence")).get(3);
        script("document.querySelectorAll('.sequence')[3].focus()");
        assertTrue(element("tip").isDisplayed());
        assertTrue(sequence.getDomAttribute("aria-label").contains("row 3, position 20"));
        browser.driver.findElement(By.tagName("body")).sendKeys(Keys.ESCAPE);
        assertFalse(element("tip").isDisplayed());
        // Pieces of a character show their bytes, and together the character.
        String shown = (String) script("return document.querySelector('.sequence').textContent");
        assertTrue(shown.contains("‹F0 9F"), shown);
        script("const piece = [...document.querySelector('.sequence').children].find(part =>"
                + " part.textContent.startsWith('‹F0')); piece.dispatchEvent(new MouseEvent('mouseenter'))");
        assertTrue(
                element("tip").getText().contains("part of")
                        && element("tip").getText().contains("🙂"),
                element("tip").getText());
        assertQuiet();
    }

    /** What matters at each token of a prompt. */
    @Nested
    class OfAPrompt {
        private static Path file;

        private List<WebElement> buttons;

        @BeforeAll
        static void write() throws IOException {
            Golden golden = Golden.of("standard_a");
            int[] features = {0, 3, 8, 57};
            file = folder.resolve("prompt.html");
            try (var _ = TensorScope.open();
                    HookedTransformer model = HookedTransformer.fromPretrained(
                            golden.model().toString(), HookedTransformer.Options.DEFAULT.hub(golden.hub()));
                    Sae sae = Sae.fromPretrained(
                            golden.folder().resolve("sae").toString(), Sae.Options.DEFAULT.hub(golden.hub()));
                    DashboardPage page =
                            DashboardPage.open(file, new DashboardPage.Header("Prompt", Map.of(), null), TOKENIZER)) {
                int[] tokens = Arrays.stream(model.toTokens("When John & <b>Mary</b> went to the shops", true)
                                .toLongs())
                        .mapToInt(token -> (int) token)
                        .toArray();
                PromptDashboard prompt = PromptDashboard.of(model, sae, tokens, DashboardConfig.DEFAULT);
                for (int number : features) {
                    FeatureDashboard dashboard = feature(number, "the harbour was quiet and then some more", false);
                    page.accept(dashboard);
                    prompt.accept(dashboard);
                }
                page.prompt(prompt, 2);
                page.complete();
            }
        }

        @BeforeEach
        void open() {
            DashboardPageTest.open(file, "");
            waitFor("document.documentElement.dataset.prompt");
            buttons = browser.driver.findElements(By.cssSelector("#prompt-tokens button"));
        }

        @AfterEach
        void nothingIsSaid() {
            assertQuiet();
        }

        private static void choose(String metric, int token) {
            script("document.getElementById('metric').value = '" + metric + "';"
                    + " document.getElementById('metric').dispatchEvent(new Event('input'))");
            waitFor("document.documentElement.dataset.prompt === '" + metric + " " + token + "'");
        }

        private WebElement firstCardOfTheFirstToken() {
            buttons.getFirst().click();
            waitFor("document.documentElement.dataset.prompt === 'act_size 0'");
            return browser.driver.findElements(By.className("card")).getFirst();
        }

        @Test
        void theLastTokenIsChosen() {
            assertEquals("<|endoftext|>", buttons.getFirst().getText());
            assertEquals("true", buttons.getLast().getDomAttribute("aria-pressed"));
        }

        @Test
        void aTokenShowsItsFeatures() {
            String first = firstCardOfTheFirstToken().getText();
            assertEquals(2, browser.driver.findElements(By.className("card")).size());
            assertTrue(first.startsWith("Feature 3 1.6") || first.startsWith("Feature 3\n1.6"), first);
            assertEquals("true", buttons.getFirst().getDomAttribute("aria-pressed"));
        }

        @Test
        void aFeatureShowsThePromptAndTenOfTheHighest() {
            assertEquals(
                    11,
                    firstCardOfTheFirstToken()
                            .findElements(By.className("sequence"))
                            .size());
        }

        @Test
        void pointingShowsWhatATokenOfThePromptIs() {
            new Actions(browser.driver)
                    .moveToElement(firstCardOfTheFirstToken()
                            .findElements(By.cssSelector(".sequence span"))
                            .getFirst())
                    .perform();
            String tip = element("tip").getText();
            assertTrue(tip.contains("of the prompt") && tip.contains("by the lens"), tip);
        }

        @Test
        void nothingPredictsTheFirstToken() {
            firstCardOfTheFirstToken();
            choose("act_quantile", 0);
            choose("loss_effect", 0);
            assertEquals("Nothing predicts the first token.", element("cards").getText());
        }

        @Test
        void effectsOnTheLossAreThoseOfTheLens() {
            firstCardOfTheFirstToken();
            choose("loss_effect", 0);
            buttons.get(1).click();
            waitFor("document.documentElement.dataset.prompt === 'loss_effect 1'");
            assertEquals(2, browser.driver.findElements(By.className("card")).size());
            assertTrue(element("metric-hint").getText().endsWith("by the linear lens"));
            browser.screenshot("dashboard-prompt");
        }

        @Test
        void aCardLeadsToItsFeature() {
            firstCardOfTheFirstToken();
            browser.driver.findElement(By.cssSelector(".card h3 a")).click();
            waitFor("document.documentElement.dataset.shown !== '0'");
            assertEquals(0L, script("return document.querySelectorAll('#prompt-tokens b').length"));
            browser.assertAccessible("with a prompt");
        }
    }

    @Test
    void textOfTheCorpusStaysText() {
        open(page("evil.html", 3, EVIL, false), "");
        assertEquals(0L, script("return document.images.length"));
        assertEquals(3L, script("return [...document.scripts].length"), "the data, the plots and the page's own");
        assertTrue(((String) script("return document.querySelector('.sequence').textContent"))
                .startsWith("<img src=x onerror=alert("));
        assertEquals("Features of " + EVIL, script("return document.title"));
        assertQuiet();
    }

    @Test
    void aThousandFeaturesAreThereInTwoSeconds() throws Exception {
        Path file = page("thousand.html", 1000, "When John and Mary went to the shops", true);
        open(file, "");
        double shown = ((Number) script("return performance.getEntriesByName('shown')[0].startTime")).doubleValue();
        assertTrue(
                shown < 2000,
                "the first feature was shown after " + shown + " ms; the file has " + Files.size(file) + " bytes");
        assertEquals(300, listed().size());
        element("more").click();
        assertEquals(600, listed().size());
        System.out.println(
                "1,000 features: " + Files.size(file) + " bytes, first shown after " + Math.round(shown) + " ms");
        assertQuiet();
    }

    @ParameterizedTest
    @ValueSource(strings = {"light", "dark"})
    void axeFindsNothing(String scheme) {
        open(page("axe.html", 12, "When John and Mary went to the shops", true), "#feature=3");
        browser.colours(scheme);
        try {
            browser.assertAccessible(scheme);
            browser.screenshot("dashboard-page-" + scheme);
        } finally {
            browser.colours("");
        }
    }
}
