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
 * What taking a feature away does to the sequences that are shown: the row runs again from the SAE's layer on, once as
 * it is and once without the feature at all of its positions, as two rows of one batch; logits are made for the
 * sequence's positions alone. On a GPU many sequences are a batch, and are read together.
 */
final class Ablations {
    /** Positions of a batch whose logits are held at once on a GPU, twice, and a few times over: 0.8 GB each time. */
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
     * A part of a row, from which a feature is to be taken away.
     *
     * @param tokens      of the whole row
     * @param activations of the feature at all of its positions
     * @param first       the position of the first token shown
     * @param count       how many tokens are shown
     */
    record Piece(int feature, int[] tokens, float[] activations, int first, int count) {
        /** The first position that predicts one of its tokens. */
        int from() {
            return Math.max(0, first - 1);
        }

        /** The position after the last that does. */
        int end() {
            return first + count - 1;
        }

        /** How many of its tokens nothing predicts. */
        int unpredicted() {
            return first == 0 ? 1 : 0;
        }

        int predicted() {
            return end() - from();
        }
    }

    /** The dashboard with ablations in its sequences. The column has all activations, those that do not count too. */
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

    /** Of pieces of rows of one length, in their order. */
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
        int rows = Math.max(1, RowsAtOnce.on(model.device(), pieces.getFirst().tokens.length) / 2); // each twice
        int end = start;
        for (int positions = 0; end < pieces.size() && end - start < rows; end++) {
            positions += pieces.get(end).predicted();
            if (end > start && positions > POSITIONS_ON_DEVICE) break;
        }
        return end;
    }

    /**
     * How many numbers there are of each position: the two losses, and what is raised and lowered most, values and
     * tokens.
     */
    private int width() {
        return 2 + 4 * hover;
    }

    /**
     * Of the positions that predict the pieces' tokens, piece by piece, float32 [positions, 2 + 4 hover]: the effect on
     * the loss; that by the linear lens, or 0; how much the feature raises most, and which tokens; how much it lowers
     * most, negated, and which. On the model's device, which is not waited for.
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

    /** How much the features' direct path raises log-probabilities: [positions, d_vocab]. */
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

    /** Puts numbers of positions, as {@link #run} lays them out, where pieces have their tokens. */
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

    /** Those of the tokens that are changed at all. */
    private void changed(float[] found, int at, int sign, int[][] ids, float[][] values, int token) {
        int kept = 0;
        while (kept < hover && found[at + kept] > 0) kept++; // before the feature fires, nothing changes
        ids[token] = new int[kept];
        values[token] = new float[kept];
        for (int k = 0; k < kept; k++) {
            ids[token][k] = (int) found[at + hover + k];
            values[token][k] = sign * found[at + k];
        }
    }

    /** Log-probabilities [n, d_vocab] of the last residual stream [n, d_model] by the linear lens. */
    Tensor lensLogProbs(Tensor stream) {
        return stream.div(stream.std(-1, 1, true))
                .matmul(model.weight("unembed.W_U").to(DType.FLOAT32))
                .logSoftmax(-1);
    }

    private Tensor direction(int feature) {
        return directions
                .of(feature / DecoderDirections.GROUP)
                .select(0, feature % DecoderDirections.GROUP)
                .to(DType.FLOAT32);
    }

    /**
     * Whether the linear lens means something: whether features have directions, on the scale of the residual stream.
     */
    boolean hasLens() {
        return directions.exist() && !putsScaleBack();
    }

    /** What an SAE writes is linear in features, unless it puts a scale back that it took from its input. */
    private boolean putsScaleBack() {
        return sae.config().normalization() == Normalization.LAYER_NORM
                || sae.config().normalization() == Normalization.CONSTANT_NORM_RESCALE;
    }

    /**
     * What rows [rows, pos, …] are without the pieces' features, each a row's, of which these are the activations
     * [rows, pos].
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
