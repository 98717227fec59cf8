package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.metrics.SaeEvals;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Torch;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.function.Function2;
import org.apache.spark.api.java.function.MapFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.jspecify.annotations.Nullable;
import scala.Tuple2;

/**
 * Evaluates an SAE over documents by themselves, to be asked which data it reconstructs badly: for each document, or
 * for groups of documents, such as those of a source or a language. Each document is cut into rows as
 * {@link ActivationTable} cuts it, and each row runs alone. The sums of rows are merged exactly, so that the numbers
 * depend on no partitions: those of a group are the numbers of {@link SaeEvals} of its rows in batches of one.
 *
 * <p>The results have columns with the names of {@link SaeEvals#metrics}: kl_div_score, kl_div_with_ablation,
 * kl_div_with_sae, ce_loss_score, ce_loss_with_ablation, ce_loss_with_sae, ce_loss_without_sae, explained_variance,
 * mse, cossim, l2_norm_in, l2_norm_out, l2_ratio, l0 and l1, without the two that are means over batches. They are
 * doubles, in nats where they are losses or divergences, and null where a metric is not defined, such as the loss of a
 * document of one token. Positions of special tokens do not count.
 *
 * <pre>{@code
 * static Dataset<Row> worstSources(Dataset<Row> pile) {
 *     return DocumentEvals.of(ModelAndSae.of("gpt2-small-res-jb/blocks.8.hook_resid_pre"))
 *             .by(Documents.of(pile, "text"), "source")
 *             .orderBy("ce_loss_score");
 * }
 * }</pre>
 */
public final class DocumentEvals {
    private static final String POSITIONS = "positions";
    private static final String DOCUMENTS = "documents";
    private static final Set<String> OF_BATCHES = Set.of("explained_variance_legacy", "relative_reconstruction_bias");
    private static final List<String> METRICS =
            List.copyOf(metrics(new SaeEvals()).keySet());

    private final ModelAndSae names;
    private @Nullable String id;
    private List<String> columns = List.of();
    private int context;

    private DocumentEvals(ModelAndSae names) {
        this.names = names;
    }

    /**
     * Prepares evaluations.
     *
     * @param names the model and the SAE
     * @return the evaluations
     */
    public static DocumentEvals of(ModelAndSae names) {
        return new DocumentEvals(names);
    }

    /**
     * Sets the column that names a document in {@link #rows}. Without one, documents are numbered in their order.
     *
     * @param column the name of a column
     * @return these evaluations
     */
    public DocumentEvals id(String column) {
        id = column;
        return this;
    }

    /**
     * Sets the columns of the documents that {@link #rows} carries along.
     *
     * @param carried the names of the columns
     * @return these evaluations
     */
    public DocumentEvals columns(String... carried) {
        columns = List.of(carried);
        return this;
    }

    /**
     * Sets the number of tokens of the longest rows, the bos token included. The default is the context size of
     * the SAE's training, but at most the model's n_ctx.
     *
     * @param tokens the number of tokens, at least 2 and at most the model's n_ctx
     * @return these evaluations
     * @throws IllegalArgumentException if the number is less than 2
     */
    public DocumentEvals context(int tokens) {
        if (tokens < 2) throw new IllegalArgumentException("rows should have at least 2 tokens, not " + tokens);
        context = tokens;
        return this;
    }

    /**
     * Evaluates each document. Nothing is computed before Spark needs it, and everything is computed again each time.
     *
     * @param documents the documents
     * @return a table with the columns {@code document}, the value of the {@link #id} column or the number of the
     *     document, a bigint from 0; the {@link #columns} that are carried along; {@code positions}, a bigint; and the
     *     metrics
     * @throws InputException if the documents have no such column, or a carried column has a name that the table uses
     *     for itself. If an executor cannot load the model and the SAE, or the model cannot run rows of that length,
     *     the Spark job fails with such a sentence.
     */
    public Dataset<Row> rows(Documents documents) {
        List<String> taken = new ArrayList<>(METRICS);
        taken.add(POSITIONS);
        Dataset<Row> named = DocumentRows.named(documents, id, columns, taken);
        int text = named.schema().size() - 1;
        ModelAndSae wanted = names;
        int longest = context;
        MapFunction<Row, Row> evaluate = document -> DocumentRows.with(
                new Object[0], document, text, values(evals(wanted, document.getString(text), longest)));
        StructType schema = DocumentRows.withoutLast(named.schema());
        return named.map(evaluate, Encoders.row(withMetrics(schema)));
    }

    /**
     * Evaluates groups of documents: those with equal values in some columns. Nothing is computed before Spark needs
     * it, and everything is computed again each time.
     *
     * @param documents the documents
     * @param grouping  the names of the columns, at least one
     * @return a table with these columns; {@code documents} and {@code positions}, their numbers, bigints; and the
     *     metrics. It has a line for each group, in no order
     * @throws IllegalArgumentException if no column is named
     * @throws InputException as {@link #rows} says
     */
    public Dataset<Row> by(Documents documents, String... grouping) {
        if (grouping.length == 0) throw new IllegalArgumentException("name a column to group documents by");
        List<String> taken = new ArrayList<>(METRICS);
        taken.addAll(List.of(DOCUMENTS, POSITIONS));
        Dataset<Row> table = DocumentRows.selected(documents, List.of(grouping), taken);
        int text = table.schema().size() - 1;
        ModelAndSae wanted = names;
        int longest = context;
        Function2<Group, String, Group> add = (group, document) -> group.add(1, evals(wanted, document, longest));
        Function2<Group, Group, Group> merge = (group, other) -> group.add(other.documents, other.evals);
        JavaRDD<Row> groups = table.javaRDD()
                .mapToPair(document ->
                        new Tuple2<>(DocumentRows.with(new Object[0], document, text), document.getString(text)))
                .aggregateByKey(new Group(), add, merge)
                .map(group ->
                        DocumentRows.with(new Object[0], group._1, text, values(group._2.evals, group._2.documents)));
        StructType schema = DocumentRows.withoutLast(table.schema()).add(DOCUMENTS, DataTypes.LongType, false);
        return table.sparkSession().createDataFrame(groups, withMetrics(schema));
    }

    /** The documents of a group that are merged so far. */
    private static final class Group implements Serializable {
        private static final long serialVersionUID = 1L;
        private final SaeEvals evals = new SaeEvals();
        private long documents;

        Group add(long more, SaeEvals other) {
            documents += more;
            evals.merge(other);
            return this;
        }
    }

    /** Evaluates the rows of a text in which a position counts. */
    private static SaeEvals evals(ModelAndSae names, String text, int context) {
        Executor.Loaded loaded = Executor.load(names);
        Set<Integer> excluded =
                Arrays.stream(loaded.model().tokenizer().bosEosPad()).boxed().collect(Collectors.toSet());
        SaeEvals evals = new SaeEvals();
        for (int[] row : DocumentRows.of(loaded, text, context)) {
            if (Arrays.stream(row).allMatch(excluded::contains)) continue;
            try (var _ = Torch.singleThreaded();
                    var _ = TensorScope.open()) {
                evals.merge(SaeEvals.run(
                        loaded.model(), loaded.sae(), DocumentRows.tensor(loaded, row), 1, 1, true, _ -> {}));
            }
        }
        return evals;
    }

    private static StructType withMetrics(StructType schema) {
        StructType all = schema.add(POSITIONS, DataTypes.LongType, false);
        for (String metric : METRICS) all = all.add(metric, DataTypes.DoubleType);
        return all;
    }

    /** {@return some values, the number of positions, and the metrics} */
    private static Object[] values(SaeEvals evals, Object... before) {
        List<Object> values = new ArrayList<>(Arrays.asList(before));
        values.add(evals.positions());
        Map<String, Double> metrics = metrics(evals);
        for (String metric : METRICS) values.add(metrics.get(metric).isNaN() ? null : metrics.get(metric));
        return values.toArray();
    }

    private static Map<String, Double> metrics(SaeEvals evals) {
        Map<String, Double> all = new LinkedHashMap<>();
        evals.metrics().values().forEach(all::putAll);
        all.keySet().removeAll(OF_BATCHES);
        return all;
    }
}
