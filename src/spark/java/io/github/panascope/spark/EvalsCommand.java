package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.cli.EvalReport;
import io.github.panascope.metrics.SaeEvals;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The command {@code evals}, which evaluates an SAE over a corpus, or over groups of its documents. */
@Command(
        name = "evals",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description =
                "Every metric of sae_lens.evals over all rows of a corpus: what an SAE keeps of the model's behaviour,"
                    + " how it reconstructs, how sparse it is. With --by, over the documents of each group, each cut"
                    + " into rows of its own: which data does the SAE reconstruct badly?")
final class EvalsCommand implements Callable<Integer> {
    @Mixin
    private ModelOptions models;

    @Mixin
    private CorpusOptions corpus;

    @Option(
            names = "--batch-size-prompts",
            paramLabel = "N",
            defaultValue = "16",
            description = "rows in a batch (default: ${DEFAULT-VALUE})")
    private int batchSizePrompts;

    @Option(names = "--include-special-tokens", description = "count positions of special tokens too")
    private boolean includeSpecialTokens;

    @Option(
            names = "--by",
            paramLabel = "COLUMN",
            split = ",",
            description = "evaluates the documents of each value of these columns by themselves, without"
                    + " --tokenization and the options of batches")
    private List<String> by;

    @Option(
            names = "--json",
            paramLabel = "FILE",
            description = "writes all metrics, those of features too, as SAELens does; with --by, a line of JSON for"
                    + " each group")
    private String json;

    @Override
    public Integer call() {
        if (batchSizePrompts < 1) throw new InputException("--batch-size-prompts should be at least 1.");
        ModelAndSae names = models.names();
        corpus.check(models);
        return Main.inSession("evals", spark -> {
            Executor.Loaded loaded = models.load(names);
            if (by == null) evaluate(spark, names, loaded);
            else evaluateGroups(spark, names, loaded);
        });
    }

    private void evaluate(SparkSession spark, ModelAndSae names, Executor.Loaded loaded) {
        try (TokenRows rows = corpus.rows(spark, names, loaded)) {
            EvalJob job = EvalJob.of(names).batchSizePrompts(batchSizePrompts);
            if (includeSpecialTokens) job.includeSpecialTokens();
            SaeEvals evals = job.evals(rows);
            long batches = Math.ceilDiv(rows.rows(), (long) batchSizePrompts);
            EvalReport report = new EvalReport(
                    names.saeName(),
                    corpus.name(),
                    rows.context(),
                    rows.rows(),
                    new EvalReport.Batches(batchSizePrompts, batches, batches),
                    !includeSpecialTokens,
                    evals);
            report.lines().forEach(models::print);
            write(report.json(loaded.sae()));
        }
    }

    private void evaluateGroups(SparkSession spark, ModelAndSae names, Executor.Loaded loaded) {
        Dataset<Row> groups = DocumentEvals.of(names)
                .context(corpus.context(loaded.sae(), loaded.model()))
                .by(corpus.documents(spark, by), by.toArray(String[]::new))
                .orderBy("ce_loss_score")
                .cache();
        try {
            List<Row> found = groups.collectAsList();
            List<String> shown = List.of("documents", "positions", "l0", "ce_loss_score", "explained_variance");
            models.print(String.join(", ", by) + ": " + String.join(", ", shown) + ", the worst first");
            for (Row group : found)
                models.print(by.stream()
                                .map(column -> String.valueOf(group.<Object>getAs(column)))
                                .collect(Collectors.joining(", "))
                        + ": "
                        + shown.stream()
                                .map(column -> shown(group.getAs(column)))
                                .collect(Collectors.joining(", ")));
            write(String.join("\n", groups.toJSON().collectAsList()) + "\n");
        } finally {
            groups.unpersist();
        }
    }

    private static String shown(Object value) {
        return value instanceof Double number ? String.format(Locale.ROOT, "%.6g", number) : String.valueOf(value);
    }

    private void write(String text) {
        if (json == null) return;
        HadoopFiles.at(json).put("", text);
        models.print("Wrote " + json);
    }
}
