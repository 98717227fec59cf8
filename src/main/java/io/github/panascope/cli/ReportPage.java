package io.github.panascope.cli;

import static io.github.panascope.internal.PageTemplate.escaped;

import io.github.panascope.internal.PageTemplate;
import io.github.panascope.internal.PythonText;
import io.github.panascope.metrics.L0;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** The page {@code index.html}: all numbers and plots of the tutorial, and a link to its dashboards. */
final class ReportPage {
    private static final int LISTED = 100;

    private ReportPage() {}

    /**
     * Makes the page.
     *
     * @param facts      the facts that the numbers rest on, by name
     * @param dashboards the name of the page with dashboards, in the same folder; null if there is none
     * @param files      the names of other files in the same folder
     */
    static String of(MetricsFile metrics, L0 l0, Map<String, String> facts, String dashboards, List<String> files) {
        PageTemplate page = PageTemplate.of(ReportPage.class, "index.html")
                .text("TITLE", "The SAE " + metrics.sae() + " in " + metrics.model());
        return L0Page.histogram(page, l0)
                .markup(
                        "FACTS",
                        facts.entrySet().stream()
                                .map(fact -> "<dt>" + escaped(fact.getKey()) + "</dt><dd>" + escaped(fact.getValue())
                                        + "</dd>")
                                .collect(Collectors.joining()))
                .markup("LOSSES", losses(metrics))
                .text("PROMPT", metrics.prompt().text())
                .markup(
                        "RANK",
                        "The answer " + code(metrics.prompt().answer()) + " has rank "
                                + metrics.prompt().rank() + ".")
                .markup(
                        "CANDIDATES",
                        candidates("The model as it is", metrics.prompt().top())
                                + candidates(
                                        "Under the SAE's reconstruction",
                                        metrics.prompt().topReconstructed()))
                .markup("FEATURES", features(metrics, dashboards))
                .markup(
                        "FILES",
                        files.stream().map(file -> link(file, escaped(file))).collect(Collectors.joining(" · ")))
                .page();
    }

    private static String losses(MetricsFile metrics) {
        MetricsFile.Prompt prompt = metrics.prompt();
        return "<table><thead><tr><th scope=\"col\">tokens of</th><th scope=\"col\">original</th><th"
                + " scope=\"col\">reconstructed</th><th scope=\"col\">zero-ablated</th><th"
                + " scope=\"col\">score</th></tr></thead><tbody>"
                + losses(metrics.rows() + " rows", metrics.ceOrig(), metrics.ceReconstr(), metrics.ceZero())
                + losses("the prompt", prompt.ceOrig(), prompt.ceReconstr(), prompt.ceZero()) + "</tbody></table>";
    }

    private static String losses(String of, double original, double reconstructed, double zero) {
        double score = (zero - reconstructed) / (zero - original);
        double largest = Math.max(zero, Math.max(original, reconstructed));
        return "<tr><th scope=\"row\">" + of + "</th>" + loss("original, " + of, original, largest)
                + loss("reconstructed, " + of, reconstructed, largest) + loss("zero-ablated, " + of, zero, largest)
                + "<td>" + (Double.isFinite(score) ? PythonText.fixed(score, 4) : "–") + "</td></tr>";
    }

    private static String loss(String label, double loss, double largest) {
        return "<td>" + PythonText.fixed(loss, 4) + " " + meter(label, loss / largest) + "</td>";
    }

    private static String meter(String label, double share) {
        return "<meter aria-label=\"" + escaped(label) + "\" value=\"" + (Double.isFinite(share) ? share : 0)
                + "\"></meter>";
    }

    private static String candidates(String title, List<MetricsFile.Candidate> top) {
        return "<table><caption>" + title
                + "</caption><thead><tr><th scope=\"col\">next token</th><th scope=\"col\">logit</th><th"
                + " scope=\"col\">probability</th></tr></thead><tbody>"
                + top.stream()
                        .map(next -> "<tr><td>" + code(next.token()) + "</td><td>" + PythonText.fixed(next.logit(), 2)
                                + "</td><td>" + PythonText.percent(next.prob(), 2) + " "
                                + meter("probability", next.prob()) + "</td></tr>")
                        .collect(Collectors.joining())
                + "</tbody></table>";
    }

    private static String features(MetricsFile metrics, String dashboards) {
        String list = metrics.neuronpediaQuickList() == null
                ? ""
                : "<p>" + link(metrics.neuronpediaQuickList(), "The same features on Neuronpedia") + "</p>";
        if (dashboards == null) return "<p>None were asked for (<code>--dashboard-rows 0</code>).</p>" + list;
        List<MetricsFile.Feature> features = metrics.features();
        int more = features.size() - LISTED;
        return "<p>" + link(dashboards, "Dashboards of " + features.size() + " features") + " over "
                + metrics.dashboardRows() + " rows.</p>" + list
                + "<div class=\"wide\"><table><thead><tr><th scope=\"col\">feature</th><th"
                + " scope=\"col\">density</th><th scope=\"col\">maximum</th><th scope=\"col\" class=\"text\">highest"
                + " at</th><th scope=\"col\" class=\"text\">raises the logits of</th></tr></thead><tbody>"
                + features.stream()
                        .limit(LISTED)
                        .map(feature -> feature(feature, dashboards))
                        .collect(Collectors.joining())
                + "</tbody></table></div>" + (more > 0 ? "<p>And " + more + " more.</p>" : "");
    }

    private static String feature(MetricsFile.Feature feature, String dashboards) {
        return "<tr><td>" + link(dashboards + "#feature=" + feature.feature(), Integer.toString(feature.feature()))
                + "</td>"
                + (feature.density() == 0
                        ? "<td>dead</td><td></td>"
                        : "<td>" + PythonText.percent(feature.density(), 3) + "</td><td>"
                                + PythonText.fixed(feature.max(), 3) + "</td>")
                + "<td class=\"text\">" + codes(feature.topTokens()) + "</td><td class=\"text\">"
                + codes(feature.promotedTokens()) + "</td></tr>";
    }

    private static String codes(List<String> tokens) {
        return tokens.stream().map(ReportPage::code).collect(Collectors.joining(" "));
    }

    /** Formats a token so that white space at its ends is visible. */
    private static String code(String token) {
        return "<code>" + escaped(PythonText.repr(token)) + "</code>";
    }

    private static String link(String to, String markup) {
        return "<a href=\"" + escaped(to) + "\" rel=\"noreferrer\">" + markup + "</a>";
    }
}
