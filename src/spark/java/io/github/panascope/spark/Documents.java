package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.data.TextDataset;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.jspecify.annotations.Nullable;
import scala.Tuple2;

/**
 * The documents of a corpus, in an order. The order decides how documents are joined into rows, so it has to be one
 * that Spark finds again: that of a column, or that of {@link #read}. Spark reads the files of a table in an order that
 * depends on their sizes and on the number of cores, so that a table of files needs {@link #orderedBy}. Documents whose
 * text is null are left out.
 */
public final class Documents {
    private final Dataset<Row> table;
    private final String text;

    private Documents(Dataset<Row> table, String text) {
        this.table = table;
        this.text = text;
    }

    /**
     * Returns the documents of a table, in the table's order.
     *
     * @param table the table
     * @param text  the name of the column with the text, a string
     * @return the documents
     * @throws InputException if the table has no such column, or one of another type
     */
    public static Documents of(Dataset<Row> table, String text) {
        StructType schema = table.schema();
        if (!schema.getFieldIndex(text).isDefined())
            throw new InputException(
                    "the table has no column '" + text + "'; it has " + String.join(", ", schema.fieldNames()) + ".");
        if (!schema.apply(text).dataType().equals(DataTypes.StringType))
            throw new InputException("the column '" + text + "' should hold text, not "
                    + schema.apply(text).dataType().simpleString() + ".");
        return new Documents(table.filter(column(text).isNotNull()), text);
    }

    /**
     * Returns documents, in the dataset's order.
     *
     * @param texts the text of each document
     * @return the documents
     */
    public static Documents of(Dataset<String> texts) {
        return of(texts.toDF("text"), "text");
    }

    /**
     * Returns the documents of files, in their order: the documents that {@link TextDataset} reads on one machine. A
     * task reads a file, so that a corpus of many files is read by many tasks.
     *
     * @param spark  the session
     * @param place  a file, or a folder of files: a path, or a URI such as {@code hdfs://nn/pile} or
     *     {@code s3a://bucket/pile}; a path without a scheme lies in Hadoop's default file system. All machines have to
     *     reach it
     * @param split  the split, such as {@code train}; ignored for a single file
     * @param column the Parquet column or JSON field with the text; null for {@code text}
     * @return the documents
     * @throws InputException if there is no such file or folder, or it has no files of the split
     */
    public static Documents read(SparkSession spark, String place, String split, @Nullable String column) {
        return of(spark.createDataset(
                CorpusFiles.texts(spark, place, split, column).rdd(), Encoders.STRING()));
    }

    /**
     * Returns the documents of the demo bundle. Each executor reads them from the artefact {@code panascope-demo}.
     *
     * @param spark the session
     * @return the documents
     */
    public static Documents demo(SparkSession spark) {
        return of(spark.createDataset(CorpusFiles.demo(spark).rdd(), Encoders.STRING()));
    }

    /**
     * Returns these documents in the order of a column, whatever the partitions of the table are.
     *
     * @param column the name of a column whose values differ, such as the number of the document
     * @return the documents
     */
    public Documents orderedBy(String column) {
        return new Documents(table.orderBy(column(column)), text);
    }

    /** {@return the table, in order, without documents whose text is null} */
    public Dataset<Row> table() {
        return table;
    }

    /** {@return the name of the column with the text} */
    public String textColumn() {
        return text;
    }

    /** {@return a column of a table; its name may hold a dot} */
    static Column column(String name) {
        return functions.col("`" + name.replace("`", "``") + "`");
    }

    /** {@return the texts by the number of their document, from 0, ascending over partitions and in each} */
    JavaPairRDD<Long, String> numbered() {
        JavaRDD<String> texts = table.select(column(text)).javaRDD().map(row -> row.getString(0));
        return texts.zipWithIndex().mapToPair(document -> new Tuple2<>(document._2, document._1));
    }
}
