package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.demo.DemoBundle;
import java.nio.file.Path;
import java.util.List;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Option;

/** The options that choose documents. */
final class DocumentOptions {
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
            description = "of a table, which needs it: the order of its documents, by a column whose values differ")
    private String orderBy;

    /**
     * Checks the options before anything is computed.
     *
     * @throws InputException if one has a value that cannot be used
     */
    void check(ModelOptions models) {
        if (dataset == null && !models.demo())
            throw new InputException("--dataset is needed with a model other than the demo's.");
        if (dataset == null && orderBy != null)
            throw new InputException("--order-by is for a table: the demo's documents have no other column.");
    }

    /**
     * Returns the documents.
     *
     * @param columns other columns that are needed; files are then read by Spark, which has them
     */
    Documents documents(SparkSession spark, List<String> columns) {
        String text = column == null ? "text" : column;
        boolean isTable = dataset != null && isTable(spark);
        if (orderBy != null && !isTable)
            throw new InputException("--order-by is for a table of Spark's catalog: the files of " + name()
                    + " are read in the order of their names.");
        if (isTable) {
            if (orderBy == null)
                throw new InputException(
                        "--order-by is needed for the table " + dataset + ": name a column whose values differ,"
                                + " because Spark reads the files of a table"
                                + " in an order that depends on the cluster.");
            return Documents.of(spark.table(dataset), text).orderedBy(orderBy);
        }
        if (!columns.isEmpty())
            return Documents.of(CorpusFiles.table(spark, dataset == null ? demo() : dataset, split), text);
        return dataset == null ? Documents.demo(spark) : Documents.read(spark, dataset, split, column);
    }

    private static String demo() {
        return Path.of(DemoBundle.find().dataset()).toUri().toString();
    }

    private boolean isTable(SparkSession spark) {
        try {
            return dataset.matches("\\w+(\\.\\w+){0,2}") && spark.catalog().tableExists(dataset);
        } catch (Exception e) { // Scala throws checked exceptions: a name of a file is no name of a table
            return false;
        }
    }

    /** {@return the name of the dataset for messages and pages} */
    String name() {
        return dataset == null ? "demo" : dataset;
    }

    /** {@return the column and the split if they are not the defaults, as the one-machine command line names them} */
    String selection() {
        boolean splits = dataset != null
                && !split.equals("train")
                && HadoopFiles.at(dataset).isFolder();
        return (column == null ? "" : ", column " + column) + (splits ? ", split " + split : "");
    }
}
