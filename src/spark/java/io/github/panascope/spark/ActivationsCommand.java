package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.cli.ContextOptions;
import io.github.panascope.cli.FeatureOptions;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The command {@code activations}, which writes the activations of documents as a table. */
@Command(
        name = "activations",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = "Writes a table of Parquet with a line for each token and feature whose activation is not zero:"
                + " document, row, position, token, feature, activation. Each document is cut into rows of its own."
                + " Features lie in folders of 1,024, so that a question about one reads little.")
final class ActivationsCommand implements Callable<Integer> {
    @Mixin
    private ModelOptions models;

    @Mixin
    private DocumentOptions documents;

    @Mixin
    private ContextOptions contextOptions;

    @Mixin
    private FeatureOptions features;

    @Option(
            names = "--out",
            paramLabel = "DIR",
            defaultValue = "panascope-out/activations",
            description = "a folder of any Hadoop file system that all machines reach, which does not exist yet"
                    + " (default: ${DEFAULT-VALUE})")
    private String out;

    @Option(
            names = "--id",
            paramLabel = "COLUMN",
            description = "of the dataset: names the documents (default: their numbers, in order)")
    private String id;

    @Option(
            names = "--columns",
            paramLabel = "COLUMN",
            split = ",",
            description = "of the dataset: carried along, such as the source or the language")
    private List<String> columns = List.of();

    @Option(
            names = "--as-on-dashboards",
            description = "activations as dashboards show them, after folding decoder norms (default: as the SAE gives"
                    + " them)")
    private boolean asOnDashboards;

    @Option(names = "--include-special-tokens", description = "positions of special tokens too")
    private boolean includeSpecialTokens;

    @Override
    public Integer call() {
        if (!columns.isEmpty() && id == null)
            throw new InputException("--columns needs --id, the column that names a document: Spark reads files with"
                    + " their columns in no order.");
        ModelAndSae names = models.names();
        documents.check(models);
        return Main.inSession("activations", spark -> write(spark, names));
    }

    private void write(SparkSession spark, ModelAndSae names) {
        Executor.Loaded loaded = models.load(names);
        List<String> needed = new ArrayList<>(columns);
        if (id != null) needed.add(id);
        ActivationTable table = ActivationTable.of(names)
                .columns(columns.toArray(String[]::new))
                .features(features.of(loaded.sae().config().dSae()))
                .context(contextOptions.of(loaded.sae(), loaded.model()));
        if (id != null) table.id(id);
        if (asOnDashboards) table.asOnDashboards();
        if (includeSpecialTokens) table.withEndOfText();
        table.write(documents.documents(spark, needed), out);
        models.print("Wrote " + out);
    }
}
