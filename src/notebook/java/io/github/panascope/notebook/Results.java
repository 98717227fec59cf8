package io.github.panascope.notebook;

import io.github.panascope.dashboard.FeatureDashboard;
import io.github.panascope.dashboard.FeatureExamples;
import io.github.panascope.internal.PythonText;
import io.github.panascope.lens.ActivationCache;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.TestPrompt;
import io.github.panascope.metrics.DownstreamLoss;
import io.github.panascope.metrics.L0;
import io.github.panascope.metrics.SaeEvals;
import io.github.panascope.metrics.TutorialMetrics;
import io.github.panascope.plot.CountHistogram;
import io.github.panascope.tokens.Tokenizer;
import io.github.panascope.torch.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/** What is shown for results, in HTML. */
final class Results {
    private Results() {}

    static String html(L0 l0) {
        return Html.paragraph("average l0 " + l0.mean() + " over " + l0.positions() + " positions")
                + CountHistogram.of(l0.histogram())
                        .title("L0")
                        .axes("number of SAE features active per token", "token positions")
                        .svg();
    }

    static String html(DownstreamLoss loss) {
        return Html.table(
                List.of("cross-entropy loss", "nats per token"),
                List.of(
                        List.of("Orig", Double.toString(loss.original())),
                        List.of("reconstr", Double.toString(loss.reconstructed())),
                        List.of("Zero", Double.toString(loss.zero())),
                        List.of("CE loss score", PythonText.fixed(loss.score(), 4))));
    }

    static String html(TutorialMetrics metrics) {
        return html(metrics.l0())
                + html(metrics.loss())
                + Html.paragraph("explained variance "
                        + PythonText.fixed(metrics.explainedVariance().value(), 4));
    }

    static String html(SaeEvals evals) {
        List<List<String>> rows = new ArrayList<>();
        evals.metrics()
                .forEach((group, metrics) -> metrics.forEach((name, value) -> rows.add(
                        List.of(Html.escaped(group), Html.escaped(name), Html.escaped(Double.toString(value))))));
        return Html.table(List.of("group", "metric", "value"), rows);
    }

    static String html(ActivationCache cache) {
        List<List<String>> rows = new ArrayList<>();
        double bytes = 0;
        for (String name : cache.names()) {
            Tensor activation = cache.get(name);
            bytes += (double) activation.shape().elements() * activation.dtype().bytes();
            rows.add(List.of(
                    Html.escaped(name),
                    activation.shape().toString(),
                    activation.dtype().toString()));
        }
        String about = rows.size() + " activations, " + PythonText.fixed(bytes / 1e6, 1) + " MB";
        return Html.paragraph(about)
                + "<div style=\"max-height:320px;overflow:auto;width:fit-content\">"
                + Html.table(List.of("hook point", "shape", "dtype"), rows)
                + "</div>";
    }

    static String html(HookedTransformer.RunWithCache run) {
        return Html.paragraph(
                        "logits " + run.logits().shape() + ", " + run.logits().dtype())
                + html(run.cache());
    }

    /** Returns a table with a row for each example, in which the strongest token is marked. */
    static String html(FeatureExamples found) {
        int count = found.examples().size();
        String about =
                Html.paragraph("feature " + found.feature() + ", " + count + (count == 1 ? " example" : " examples"));
        if (count == 0) return about;
        return about
                + Html.table(
                        List.of("example", "activation", "text", "position"),
                        found.examples().stream().map(Results::row).toList());
    }

    private static List<String> row(FeatureExamples.Example example) {
        int at = example.position() - example.first();
        List<String> tokens = example.tokens();
        String text = Html.oneLine(example.before() + String.join("", tokens.subList(0, at)))
                + "<mark>" + Html.oneLine(example.token()) + "</mark>"
                + Html.oneLine(String.join("", tokens.subList(at + 1, tokens.size())) + example.after());
        return List.of(
                "<span style=\"white-space:pre-wrap\">" + text + "</span>",
                PythonText.fixed(example.activation(), 4),
                Long.toString(example.text()),
                Integer.toString(example.position()));
    }

    static String html(Tensor.Sorted sorted) {
        return valuesAndIndices(sorted.values(), sorted.indices());
    }

    static String html(Tensor.Extremes extremes) {
        return valuesAndIndices(extremes.values(), extremes.indices());
    }

    private static String valuesAndIndices(Tensor values, Tensor indices) {
        return Html.paragraph("values")
                + TensorTable.html(values)
                + Html.paragraph("indices")
                + TensorTable.html(indices);
    }

    static String html(TestPrompt prompt) {
        StringBuilder html = new StringBuilder("<p style=\"margin:2px 0\">Prompt: ")
                .append(tokens(prompt.promptTokens()))
                .append("</p>");
        for (TestPrompt.Position position : prompt.positions()) {
            for (TestPrompt.Candidate answer : position.answers())
                html.append("<p style=\"margin:2px 0\">Answer: ")
                        .append(Html.token(answer.token()))
                        .append(": rank ")
                        .append(answer.rank())
                        .append(", logit ")
                        .append(PythonText.fixed(answer.logit(), 2))
                        .append(", prob ")
                        .append(PythonText.percent(answer.prob(), 2))
                        .append("</p>");
            html.append(Html.table(
                    List.of("token", "rank", "logit", "prob", ""),
                    position.top().stream()
                            .map(candidate -> row(candidate, position.answers().contains(candidate)))
                            .toList()));
        }
        return html.toString();
    }

    private static String tokens(List<String> tokens) {
        return tokens.stream().map(Html::token).collect(Collectors.joining(" "));
    }

    private static List<String> row(TestPrompt.Candidate candidate, boolean isAnswer) {
        String token = Html.token(candidate.token());
        return List.of(
                isAnswer ? "<b>" + token + "</b>" : token,
                Integer.toString(candidate.rank()),
                PythonText.fixed(candidate.logit(), 2),
                PythonText.percent(candidate.prob(), 2),
                bar(candidate.prob()));
    }

    /** Returns a bar whose length is a share of 120 pixels. */
    private static String bar(double share) {
        return "<div style=\"width:120px\"><div style=\"height:10px;background:#2166ac;width:" + Math.round(120 * share)
                + "px\"></div></div>";
    }

    /**
     * Returns the page of a feature, if a model is {@linkplain Notebook#keep kept} whose tokenizer makes texts of the
     * tokens; without one, a table with the ids of tokens.
     */
    static String html(FeatureDashboard dashboard) {
        Tokenizer tokenizer = Notebook.tokenizer();
        if (tokenizer != null)
            return Notebook.page(tokenizer, List.of(dashboard), "Feature " + dashboard.feature())
                    .iframe();
        FeatureDashboard.Statistics statistics = dashboard.statistics();
        List<List<String>> rows = new ArrayList<>();
        rows.add(List.of("feature", Integer.toString(dashboard.feature())));
        rows.add(List.of("density", PythonText.percent(statistics.density(), 3)));
        rows.add(List.of("max", PythonText.fixed(statistics.max(), 3)));
        rows.add(List.of("mean where active", PythonText.fixed(statistics.meanActive(), 3)));
        dashboard
                .strongestTokens()
                .forEach((id, activation) ->
                        rows.add(List.of("strongest at token id " + id, PythonText.fixed(activation, 3))));
        return Html.table(null, rows);
    }
}
