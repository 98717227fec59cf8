package io.github.panascope.notebook;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.LeakCheck;
import io.github.panascope.dashboard.FeatureDashboard;
import io.github.panascope.dashboard.FeatureExamples;
import io.github.panascope.dashboard.Histogram;
import io.github.panascope.lens.ActivationCache;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.TestPrompt;
import io.github.panascope.lens.TestPrompt.Candidate;
import io.github.panascope.lens.TestPrompt.Position;
import io.github.panascope.metrics.DownstreamLoss;
import io.github.panascope.metrics.L0;
import io.github.panascope.metrics.SaeEvals;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** What a cell shows for a result. */
@ExtendWith(LeakCheck.class)
class ResultsTest {
    private static final String EVIL = "<img src=x onerror='alert(1)'>\n\"&";

    /** The text of the cells of a table, or of several. */
    private static List<String> cells(String html) {
        return Pattern.compile("<t[dh]>(.*?)</t[dh]>")
                .matcher(html)
                .results()
                .map(cell -> cell.group(1).replaceAll("<.*?>", ""))
                .toList();
    }

    @Test
    void aTensorShowsItsFirstNumbers() {
        try (var _ = TensorScope.open()) {
            String html = TensorTable.html(Tensor.of(new float[] {1, -2, 3, 0.25f}, Shape.of(2, 2)));
            assertTrue(html.contains("Tensor [2, 2], float32, cpu"), html);
            assertEquals(List.of("", "0", "1", "0", "1.0000", "-2.0000", "1", "3.0000", "0.2500"), cells(html));
            assertEquals(List.of("7.0000"), cells(TensorTable.html(Tensor.of(new float[] {7}, Shape.of()))));
            assertEquals(
                    List.of("0", "1", "2", "1.0000e-05", "NaN", "-Infinity"),
                    cells(TensorTable.html(
                            Tensor.of(new float[] {1e-5f, Float.NaN, Float.NEGATIVE_INFINITY}, Shape.of(3)))));
            assertEquals(List.of(), cells(TensorTable.html(Tensor.zeros(DType.FLOAT32, Shape.of(0, 3)))));
            long beyondDoubles = (1L << 53) + 1;
            assertEquals(
                    List.of("0", "1", "9007199254740993", "-1"),
                    cells(TensorTable.html(Tensor.of(new long[] {beyondDoubles, -1}, Shape.of(2)))));
        }
    }

    @Test
    void aLargeTensorIsCut() {
        try (var _ = TensorScope.open()) {
            Tensor tokens = Tensor.zeros(DType.INT64, Shape.of(3, 2, 100, 50)).slice(0, 1, 3);
            String html = TensorTable.html(tokens);
            assertTrue(html.contains("Tensor [2, 2, 100, 50], int64, cpu") && html.contains("at 0, 0, :, :"), html);
            List<String> cells = cells(html);
            assertEquals(List.of("", "0", "1", "2", "3", "4", "5", "6", "7", "…"), cells.subList(0, 10));
            assertEquals(List.of("0", "0", "0", "0", "0", "0", "0", "0", "0", "…"), cells.subList(10, 20));
            assertEquals(71, cells.size()); // a head, six rows, and a last one that says there are more
            assertTrue(TensorTable.html(tokens.eq(tokens)).contains(", bool, cpu"));
        }
    }

    @Test
    void tokensAreTextAndNeverMarkup() {
        Candidate answer = new Candidate(EVIL, 0, 25.355, 0.98763);
        String html = Results.html(new TestPrompt(
                List.of("<|endoftext|>", EVIL),
                List.of(List.of(EVIL)),
                List.of(new Position(List.of(answer), List.of(answer, new Candidate(" a", 1, -3, 0.01))))));
        assertFalse(html.contains("<img") || html.contains("<|"), html);
        String shown = "&lt;img src=x onerror=&#39;alert(1)&#39;&gt;\\n&quot;&amp;";
        assertTrue(
                html.contains("Answer: <code style=\"white-space:pre;background:#8882;padding:0 1px\">" + shown
                        + "</code>: rank 0, logit 25.36, prob 98.76%"),
                html);
        assertEquals(
                List.of(
                        "token", "rank", "logit", "prob", "", shown, "0", "25.36", "98.76%", "", " a", "1", "-3.00",
                        "1.00%", ""),
                cells(html));
        String page = new InlinePage("<p title=\"a\">" + EVIL, 100).iframe();
        assertEquals(2, page.split("<").length - 1, page); // the frame's own tags
        assertTrue(page.contains("srcdoc=\"&lt;p title=&quot;a&quot;&gt;&lt;img src=x"), page);
    }

    @Test
    void numbersAreShownExactly() {
        DownstreamLoss loss = new DownstreamLoss();
        loss.add(1, 1.03984141411159, 1.5, 11.574165863197619);
        assertEquals(
                List.of(
                        "cross-entropy loss",
                        "nats per token",
                        "Orig",
                        "1.03984141411159",
                        "reconstr",
                        "1.5",
                        "Zero",
                        "11.574165863197619",
                        "CE loss score",
                        "0.9563"),
                cells(Results.html(loss)));
        L0 l0 = new L0();
        for (int active : new int[] {1, 1, 4}) l0.add(active);
        String html = Results.html(l0);
        assertTrue(html.contains("average l0 2.0 over 3 positions"), html);
        assertTrue(html.contains("<title>1: 2</title>") && html.contains("<title>4: 1</title>"), html);
    }

    @Test
    void examplesMarkTheirStrongestToken() {
        FeatureExamples.Example example =
                new FeatureExamples.Example(3, 5, 4, List.of(" a", EVIL, " c"), new float[] {0, 2.5f, 1}, "<b>", "!");
        String html = Results.html(new FeatureExamples(7, List.of(example)));
        assertTrue(html.contains(">feature 7, 1 example</p>"), html);
        String evil = "&lt;img src=x onerror=&#39;alert(1)&#39;&gt;\\n&quot;&amp;";
        assertTrue(html.contains("&lt;b&gt; a<mark>" + evil + "</mark> c!"), html);
        assertEquals(
                List.of("example", "activation", "text", "position", "&lt;b&gt; a" + evil + " c!", "2.5000", "3", "5"),
                cells(html));
        String none = Results.html(new FeatureExamples(7, List.of()));
        assertTrue(none.contains("feature 7, 0 examples") && !none.contains("<table"), none);
    }

    @Test
    void sortedElementsAreShownWithTheirPlaces() {
        try (var _ = TensorScope.open()) {
            Tensor x = Tensor.of(1, 7, 3);
            String html = Results.html(x.topk(2));
            assertEquals(List.of("0", "1", "7.0000", "3.0000", "0", "1", "1", "2"), cells(html));
            assertTrue(html.indexOf(">values<") < html.indexOf("Tensor [2], float32, cpu"), html);
            assertTrue(html.indexOf(">indices<") < html.indexOf("Tensor [2], int64, cpu"), html);
            assertEquals(List.of("7.0000", "1"), cells(Results.html(x.max(0))));
        }
    }

    @Test
    void aFeatureIsAPageWhereATokenizerIsKept() {
        FeatureDashboard dashboard = new FeatureDashboard(
                8,
                new FeatureDashboard.Statistics(1000, 0, 25, .025, 3, .1, 1.5, 0, 0, 0, new double[0]),
                new FeatureDashboard.Tables(List.of(), List.of(), List.of()),
                new Histogram(new int[0], new double[0], new double[0]),
                null,
                null,
                List.of());
        assertEquals(
                List.of("feature", "8", "density", "2.500%", "max", "3.000", "mean where active", "1.500"),
                cells(Results.html(dashboard)));
        Notebook.keep("model", () -> HookedTransformer.fromPretrained("src/demo/bundle/model"));
        String page = Results.html(dashboard);
        Notebook.close("model");
        assertTrue(page.startsWith("<iframe sandbox=\"allow-scripts\"") && page.contains("Feature 8"), page);
    }

    @Test
    void cachesAndEvaluationsAreTables() {
        try (var _ = TensorScope.open();
                HookedTransformer model = HookedTransformer.fromPretrained("src/demo/bundle/model");
                Sae sae = Sae.fromPretrained("src/demo/bundle/sae")) {
            Tensor tokens = model.toTokens("The dog ran to the harbour, and then it");
            ActivationCache cache =
                    model.runWithCache(tokens, "hook_embed"::equals).cache();
            assertEquals(
                    List.of("hook point", "shape", "dtype", "hook_embed", "[1, " + tokens.size(1) + ", 96]", "float32"),
                    cells(Results.html(cache)));
            HookedTransformer.RunWithCache run = model.runWithCache(tokens, "hook_embed"::equals);
            assertEquals(cells(Results.html(cache)), cells(Results.html(run)));
            assertTrue(Results.html(run).contains("logits " + run.logits().shape() + ", float32"));
            SaeEvals evals = SaeEvals.run(model, sae, tokens, 1, 1, true, rows -> {});
            List<String> cells = cells(Results.html(evals));
            for (Map<String, Double> group : evals.metrics().values())
                for (Map.Entry<String, Double> metric : group.entrySet())
                    assertEquals(
                            metric.getValue().toString(),
                            cells.get(cells.indexOf(metric.getKey()) + 1),
                            metric.getKey());
        }
    }
}
