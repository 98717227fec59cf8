package io.github.panascope.metrics;

import io.github.panascope.internal.CompactForm;
import io.github.panascope.lens.Edits;
import io.github.panascope.lens.Forward;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.lens.LossWorkspace;
import io.github.panascope.lens.RowsAtOnce;
import io.github.panascope.lens.SharedPrefix;
import io.github.panascope.model.HookPoint;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.ReadAhead;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.io.DataInput;
import java.io.DataOutput;
import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntConsumer;

/**
 * L0, explained variance and the three losses of an SAE in a model, over rows of tokens, in one pass. The blocks before
 * the SAE's run once, and each loss continues from there. Memory does not grow with the number of rows.
 *
 * <p>The metrics of parts can be merged, in any order and grouping. The result has the bits of one run over all rows if
 * every part consists of whole batches of that run, which are of {@code rowsAtOnce} rows from the first on, and if the
 * model computes the same bits for these wherever it runs. Metrics can be serialized.
 *
 * @param l0                over all positions except the first of each row, which usually is the bos token
 * @param explainedVariance of the output of the SAE, over the same positions as {@code l0}
 * @param loss              over all positions that have a next token
 */
public record TutorialMetrics(L0 l0, ExplainedVariance explainedVariance, DownstreamLoss loss) implements Serializable {
    private static final CompactForm FORM = new CompactForm("TutorialMetrics", 'T', 1);
    /**
     * Positions whose features are held at once on the CPU: 256 x 24,576 floats are 25 MB, near the size of the
     * processor's cache.
     */
    private static final int ENCODE_CHUNK = 256;
    /** Positions whose features are held at once on a GPU: 805 MB, in products that are large enough to occupy it. */
    private static final int ENCODE_CHUNK_ON_DEVICE = 8192;

    private static final int LOSSES = 3;

    /** Makes metrics of no rows, to which others can be merged. */
    public TutorialMetrics() {
        this(new L0(), new ExplainedVariance(), new DownstreamLoss());
    }

    /**
     * Adds the rows of other metrics to these.
     *
     * @param other the other metrics, which stay as they are
     * @throws IllegalArgumentException if their activations have another number of dimensions; then nothing is added
     */
    public void merge(TutorialMetrics other) {
        explainedVariance.merge(other.explainedVariance);
        l0.merge(other.l0);
        loss.merge(other.loss);
    }

    /**
     * Writes these metrics in their compact form, which holds those of the three accumulators. Equal metrics write
     * equal bytes.
     *
     * @param out what takes the bytes
     * @throws IOException if the output fails
     */
    public void writeTo(DataOutput out) throws IOException {
        FORM.write(out, content -> {
            l0.writeTo(content);
            explainedVariance.writeTo(content);
            loss.writeTo(content);
        });
    }

    /**
     * Reads what {@link #writeTo} wrote, and nothing after it.
     *
     * @param in the bytes
     * @return new metrics
     * @throws io.github.panascope.InputException if the bytes are not those of TutorialMetrics of this version, or are
     *     damaged
     * @throws IOException if the input fails
     */
    public static TutorialMetrics readFrom(DataInput in) throws IOException {
        return FORM.read(
                in,
                content -> new TutorialMetrics(
                        L0.readFrom(content), ExplainedVariance.readFrom(content), DownstreamLoss.readFrom(content)));
    }

    /** {@return what Java serialization writes in place of this: the compact form} */
    private Object writeReplace() {
        return new Serialized(this);
    }

    /**
     * Computes the metrics without reporting progress, with a number of rows at once that suits the device.
     *
     * @param model  the model
     * @param sae    the SAE, whose hook points the model has
     * @param tokens int64 [rows, pos], each row beginning with the bos token, if the model has one
     * @return the metrics
     * @throws io.github.panascope.InputException if the SAE does not fit the model
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted
     */
    public static TutorialMetrics run(HookedTransformer model, Sae sae, Tensor tokens) {
        return run(model, sae, tokens, RowsAtOnce.on(model.device(), tokens.size(1)), rows -> {});
    }

    /**
     * Computes the metrics with a number of rows at once that suits the device.
     *
     * @param model    the model
     * @param sae      the SAE, whose hook points the model has
     * @param tokens   int64 [rows, pos], each row beginning with the bos token, if the model has one
     * @param progress called with the number of rows that are done
     * @return the metrics
     * @throws io.github.panascope.InputException if the SAE does not fit the model
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted
     */
    public static TutorialMetrics run(HookedTransformer model, Sae sae, Tensor tokens, IntConsumer progress) {
        return run(model, sae, tokens, RowsAtOnce.on(model.device(), tokens.size(1)), progress);
    }

    /**
     * Computes the metrics. The results of a batch of rows are read back while the next batch runs.
     *
     * @param model      the model
     * @param sae        the SAE, whose hook points the model has
     * @param tokens     int64 [rows, pos], each row beginning with the bos token, if the model has one
     * @param rowsAtOnce number of rows that run together, at least 1; fewer need less memory
     * @param progress   called with the number of rows that are done
     * @return the metrics
     * @throws IllegalArgumentException if {@code rowsAtOnce} is less than 1
     * @throws io.github.panascope.InputException if the SAE does not fit the model
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted
     */
    public static TutorialMetrics run(
            HookedTransformer model, Sae sae, Tensor tokens, int rowsAtOnce, IntConsumer progress) {
        if (rowsAtOnce < 1) throw new IllegalArgumentException("rowsAtOnce should be at least 1, not " + rowsAtOnce);
        sae.requireFits(model);
        int rows = (int) tokens.size(0);
        TutorialMetrics metrics = new TutorialMetrics();
        try (var _ = TensorScope.open()) {
            LossWorkspace memory = LossWorkspace.of(model, Math.min(rows, rowsAtOnce) * tokens.size(1));
            try (ReadAhead batches = new ReadAhead("evaluating an SAE")) {
                for (int start = 0; start < rows; start += rowsAtOnce) {
                    int first = start;
                    int end = Math.min(rows, start + rowsAtOnce);
                    batches.next(
                            () -> evaluate(
                                    model, sae, tokens.slice(0, first, end).to(model.device()), memory),
                            found -> {
                                metrics.add(
                                        found.toDoubles(),
                                        end - first,
                                        tokens.size(1),
                                        sae.config().dOut());
                                progress.accept(end);
                            });
                }
            }
        }
        return metrics;
    }

    /** Adds the result of {@link #evaluate} for a batch [rows, positions] with activations of a width. */
    private void add(double[] found, int rows, long positions, int width) {
        loss.add(rows * (positions - 1), found[0], found[1], found[2]);
        long position = 0;
        for (int at = LOSSES; at < found.length; ) {
            int count = (int) found[at];
            explainedVariance.add(found, at + 1, width);
            at += 1 + 3 + width;
            for (int i = 0; i < count; i++, position++) if (position % positions != 0) l0.add((int) found[at + i]);
            at += count;
        }
    }

    /**
     * Evaluates one batch [rows, pos] on the model's device. Returns float64 on that device, without waiting for it:
     * the sums over positions of the three losses; then for each chunk of positions their number,
     * {@link ExplainedVariance#sums} and the number of active features at each position. Zeros replace the activation
     * at the SAE's output hook point.
     */
    private static Tensor evaluate(HookedTransformer model, Sae sae, Tensor batch, LossWorkspace memory) {
        String in = sae.config().hookName();
        String out = sae.config().hookNameOut(); // equal to the input's, except for transcoders
        SharedPrefix shared =
                SharedPrefix.of(model, batch, HookPoint.of(in).orElseThrow().block());
        Forward plain = shared.forward(1).lossWorkspace(memory).caching(in, out);
        List<Tensor> parts = new ArrayList<>();
        parts.add(sum(plain.lossPerToken()));
        List<Tensor> chunks = new ArrayList<>();
        Tensor reconstruction =
                reconstruct(sae, plain.cache().get(in), plain.cache().get(out), chunks);
        Hooks replaced = Hooks.at(out, (activation, name) -> reconstruction);
        parts.add(sum(shared.forward(1).lossWorkspace(memory).hooks(replaced).lossPerToken()));
        parts.add(zero(model, batch, memory, shared, out));
        parts.addAll(chunks);
        return Tensor.cat(0, parts.toArray(Tensor[]::new));
    }

    /**
     * Returns the summed loss with zeros at a hook point. If all later activations depend on that point alone, the
     * logits are equal at every position, as each position attends to equal ones, whose mean is any of them; one
     * position is then enough.
     */
    private static Tensor zero(
            HookedTransformer model, Tensor batch, LossWorkspace memory, SharedPrefix shared, String out) {
        Hooks zeros = Hooks.at(out, Edits.zero());
        HookPoint point = HookPoint.of(out).orElseThrow();
        boolean constant =
                !model.isExact() && model.isPlain() && shared.isShared() && point.isBottleneck() && point.isInBlock();
        if (!constant)
            return sum(shared.forward(1).lossWorkspace(memory).hooks(zeros).lossPerToken());
        Tensor logProbs = shared.forwardOfOnePosition()
                .hooks(zeros)
                .logits()
                .to(DType.FLOAT32)
                .logSoftmax(-1)
                .reshape(-1);
        Tensor targets = batch.slice(1, 1, batch.size(1)).reshape(-1);
        return sum(logProbs.indexSelect(0, targets)).mul(-1);
    }

    /** Returns the sum of all elements: float64 [1]. */
    private static Tensor sum(Tensor losses) {
        return losses.sum(DType.FLOAT64).reshape(1);
    }

    /**
     * Returns the output of the SAE for one activation, in the shape and dtype of another, and adds the sums of each
     * chunk of positions to a list. Never holds the features of more than a chunk of positions.
     */
    private static Tensor reconstruct(Sae sae, Tensor activation, Tensor like, List<Tensor> found) {
        long positions = activation.size(1);
        long count = activation.size(0) * positions;
        Tensor rows = activation.reshape(count, -1);
        Tensor wanted = like.reshape(count, -1);
        Tensor counted = Tensor.zeros(DType.FLOAT32, Shape.of(activation.size(0), positions, 1), like.device())
                .add(1);
        counted.slice(1, 0, 1).zero_();
        counted = counted.reshape(count, 1);
        Tensor result = Tensor.empty(like.dtype(), Shape.of(count, sae.config().dOut()), like.device());
        int chunk = like.device().isCpu() ? ENCODE_CHUNK : ENCODE_CHUNK_ON_DEVICE;
        for (long start = 0; start < count; start += chunk) {
            long end = Math.min(count, start + chunk);
            try (var _ = TensorScope.open()) {
                Sae.Encoded encoded = sae.encodeAndReconstruct(rows.slice(0, start, end));
                Tensor size =
                        Tensor.zeros(DType.FLOAT64, Shape.of(1), like.device()).add(end - start);
                Tensor variance = ExplainedVariance.sums(
                        wanted.slice(0, start, end), encoded.reconstruction(), counted.slice(0, start, end));
                found.add(Tensor.cat(0, size, variance, encoded.active().to(DType.FLOAT64))
                        .promote());
                result.slice(0, start, end).copy_(encoded.reconstruction());
            }
        }
        return result.reshape(like.shape().sizes());
    }
}
