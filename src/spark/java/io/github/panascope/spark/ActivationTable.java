package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.sae.Sae;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.jspecify.annotations.Nullable;

/**
 * The activations of documents as a table, to be asked with SQL: one line for each token and feature whose activation
 * is not zero. Each document is tokenized by itself and cut into rows of at most {@link #context} tokens, which begin
 * with the bos token if the SAE's {@code prepend_bos} says so; each row runs alone. So the numbers depend
 * neither on other documents nor on partitions, and are those of {@link Sae#encode} after a run of the model over the
 * row.
 *
 * <p>The columns are
 *
 * <ul>
 * <li>{@code document}: the value of the {@link #id} column, or the number of the document in order, a bigint from 0
 * <li>the {@link #columns} that are carried along, with their names and types
 * <li>{@code row}: the number of the row in its document, an int from 0
 * <li>{@code position}: the position in the row, an int from 0, the bos token included
 * <li>{@code token}: the text of the token, a string; bytes that form no whole character are U+FFFD
 * <li>{@code feature}: the number of the feature, an int
 * <li>{@code activation}: the activation, a float
 * </ul>
 *
 * <pre>{@code
 * static void write(SparkSession spark, Dataset<Row> pile) {
 *     ActivationTable.of(ModelAndSae.of("gpt2-small-res-jb/blocks.8.hook_resid_pre"))
 *             .id("id")
 *             .columns("source")
 *             .write(Documents.of(pile, "text"), "hdfs:///activations/pile");
 *     spark.read().parquet("hdfs:///activations/pile").createOrReplaceTempView("activations");
 *     spark.sql("SELECT source, count(DISTINCT document) FROM activations WHERE feature = 748 GROUP BY source")
 *             .show();
 * }
 * }</pre>
 */
public final class ActivationTable {
    /** The number of consecutive features that lie in one folder of a table that is written. */
    public static final int BLOCK = 1024;

    private static final String FEATURE_BLOCK = "feature_block";
    private static final List<String> TAKEN =
            List.of(DocumentRows.ROW, "position", "token", "feature", "activation", FEATURE_BLOCK);

    private final ModelAndSae names;
    private @Nullable String id;
    private List<String> columns = List.of();
    private int @Nullable [] features;
    private int context;
    private boolean asShown;
    private boolean endOfText;

    private ActivationTable(ModelAndSae names) {
        this.names = names;
    }

    /**
     * Prepares a table of all features of an SAE.
     *
     * @param names the model and the SAE
     * @return the table
     */
    public static ActivationTable of(ModelAndSae names) {
        return new ActivationTable(names);
    }

    /**
     * Sets the column that names a document. Without one, documents are numbered in their order, for which Spark counts
     * the documents of each partition first.
     *
     * @param column the name of a column whose values differ, of a type that can be sorted
     * @return this table
     */
    public ActivationTable id(String column) {
        id = column;
        return this;
    }

    /**
     * Sets the columns of the documents that are carried along, such as the source or the language.
     *
     * @param carried the names of the columns
     * @return this table
     */
    public ActivationTable columns(String... carried) {
        columns = List.of(carried);
        return this;
    }

    /**
     * Sets the features that the table has. The default is all.
     *
     * @param chosen the numbers of the features, from 0; repetitions are ignored
     * @return this table
     */
    public ActivationTable features(int... chosen) {
        features = Arrays.stream(chosen).distinct().sorted().toArray();
        return this;
    }

    /**
     * Sets the number of tokens of the longest rows, the bos token included. The default is the context size of
     * the SAE's training, but at most the model's n_ctx.
     *
     * @param tokens the number of tokens, at least 2 and at most the model's n_ctx
     * @return this table
     * @throws IllegalArgumentException if the number is less than 2
     */
    public ActivationTable context(int tokens) {
        if (tokens < 2) throw new IllegalArgumentException("rows should have at least 2 tokens, not " + tokens);
        context = tokens;
        return this;
    }

    /**
     * Makes the activations those that dashboards show: of the SAE after {@link Sae#foldWDecNorm}, where each
     * activation is multiplied by the norm of its feature's decoder row. A TopK SAE that does not rescale by these
     * norms is shown as it is. The default is the SAE as it was published.
     *
     * @return this table
     */
    public ActivationTable asOnDashboards() {
        asShown = true;
        return this;
    }

    /**
     * Includes positions of special tokens. The default leaves them out, because at the first position of a row
     * GPT-2's activations are many times larger than elsewhere, and many features are active there whatever the text
     * is.
     *
     * @return this table
     */
    public ActivationTable withEndOfText() {
        endOfText = true;
        return this;
    }

    /**
     * Returns the table of documents. Nothing is computed before Spark needs it, and everything is computed again each
     * time: {@link #write} it, or persist it, before asking several questions. A partition of the documents is the work
     * of one task.
     *
     * @param documents the documents
     * @return the table, in no order
     * @throws InputException if the documents have no such column, or a carried column has a name that the table uses
     *     for itself. If an executor cannot load the model and the SAE, the SAE lacks a feature, or the model cannot
     *     run rows of that length, the Spark job fails with such a sentence.
     */
    public Dataset<Row> rows(Documents documents) {
        Dataset<Row> cut = DocumentRows.cut(DocumentRows.named(documents, id, columns, TAKEN), names, context);
        StructType schema = DocumentRows.withoutLast(cut.schema())
                .add("position", DataTypes.IntegerType, false)
                .add("token", DataTypes.StringType, false)
                .add("feature", DataTypes.IntegerType, false)
                .add("activation", DataTypes.FloatType, false);
        return cut.flatMap(run(cut.schema().size() - 1), Encoders.row(schema));
    }

    private FlatMapFunction<Row, Row> run(int ids) {
        ModelAndSae wanted = names;
        int[] chosen = features;
        boolean shown = asShown;
        boolean all = endOfText;
        return row -> {
            Executor.Loaded loaded = Executor.load(wanted);
            int[] tokens = DocumentRows.ids(row, ids);
            return ActiveFeature.of(loaded, shown ? loaded.shown() : loaded.sae(), tokens, chosen, all).stream()
                    .map(active -> DocumentRows.with(
                            new Object[0],
                            row,
                            ids,
                            active.position(),
                            active.token(),
                            active.feature(),
                            active.activation()))
                    .iterator();
        };
    }

    /**
     * Computes the table and writes it as Parquet into a folder of any Hadoop file system. Blocks of {@value #BLOCK}
     * features lie in folders of their own ({@code feature_block=0} and so on, a column that Spark adds when it reads
     * the table), and each file is sorted by feature, so that a question about a feature reads little:
     * {@code WHERE feature_block = 0 AND feature = 748}. The files appear when the whole table is done.
     *
     * @param documents the documents
     * @param folder    the URI of a folder that does not exist yet
     * @throws InputException as {@link #rows} says; or if the folder exists, or cannot be written
     */
    public void write(Documents documents, String folder) {
        HadoopFiles files = HadoopFiles.at(folder);
        if (files.size("") >= 0)
            throw new InputException(files
                    + (files.size("_SUCCESS") >= 0 ? " exists already" : " exists already, without a whole table in it")
                    + ": use another folder, or delete it.");
        Dataset<Row> blocks = rows(documents)
                .withColumn(
                        "feature_block", functions.expr("feature div " + BLOCK).cast(DataTypes.IntegerType))
                .sortWithinPartitions(FEATURE_BLOCK, "feature", DocumentRows.DOCUMENT, DocumentRows.ROW, "position");
        try {
            Jobs.described(blocks.sparkSession().sparkContext(), "Writing activations of " + names.saeName(), () -> {
                blocks.write().partitionBy(FEATURE_BLOCK).parquet(files.toString());
                return null;
            });
        } finally {
            if (files.list().isEmpty()) files.delete(""); // what Spark leaves of a table that failed
        }
    }
}
