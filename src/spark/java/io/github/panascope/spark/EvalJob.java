package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.lens.RowsAtOnce;
import io.github.panascope.metrics.SaeEvals;
import io.github.panascope.metrics.TutorialMetrics;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Torch;
import java.io.Serializable;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.IntConsumer;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.api.java.function.Function2;
import scala.Tuple2;

/**
 * Evaluates an SAE over the rows of a corpus on the executors of a Spark application: the tutorial's metrics, or those
 * of SAELens. The rows are cut into units of whole batches, and the sums of units are merged exactly. So the result is
 * that of one machine with the instruction set of the executors, on one thread, to the last bit, whatever the number of
 * partitions and executors is. A task uses one thread.
 *
 * <pre>{@code
 * static double l0(SparkSession spark, Dataset<Row> pile) {
 *     ModelAndSae names = ModelAndSae.of("gpt2-small-res-jb/blocks.8.hook_resid_pre");
 *     Documents documents = Documents.of(pile, "text").orderedBy("id");
 *     try (TokenRows rows = TokenRows.of(
 *             documents, names, ChunkingStrategy.CHARACTER_CHUNKS, 128, true)) {
 *         return EvalJob.of(names).evals(rows).metrics().get("sparsity").get("l0");
 *     }
 * }
 * }</pre>
 *
 * {@link DocumentEvals} evaluates each document, or groups of documents.
 */
public final class EvalJob {
    /** Ends a task that Spark has cancelled. */
    private static final IntConsumer STOPPING = _ -> TaskContext.get().killTaskIfInterrupted();

    /** A unit has this many rows, or a few more to make whole batches. */
    private static final int UNIT_ROWS = 256;

    private static final int PARTITIONS_A_SLOT = 4;

    private final ModelAndSae names;
    private int rowsAtOnce;
    private int batchSizePrompts = 16;
    private boolean excludeSpecialTokens = true;

    private EvalJob(ModelAndSae names) {
        this.names = names;
    }

    /**
     * Prepares an evaluation.
     *
     * @param names the model and the SAE
     * @return the job
     */
    public static EvalJob of(ModelAndSae names) {
        return new EvalJob(names);
    }

    /**
     * Sets the number of rows that run together for {@link #tutorial}. The default suits the device of the executors: 8
     * on the CPU.
     *
     * @param rows the number of rows, at least 1
     * @return this job
     * @throws IllegalArgumentException if the number is less than 1
     */
    public EvalJob rowsAtOnce(int rows) {
        if (rows < 1) throw new IllegalArgumentException("at least one row runs at once, not " + rows);
        rowsAtOnce = rows;
        return this;
    }

    /**
     * Sets the number of rows of a batch for {@link #evals}, for the two metrics that are means over batches. The
     * default is 16, as with SAELens.
     *
     * @param rows the number of rows, at least 1
     * @return this job
     * @throws IllegalArgumentException if the number is less than 1
     */
    public EvalJob batchSizePrompts(int rows) {
        if (rows < 1) throw new IllegalArgumentException("a batch needs at least one row, not " + rows);
        batchSizePrompts = rows;
        return this;
    }

    /**
     * Counts positions of special tokens in {@link #evals} too. The default excludes them.
     *
     * @return this job
     */
    public EvalJob includeSpecialTokens() {
        excludeSpecialTokens = false;
        return this;
    }

    /**
     * Computes L0, explained variance and the three losses of all rows, as {@link TutorialMetrics#run} does.
     *
     * @param rows the rows, each beginning with the bos token
     * @return the metrics
     * @throws InputException if an executor cannot load the model and the SAE
     */
    public TutorialMetrics tutorial(TokenRows rows) {
        int batch = rowsAtOnce > 0 ? rowsAtOnce : rowsThatSuit(rows);
        return merged(
                rows,
                batch,
                new TutorialMetrics(),
                (loaded, tokens) -> TutorialMetrics.run(loaded.model(), loaded.sae(), tokens, batch, STOPPING),
                TutorialMetrics::merge);
    }

    /**
     * Computes the metrics of {@code sae_lens.evals} of all rows, as {@link SaeEvals#run} does. All rows count for all
     * metrics.
     *
     * @param rows the rows
     * @return the evaluation
     * @throws InputException if an executor cannot load the model and the SAE
     */
    public SaeEvals evals(TokenRows rows) {
        int batch = batchSizePrompts;
        boolean exclude = excludeSpecialTokens;
        return merged(
                rows,
                batch,
                new SaeEvals(),
                (loaded, tokens) -> SaeEvals.run(
                        loaded.model(), loaded.sae(), tokens, batch, (int) tokens.size(0), exclude, STOPPING),
                SaeEvals::merge);
    }

    /** The evaluation of the rows of a unit, int64 [rows, context]. */
    private interface Evaluation<T> extends Serializable {
        T of(Executor.Loaded loaded, Tensor tokens);
    }

    private interface Merging<T> extends Serializable {
        void merge(T into, T other);
    }

    /** Returns the number of rows that suit the device of the executors, which one of them tells. */
    private int rowsThatSuit(TokenRows rows) {
        ModelAndSae wanted = names;
        int context = rows.context();
        JavaSparkContext spark = spark(rows);
        return Jobs.described(
                spark.sc(),
                "Loading " + names.saeName(),
                () -> spark.parallelize(List.of(0), 1)
                        .map(_ -> RowsAtOnce.on(Executor.load(wanted).model().device(), context))
                        .first());
    }

    private static JavaSparkContext spark(TokenRows rows) {
        return JavaSparkContext.fromSparkContext(rows.rdd().context());
    }

    private <T> T merged(TokenRows rows, int batch, T none, Evaluation<T> evaluation, Merging<T> merging) {
        ModelAndSae wanted = names;
        JavaSparkContext spark = spark(rows);
        long unit = (long) Math.ceilDiv(UNIT_ROWS, batch) * batch;
        int partitions =
                (int) Math.min(Math.ceilDiv(rows.rows(), unit), (long) PARTITIONS_A_SLOT * spark.defaultParallelism());
        Function2<T, T, T> add = (into, other) -> {
            merging.merge(into, other);
            return into;
        };
        return Jobs.described(
                spark.sc(),
                "Evaluating " + names.saeName() + " on " + rows.rows() + " rows",
                () -> rows.rdd()
                        .mapToPair(row -> new Tuple2<>(row._1 / unit, row))
                        .groupByKey(partitions)
                        .map(group -> evaluated(wanted, group._2, evaluation))
                        .treeAggregate(none, add, add));
    }

    private static <T> T evaluated(ModelAndSae names, Iterable<Tuple2<Long, int[]>> unit, Evaluation<T> evaluation) {
        Map<Long, int[]> ordered = new TreeMap<>();
        unit.forEach(row -> ordered.put(row._1, row._2));
        long[] ids = ordered.values().stream()
                .flatMapToInt(Arrays::stream)
                .asLongStream()
                .toArray();
        try (var _ = Torch.singleThreaded();
                var _ = TensorScope.open()) {
            Tensor tokens = Tensor.of(ids, Shape.of(ordered.size(), ids.length / ordered.size()));
            return evaluation.of(Executor.load(names), tokens);
        }
    }
}
