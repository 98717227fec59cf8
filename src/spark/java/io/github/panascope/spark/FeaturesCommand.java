package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.cli.DashboardOptions;
import io.github.panascope.cli.FeatureOptions;
import io.github.panascope.cli.Progress;
import io.github.panascope.dashboard.DashboardConfig;
import io.github.panascope.dashboard.DashboardConfig.CorrelationScope;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The command {@code features}, which collects features on the executors and writes their dashboards. */
@Command(
        name = "features",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description =
                "Shows what features do: the executors run the model over all rows of a corpus once, keeping what all"
                    + " features were, then write the dashboards of those asked for. The files are those of the"
                    + " one-machine command `dashboard`, byte for byte. A job that was ended goes on where it was when"
                    + " it is submitted again.")
final class FeaturesCommand implements Callable<Integer> {
    private static final int MOST_UNIT_ROWS = 1 << 15;

    @Mixin
    private ModelOptions models;

    @Mixin
    private CorpusOptions corpus;

    @Mixin
    private FeatureOptions features;

    @Option(
            names = "--out",
            paramLabel = "DIR",
            defaultValue = "panascope-out",
            description = "a folder of any Hadoop file system that all machines reach: the features, and the page"
                    + " dashboards.html (default: ${DEFAULT-VALUE})")
    private String out;

    @Option(
            names = "--json",
            paramLabel = "FILE",
            description = "writes the dashboards as SAEDashboard's save_json does")
    private String json;

    @Option(names = "--neuronpedia", paramLabel = "DIR", description = "writes batch-N.json as Neuronpedia takes them")
    private String neuronpedia;

    @Option(
            names = "--table",
            paramLabel = "FILE",
            description = "writes a row for each feature as Parquet, for DuckDB, pandas, polars and others")
    private String table;

    @Mixin
    private DashboardOptions dashboards;

    @Option(
            names = "--unit-rows",
            paramLabel = "N",
            description = "rows of a unit, which one task collects and which is lost when its executor dies (default:"
                    + " four units for each core)")
    private Integer unitRows;

    @Option(
            names = "--rows-at-once",
            paramLabel = "N",
            description = "rows that run together on a GPU (default: as many as make 32,768 tokens)")
    private Integer rowsAtOnce;

    @Override
    public Integer call() {
        if (unitRows != null && (unitRows < 1 || unitRows > MOST_UNIT_ROWS))
            throw new InputException(
                    "--unit-rows should lie between 1 and " + MOST_UNIT_ROWS + ", not at " + unitRows + ".");
        if (rowsAtOnce != null && rowsAtOnce < 1)
            throw new InputException("--rows-at-once should be at least 1, not " + rowsAtOnce + ".");
        ModelAndSae names = models.names();
        corpus.check(models);
        return Main.inSession("features", spark -> run(spark, names));
    }

    private void run(SparkSession spark, ModelAndSae names) {
        Executor.Loaded loaded = models.load(names);
        int[] chosen = features.of(loaded.sae().config().dSae());
        int context = corpus.context(loaded.sae(), loaded.model());
        DashboardConfig config = dashboards.of(loaded.model(), context);
        try (TokenRows rows = corpus.rows(spark, names, loaded)) {
            models.print(String.format(
                    Locale.ROOT, "%,d documents make %,d rows of %d tokens", rows.documents(), rows.rows(), context));
            DashboardJob.requirePositions(rows.rows(), context); // before days of work
            String text = corpus.description(loaded.sae(), loaded.model().tokenizer());
            CollectedFeatures collected = collect(names, rows, chosen, config.correlatedFeatures(), text);
            write(collected, chosen, config);
        }
    }

    private CollectedFeatures collect(
            ModelAndSae names, TokenRows rows, int[] chosen, CorrelationScope correlated, String text) {
        FeatureJob job = FeatureJob.of(names).features(chosen, correlated);
        if (unitRows != null) job.unitRows(unitRows);
        if (rowsAtOnce != null) job.rowsAtOnce(rowsAtOnce);
        CollectedFeatures collected;
        try (Progress progress = new Progress("Collecting features, rows", models.quiet())) {
            job.progress(done -> progress.update(done, rows.rows()));
            collected = job.collect(rows, text, out + "/features");
        }
        summarize(collected.shares());
        models.print("Collected features in " + collected.folder());
        return collected;
    }

    private void write(CollectedFeatures collected, int[] chosen, DashboardConfig config) {
        String page = out + "/dashboards.html";
        try (Progress progress = new Progress("Dashboards, features", models.quiet())) {
            DashboardJob.of(collected)
                    .features(chosen)
                    .config(config)
                    .dataset(corpus.name())
                    .page(page)
                    .json(json)
                    .neuronpedia(neuronpedia)
                    .table(table)
                    .progress(done -> progress.update(done, chosen.length))
                    .write();
        }
        models.print("Wrote "
                + Stream.of(page, json, neuronpedia, table)
                        .filter(Objects::nonNull)
                        .collect(Collectors.joining(", "))
                + " (" + chosen.length + " features, " + collected.rows() + " rows)");
    }

    private void summarize(Map<String, CollectedFeatures.Share> shares) {
        if (shares.isEmpty()) models.print("All rows are there already.");
        shares.forEach((executor, share) -> models.print(String.format(
                Locale.ROOT,
                "executor %-40s %,12d tokens %,10.0f a second",
                executor,
                share.tokens(),
                share.tokens() / share.seconds())));
    }
}
