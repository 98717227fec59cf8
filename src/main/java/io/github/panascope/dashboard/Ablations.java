package io.github.panascope.dashboard;

import io.github.panascope.dashboard.FeatureDashboard.Ablation;
import io.github.panascope.dashboard.FeatureDashboard.Sequence;
import io.github.panascope.dashboard.FeatureDashboard.SequenceGroup;
import io.github.panascope.lens.Forward;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.lens.RowsAtOnce;
import io.github.panascope.lens.SharedPrefix;
import io.github.panascope.model.HookPoint;
import io.github.panascope.sae.Normalization;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.ReadAhead;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * Ablations of features: the effect on the shown sequences when a feature is removed. From the SAE's layer on, the row
 * of a sequence runs as two rows of one batch: unchanged, and without the feature at all positions. Logits are computed
 * only for the positions that predict the sequence's tokens. On a GPU, a batch holds many sequences, and its results
 * are copied to the host together.
 */
final class Ablations {
    /**
     * The most positions of a batch on a GPU. Their logits, with and without the feature, take 0.8 GB; a few tensors of
     * that size exist at a time.
     */
    private static final int POSITIONS_ON_DEVICE = 2048;

    private final HookedTransformer model;
    private final Sae sae;
    private final DecoderDirections directions;
    private final int hover;
    private final int block;

    Ablations(HookedTransformer model, Sae sae, DecoderDirections directions, int hover) {
        this.model = model;
        this.sae = sae;
        this.directions = directions;
        this.hover = hover;
        this.block = HookPoint.of(sae.config().hookName()).orElseThrow().block();
    }

    /**
     * A part of a row, with the feature that is to be removed from the row.
     *
     * @param feature     the feature
     * @param tokens      the token ids of the whole row
     * @param activations the activations of the feature at all positions of the row
     * @param first       the position of the first token shown
     * @param count       the number of tokens shown
     */
    record Piece(int feature, int[] tokens, float[] activations, int first, int count) {
        /** {@return the first position that predicts a token of this piece} */
        int from() {
            return Math.max(0, first - 1);
        }

        /** {@return the position after the last that predicts a token of this piece} */
        int end() {
            return first + count - 1;
        }

        /**
         * {@return the number of tokens of this piece that no position predicts: 1 if it begins with the row, else 0}
         */
        int unpredicted() {
            return first == 0 ? 1 : 0;
        }

        /** {@return the number of positions that predict a token of this piece} */
        int predicted() {
            return end() - from();
        }
    }

    /**
     * Returns a copy of a dashboard with an ablation in each of its sequences.
     *
     * @param column all activations of the feature, including those at excluded positions
     */
    FeatureDashboard of(FeatureDashboard dashboard, FeatureActivations column, StoredActivations corpus) {
        List<Piece> pieces = dashboard.groups().stream()
                .flatMap(group -> group.sequences().stream())
                .map(sequence -> piece(sequence, column, corpus))
                .toList();
        Iterator<Ablation> found = of(pieces).iterator();
        List<SequenceGroup> groups = dashboard.groups().stream()
                .map(group -> group.with(group.sequences().stream()
                        .map(sequence -> sequence.with(found.next()))
                        .toList()))
                .toList();
        return new FeatureDashboard(
                dashboard.feature(),
                dashboard.statistics(),
                dashboard.tables(),
                dashboard.activations(),
                dashboard.logits(),
                dashboard.logitsTable(),
                groups);
    }

    private static Piece piece(Sequence sequence, FeatureActivations column, StoredActivations corpus) {
        int context = corpus.context;
        int start = sequence.row() * context;
        float[] activations = new float[context];
        for (int i = 0; i < context; i++) activations[i] = column.at(start + i);
        return new Piece(
                column.feature,
                corpus.tokens(start, context),
                activations,
                sequence.first(),
                sequence.tokenIds().length);
    }

    /**
     * Computes the ablation of each piece. The rows of all pieces have the same length.
     *
     * @return the ablations in the order of the pieces
     */
    List<Ablation> of(List<Piece> pieces) {
        List<Ablation> found = new ArrayList<>();
        try (ReadAhead batches = new ReadAhead("taking features away")) {
            for (int start = 0, end; start < pieces.size(); start = end) {
                end = endOfBatch(pieces, start);
                List<Piece> all = pieces.subList(start, end);
                List<Piece> batch =
                        all.stream().filter(piece -> piece.predicted() > 0).toList();
                if (batch.isEmpty())
                    batches.next(() -> Tensor.zeros(DType.FLOAT32, Shape.of(0)), _ -> add(all, new float[0], found));
                else batches.next(() -> run(batch), values -> add(all, values.toFloats(), found));
            }
        }
        return found;
    }

    private int endOfBatch(List<Piece> pieces, int start) {
        if (model.device().isCpu()) return start + 1;
        int rows = Math.max(1, RowsAtOnce.on(model.device(), pieces.getFirst().tokens.length) / 2); // two rows each
        int end = start;
        for (int positions = 0; end < pieces.size() && end - start < rows; end++) {
            positions += pieces.get(end).predicted();
            if (end > start && positions > POSITIONS_ON_DEVICE) break;
        }
        return end;
    }

    /**
     * {@return the number of values that {@link #run} computes for a position: two loss effects, and value and token of
     * the {@code hover} most raised and the {@code hover} most lowered logits}
     */
    private int width() {
        return 2 + 4 * hover;
    }

    /**
     * Computes the effects at the positions that predict the pieces' tokens, piece by piece, on the model's device,
     * without waiting for the device.
     *
     * @return float32 [positions, 2 + 4 hover]: the effect on the loss; the effect by the linear lens, or 0 without a
     *     lens; by how much the feature raises log-probabilities, largest first, and the ids of these tokens; by how
     *     much it lowers them, as positive numbers, largest first, and the ids of these tokens
     */
    private Tensor run(List<Piece> pieces) {
        int context = pieces.getFirst().tokens.length;
        int rows = pieces.size();
        long[] ids = pieces.stream()
                .flatMapToLong(piece -> Arrays.stream(piece.tokens).asLongStream())
                .toArray();
        float[] values = new float[ids.length];
        for (int r = 0; r < rows; r++) System.arraycopy(pieces.get(r).activations, 0, values, r * context, context);
        long[] at = IntStream.range(0, rows)
                .boxed()
                .flatMapToLong(r -> LongStream.range(
                                pieces.get(r).from(), pieces.get(r).end())
                        .map(t -> r * (long) context + t))
                .toArray();
        Device device = model.device();
        Tensor row = Tensor.of(ids, Shape.of(rows, context), device);
        Tensor activations = Tensor.of(values, Shape.of(rows, context), device);
        Tensor positions = Tensor.of(at, Shape.of(at.length), device);
        Tensor targets =
                Tensor.of(Arrays.stream(at).map(t -> ids[(int) t + 1]).toArray(), Shape.of(at.length, 1), device);
        Tensor inBoth = Tensor.of(
                LongStream.concat(Arrays.stream(at), Arrays.stream(at).map(t -> t + ids.length))
                        .toArray(),
                Shape.of(2L * at.length),
                device);
        String out = sae.config().hookNameOut();
        String last = "blocks." + (model.config().nLayers() - 1) + ".hook_resid_post";
        Hooks hooks = Hooks.at(out, (x, name) -> {
                    Tensor changed = x.copy();
                    changed.slice(0, rows, 2L * rows).copy_(without(x.slice(0, rows, 2L * rows), pieces, activations));
                    return changed;
                })
                .and(
                        "ln_final.hook_normalized",
                        (x, name) ->
                                x.reshape(-1, x.size(2)).indexSelect(0, inBoth).unsqueeze(0));
        Forward run = SharedPrefix.of(model, row, block).forward(2).hooks(hooks).caching(last);
        Tensor logProbs = run.logits().to(DType.FLOAT32).logSoftmax(-1).select(0, 0);
        Tensor raised = logProbs.slice(0, 0, at.length)
                .sub(logProbs.slice(0, at.length, 2L * at.length)); // [positions, d_vocab]
        Tensor.Sorted top = raised.topk(hover);
        Tensor.Sorted bottom = raised.mul(-1).topk(hover);
        Tensor loss = raised.gather(-1, targets).mul(-1);
        Tensor lens = hasLens()
                ? lens(pieces, run.cache().get(last), activations, positions)
                        .gather(-1, targets)
                        .mul(-1)
                : loss.zerosLike();
        return Tensor.cat(
                1,
                loss,
                lens,
                top.values(),
                top.indices().to(DType.FLOAT32),
                bottom.values(),
                bottom.indices().to(DType.FLOAT32));
    }

    /**
     * Computes by how much the direct path of the features raises log-probabilities, by the linear lens: [positions,
     * d_vocab].
     */
    private Tensor lens(List<Piece> pieces, Tensor lastStream, Tensor activations, Tensor positions) {
        Tensor stream = lastStream
                .slice(0, 0, pieces.size())
                .reshape(-1, lastStream.size(2))
                .indexSelect(0, positions)
                .to(DType.FLOAT32);
        Tensor[] each = pieces.stream()
                .map(Piece::feature)
                .distinct()
                .map(this::direction)
                .toArray(Tensor[]::new);
        List<Integer> features = pieces.stream().map(Piece::feature).distinct().toList();
        long[] which = pieces.stream()
                .flatMapToLong(piece -> LongStream.generate(() -> features.indexOf(piece.feature))
                        .limit(piece.predicted()))
                .toArray();
        Tensor ofPositions =
                Tensor.stack(0, each).indexSelect(0, Tensor.of(which, Shape.of(which.length), model.device()));
        Tensor part =
                activations.reshape(-1).indexSelect(0, positions).unsqueeze(-1).mul(ofPositions);
        return lensLogProbs(stream).sub(lensLogProbs(stream.sub(part)));
    }

    /** Appends an ablation for each piece, made of the values of its positions in the layout of {@link #run}. */
    private void add(List<Piece> pieces, float[] values, List<Ablation> found) {
        int at = 0;
        for (Piece piece : pieces) {
            int count = piece.count;
            boolean predicted = piece.predicted() > 0;
            float[] loss = new float[count];
            float[] lens = new float[hasLens() ? count : 0];
            int[][] topIds = new int[count][0];
            int[][] bottomIds = new int[count][0];
            float[][] topValues = new float[count][0];
            float[][] bottomValues = new float[count][0];
            for (int i = piece.unpredicted(); predicted && i < count; i++, at += width()) {
                loss[i] = values[at];
                if (lens.length > 0) lens[i] = values[at + 1];
                changed(values, at + 2, 1, topIds, topValues, i);
                changed(values, at + 2 + 2 * hover, -1, bottomIds, bottomValues, i);
            }
            found.add(new Ablation(loss, lens, topIds, topValues, bottomIds, bottomValues));
        }
    }

    /**
     * Copies the tokens that the feature changes and the changes, which are positive in {@code found} and get the sign.
     */
    private void changed(float[] found, int at, int sign, int[][] ids, float[][] values, int token) {
        int kept = 0;
        while (kept < hover && found[at + kept] > 0) kept++; // changes are 0 before the feature fires
        ids[token] = new int[kept];
        values[token] = new float[kept];
        for (int k = 0; k < kept; k++) {
            ids[token][k] = (int) found[at + hover + k];
            values[token][k] = sign * found[at + k];
        }
    }

    /** Computes log-probabilities [n, d_vocab] of the last residual stream [n, d_model] by the linear lens. */
    Tensor lensLogProbs(Tensor stream) {
        return model.toLogits(stream.div(stream.std(-1, 1, true))).logSoftmax(-1);
    }

    private Tensor direction(int feature) {
        return directions
                .of(feature / DecoderDirections.GROUP)
                .select(0, feature % DecoderDirections.GROUP)
                .to(DType.FLOAT32);
    }

    /**
     * {@return whether the linear lens applies: whether features have directions, on the scale of the residual stream}
     */
    boolean hasLens() {
        return directions.exist() && !putsScaleBack();
    }

    /**
     * {@return whether the SAE multiplies its output by a scale that it took from its input; otherwise its output is
     * linear in the features}
     */
    private boolean putsScaleBack() {
        return sae.config().normalization() == Normalization.LAYER_NORM
                || sae.config().normalization() == Normalization.CONSTANT_NORM_RESCALE;
    }

    /**
     * Computes rows [rows, pos, …] without the feature of the piece of each row.
     *
     * @param activations the activations of these features [rows, pos]
     */
    private Tensor without(Tensor x, List<Piece> pieces, Tensor activations) {
        long[] features = pieces.stream().mapToLong(Piece::feature).toArray();
        if (putsScaleBack()) {
            long context = activations.size(1);
            long[] ofPositions = Arrays.stream(features)
                    .flatMap(feature -> LongStream.generate(() -> feature).limit(context))
                    .toArray();
            Tensor index = Tensor.of(ofPositions, Shape.of(ofPositions.length, 1), sae.device());
            return sae.reconstructWithErrorTerm(
                            x, all -> all.scatter(-1, index, Tensor.zeros(all.dtype(), index.shape(), sae.device())))
                    .to(x.dtype());
        }
        Tensor decoder = sae.weight("W_dec")
                .indexSelect(0, Tensor.of(features, Shape.of(features.length), sae.device()))
                .to(DType.FLOAT32);
        Tensor part = activations.unsqueeze(-1).mul(decoder.unsqueeze(1)); // [rows, pos, d_out]
        return x.sub(part.reshape(x.shape().sizes()).to(x.dtype()));
    }
}
