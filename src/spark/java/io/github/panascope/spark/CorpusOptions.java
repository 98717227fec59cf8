package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.cli.ContextOptions;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.ChunkingStrategy;
import java.util.Arrays;
import java.util.stream.Collectors;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The options that choose documents, and how rows of tokens are made of them. */
final class CorpusOptions {
    @Option(
            names = "--dataset",
            paramLabel = "FILE|DIR|TABLE",
            description = "Parquet or JSON Lines with a `text` column, plain text, or a folder of them: a path or a URI"
                    + " such as hdfs://nn/pile or s3a://bucket/pile that all machines reach; or a table of Spark's"
                    + " catalog (default: the demo's)")
    private String dataset;

    @Option(
            names = "--split",
            paramLabel = "NAME",
            defaultValue = "train",
            description = "of a dataset that is split (default: ${DEFAULT-VALUE})")
    private String split;

    @Option(names = "--column", paramLabel = "NAME", description = "of the dataset, for text (default: text)")
    private String column;

    @Option(
            names = "--order-by",
            paramLabel = "COLUMN",
            description = "of a table: the order of its documents (default: that of the table)")
    private String orderBy;

    @Option(
            names = "--tokenization",
            paramLabel = "character-chunks|whitespace-chunks|per-document",
            defaultValue = "character-chunks",
            description = "TransformerLens's algorithm until 2.17 (default), of 2.18, or of later 3.x")
    private String tokenization;

    @Mixin
    private ContextOptions context;

    /**
     * Checks the options before anything is computed.
     *
     * @throws InputException if one has a value that cannot be used
     */
    void check(ModelOptions models) {
        algorithm();
        if (dataset == null && !models.demo())
            throw new InputException("--dataset is needed with a model other than the demo's.");
        if (dataset == null && orderBy != null)
            throw new InputException("--order-by is for a table: the demo's documents have no other column.");
    }

    private ChunkingStrategy algorithm() {
        for (ChunkingStrategy algorithm : ChunkingStrategy.values())
            if (algorithm.toString().equals(tokenization)) return algorithm;
        throw new InputException("--tokenization should be "
                + Arrays.stream(ChunkingStrategy.values())
                        .map(ChunkingStrategy::toString)
                        .collect(Collectors.joining(", "))
                + ", not '" + tokenization + "'.");
    }

    /** {@return the documents} */
    Documents documents(SparkSession spark) {
        if (dataset == null) return Documents.demo(spark);
        if (!isTable(spark)) {
            if (orderBy != null)
                throw new InputException("--order-by is for a table of Spark's catalog: the files of " + dataset
                        + " are read in the order of their names.");
            return Documents.read(spark, dataset, split, column);
        }
        Documents table = Documents.of(spark.table(dataset), column == null ? "text" : column);
        return orderBy == null ? table : table.orderedBy(orderBy);
    }

    private boolean isTable(SparkSession spark) {
        return dataset.matches("\\w+(\\.\\w+){0,2}") && spark.catalog().tableExists(dataset);
    }

    /** Tokenizes the documents; the caller closes the rows. */
    TokenRows rows(SparkSession spark, ModelAndSae names, Executor.Loaded loaded) {
        return TokenRows.of(
                documents(spark),
                names,
                algorithm(),
                context(loaded.sae(), loaded.model()),
                loaded.sae().config().prependBos());
    }

    /** {@return the number of tokens in a row} */
    int context(Sae sae, HookedTransformer model) {
        return context.of(sae, model);
    }

    /** {@return the name of the dataset for messages and pages} */
    String name() {
        return dataset == null ? "demo" : dataset;
    }

    /** {@return a description of the text, word for word that of the one-machine command line} */
    String description(Sae sae) {
        boolean splits = dataset != null
                && !split.equals("train")
                && HadoopFiles.at(dataset).isFolder();
        return name() + ", " + tokenization + (column == null ? "" : ", column " + column)
                + (splits ? ", split " + split : "")
                + (sae.config().prependBos() ? "" : ", without <|endoftext|>");
    }
}
