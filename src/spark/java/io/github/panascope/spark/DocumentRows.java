package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.tokens.Tokenizer;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import java.nio.ByteBuffer;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.jspecify.annotations.Nullable;

/**
 * Documents by themselves: each is tokenized and cut into rows of its own, of which the last is shorter. A row begins
 * with the bos token if the SAE's {@code prepend_bos} says so. What a row gives depends on no other document.
 */
final class DocumentRows {
    static final String DOCUMENT = "document";
    static final String ROW = "row";

    private DocumentRows() {}

    /**
     * Selects columns of documents.
     *
     * @param carried the names of columns of the table
     * @param taken   names in lower case that the result needs for itself
     * @return a table of the columns and the text
     * @throws InputException if the table has no such column, or a column has a name that is taken
     */
    static Dataset<Row> selected(Documents documents, List<String> carried, Collection<String> taken) {
        return selected(documents, List.of(), carried, taken);
    }

    /**
     * Names documents and selects columns of them.
     *
     * @param id      the column that names a document; null to number the documents from 0
     * @param carried the names of other columns of the table
     * @param taken   names in lower case that the result needs for itself
     * @return a table of the document's name, the columns and the text
     * @throws InputException if the table has no such column, or a carried column has a name that is taken
     */
    static Dataset<Row> named(
            Documents documents, @Nullable String id, List<String> carried, Collection<String> taken) {
        List<String> all = new ArrayList<>(taken);
        all.add(DOCUMENT);
        if (id == null) return numbered(selected(documents, List.of(), carried, all));
        Column name = column(documents.table().schema(), id).as(DOCUMENT);
        return selected(documents, List.of(name), carried, all);
    }

    private static Dataset<Row> selected(
            Documents documents, List<Column> first, List<String> carried, Collection<String> taken) {
        Set<String> names = new HashSet<>(taken);
        List<Column> columns = new ArrayList<>(first);
        for (String name : carried) {
            columns.add(column(documents.table().schema(), name));
            if (!names.add(name.toLowerCase(Locale.ROOT)))
                throw new InputException("the column '" + name + "' cannot be carried along, because the result has one"
                        + " of that name: rename it with withColumnRenamed.");
        }
        columns.add(Documents.column(documents.textColumn()));
        return documents.table().select(columns.toArray(Column[]::new));
    }

    private static Column column(StructType schema, String name) {
        if (!schema.getFieldIndex(name).isDefined())
            throw new InputException(
                    "the table has no column '" + name + "'; it has " + String.join(", ", schema.fieldNames()) + ".");
        return Documents.column(name);
    }

    /** Numbers documents in order; where there are several partitions, Spark counts the documents of each first. */
    private static Dataset<Row> numbered(Dataset<Row> table) {
        JavaRDD<Row> rows = table.javaRDD()
                .zipWithIndex()
                .map(document -> with(new Object[] {document._2}, document._1, document._1.size()));
        StructType schema = new StructType().add(DOCUMENT, DataTypes.LongType, false);
        for (StructField field : table.schema().fields()) schema = schema.add(field);
        return table.sparkSession().createDataFrame(rows, schema);
    }

    /** {@return a row of some values, the first values of a row, and more values} */
    static Row with(Object[] before, Row row, int count, Object... after) {
        Object[] values = Arrays.copyOf(before, before.length + count + after.length);
        for (int i = 0; i < count; i++) values[before.length + i] = row.get(i);
        System.arraycopy(after, 0, values, before.length + count, after.length);
        return RowFactory.create(values);
    }

    /** {@return the columns of a table without the last} */
    static StructType withoutLast(StructType schema) {
        return new StructType(Arrays.copyOf(schema.fields(), schema.size() - 1));
    }

    /**
     * Cuts documents into rows.
     *
     * @param named   the documents, as {@link #named} returns them
     * @param context the number of tokens in a row; 0 for that of the SAE
     * @return a table of the document's name, the carried columns, the number of the row in the document, and its token
     *     ids as {@link #ids} reads them
     */
    static Dataset<Row> cut(Dataset<Row> named, ModelAndSae names, int context) {
        int text = named.schema().size() - 1;
        StructType schema = withoutLast(named.schema())
                .add(ROW, DataTypes.IntegerType, false)
                .add("ids", DataTypes.BinaryType, false);
        FlatMapFunction<Row, Row> cut = document -> {
            List<int[]> rows = of(Executor.load(names), document.getString(text), context);
            return IntStream.range(0, rows.size())
                    .mapToObj(row -> with(new Object[0], document, text, row, bytes(rows.get(row))))
                    .iterator();
        };
        return spread(named).flatMap(cut, Encoders.row(schema));
    }

    /** {@return a table in at least as many partitions as tasks run at once: a file is read by one task} */
    private static Dataset<Row> spread(Dataset<Row> table) {
        int tasks = table.sparkSession().sparkContext().defaultParallelism();
        return table.rdd().getNumPartitions() < tasks ? table.repartition(tasks) : table;
    }

    /** Numbers in an array would be boxed one by one. */
    private static byte[] bytes(int[] ids) {
        ByteBuffer bytes = ByteBuffer.allocate(Integer.BYTES * ids.length);
        bytes.asIntBuffer().put(ids);
        return bytes.array();
    }

    /** {@return the token ids in a column of a table that {@link #cut} returned} */
    static int[] ids(Row row, int column) {
        IntBuffer bytes = ByteBuffer.wrap(row.getAs(column)).asIntBuffer();
        int[] ids = new int[bytes.remaining()];
        bytes.get(ids);
        return ids;
    }

    /**
     * Cuts a text into rows.
     *
     * @param context the number of tokens in a row, the bos token included; 0 for that of the SAE's training,
     *     but at most the model's n_ctx
     * @return the token ids of each row; none if the text is empty
     * @throws InputException if the model cannot run rows of that length
     */
    static List<int[]> of(Executor.Loaded loaded, String text, int context) {
        Tokenizer tokenizer = loaded.model().tokenizer();
        int[] ids = tokenizer.encode(text);
        int bos = bos(loaded);
        int longest = context(loaded, context) - bos;
        List<int[]> rows = new ArrayList<>();
        for (int first = 0; first < ids.length; first += longest) {
            int length = Math.min(longest, ids.length - first);
            int[] row = new int[bos + length];
            if (bos > 0) row[0] = tokenizer.bos();
            System.arraycopy(ids, first, row, bos, length);
            rows.add(row);
        }
        return rows;
    }

    /** {@return 1 if each row begins with a bos token that is none of the text's, otherwise 0} */
    static int bos(Executor.Loaded loaded) {
        return loaded.sae().config().prependBos() ? 1 : 0;
    }

    private static int context(Executor.Loaded loaded, int wanted) {
        int longest = loaded.model().config().nCtx();
        if (wanted > longest)
            throw new InputException("rows of " + wanted + " tokens are longer than the " + longest
                    + " that the model can run: choose a context of at most " + longest + ".");
        if (wanted > 0) return wanted;
        int trained = loaded.sae().config().contextSize();
        return trained > 1 ? Math.min(trained, longest) : longest;
    }

    /** {@return a row of tokens as the model takes it: int64 [1, length] on the model's device} */
    static Tensor tensor(Executor.Loaded loaded, int[] row) {
        return Tensor.of(
                Arrays.stream(row).asLongStream().toArray(),
                Shape.of(1, row.length),
                loaded.model().device());
    }
}
