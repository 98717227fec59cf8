package io.github.panascope.dashboard;

import io.github.panascope.dashboard.FeatureDashboard.Ablation;
import io.github.panascope.dashboard.FeatureDashboard.Sequence;
import io.github.panascope.dashboard.FeatureDashboard.SequenceGroup;
import io.github.panascope.lens.Forward;
import io.github.panascope.lens.HookNames;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.sae.Normalization;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.Arrays;
import java.util.List;

/**
 * What taking a feature away does to the sequences that are shown: the row runs again from the SAE's layer on, once as it is and once without the feature at all of its
 * positions, as two rows of one batch; logits are made for the sequence's positions alone.
 */
final class Ablations {
    private final HookedTransformer model;
    private final Sae sae;
    private final Directions directions;
    private final int hover;
    private final int layer;

    Ablations(HookedTransformer model, Sae sae, Directions directions, int hover) {
        this.model = model;
        this.sae = sae;
        this.directions = directions;
        this.hover = hover;
        this.layer = HookNames.layer(sae.config().hookName()).orElse(0);
    }

    /** The dashboard with ablations in its sequences. The column has all activations, those that do not count too. */
    FeatureDashboard of(FeatureDashboard dashboard, Column column, Corpus corpus) {
        List<SequenceGroup> groups = dashboard.groups().stream().map(group -> new SequenceGroup(group.title(), group.low(), group.high(), group.contains(),
                group.sequences().stream().map(sequence -> sequence.with(of(sequence, column, corpus))).toList())).toList();
        return new FeatureDashboard(dashboard.feature(), dashboard.statistics(), dashboard.tables(), dashboard.activations(), dashboard.logits(), dashboard.logitsTable(), groups);
    }

    private Ablation of(Sequence sequence, Column column, Corpus corpus) {
        int context = corpus.context, start = sequence.row() * context;
        float[] activations = new float[context];
        for (int i = 0; i < context; i++) activations[i] = column.at(start + i);
        return of(column.feature, corpus.tokens(start, context), activations, sequence.first(), sequence.tokenIds().length);
    }

    /** Of a row in which the feature has these activations, for {@code count} tokens from position {@code first} on. */
    Ablation of(int feature, int[] tokens, float[] activationsOfRow, int first, int count) {
        int from = Math.max(0, first - 1), end = first + count - 1; // the positions that predict its tokens
        int unpredicted = first == 0 ? 1 : 0, predicted = count - unpredicted;
        String out = sae.config().hookNameOut(), last = "blocks." + (model.config().nLayers() - 1) + ".hook_resid_post";
        float[] loss = new float[count], lens = new float[hasLens() ? count : 0];
        int[][] topIds = new int[count][0], bottomIds = new int[count][0];
        float[][] topValues = new float[count][0], bottomValues = new float[count][0];
        if (predicted == 0) return new Ablation(loss, lens, topIds, topValues, bottomIds, bottomValues);
        try (var _ = TensorScope.open()) {
            long[] ids = Arrays.stream(tokens).asLongStream().toArray();
            Tensor row = Tensor.of(ids, Shape.of(1, ids.length)), both = Tensor.cat(0, row, row);
            Tensor activations = Tensor.of(activationsOfRow, Shape.of(1, ids.length)).to(model.device());
            Hooks hooks = Hooks.at(out, (x, name) -> {
                Tensor changed = x.copy();
                changed.slice(0, 1, 2).copy_(without(x.slice(0, 1, 2), feature, activations));
                return changed;
            }).and("ln_final.hook_normalized", (x, name) -> x.slice(1, from, end));
            Forward run = model.forward(both).hooks(hooks).caching(last);
            if (layer > 0) {
                Tensor prefix = model.forward(row).stopAtLayer(layer);
                run.startAtLayer(layer, Tensor.cat(0, prefix, prefix));
            }
            Tensor logProbs = run.logits().to(DType.FLOAT32).logSoftmax(-1), raised = logProbs.select(0, 0).sub(logProbs.select(0, 1)); // [positions, d_vocab]
            Tensor targets = Tensor.of(Arrays.copyOfRange(ids, from + 1, end + 1), Shape.of(predicted, 1)).to(model.device());
            copy(raised.gather(-1, targets).mul(-1), loss, unpredicted);
            changed(raised, 1, topIds, topValues, unpredicted);
            changed(raised, -1, bottomIds, bottomValues, unpredicted);
            if (lens.length > 0) {
                Tensor stream = run.cache().get(last).select(0, 0).slice(0, from, end).to(DType.FLOAT32), part = activations.select(0, 0).slice(0, from, end).unsqueeze(-1).mul(direction(feature));
                Tensor direct = lensLogProbs(stream).sub(lensLogProbs(stream.sub(part)));
                copy(direct.gather(-1, targets).mul(-1), lens, unpredicted);
            }
        }
        return new Ablation(loss, lens, topIds, topValues, bottomIds, bottomValues);
    }

    /** Log-probabilities [n, d_vocab] of the last residual stream [n, d_model] by the linear lens. */
    Tensor lensLogProbs(Tensor stream) {
        return stream.div(stream.std(1)).matmul(model.weight("unembed.W_U").to(DType.FLOAT32)).logSoftmax(-1);
    }

    private Tensor direction(int feature) {
        return directions.of(feature / Directions.GROUP).select(0, feature % Directions.GROUP).to(DType.FLOAT32);
    }

    /** Whether the linear lens means something: whether features have directions, on the scale of the residual stream. */
    boolean hasLens() {
        return directions.exist() && !putsScaleBack();
    }

    /** What an SAE writes is linear in features, unless it puts a scale back that it took from its input. */
    private boolean putsScaleBack() {
        return sae.config().normalization() == Normalization.LAYER_NORM || sae.config().normalization() == Normalization.CONSTANT_NORM_RESCALE;
    }

    private Tensor without(Tensor x, int feature, Tensor activations) {
        if (putsScaleBack()) {
            Tensor index = Tensor.of(new long[] {feature}, Shape.of(1)).to(sae.device());
            return sae.reconstructWithErrorTerm(x, features -> features.indexFill(-1, index, 0)).to(x.dtype());
        }
        Tensor part = activations.unsqueeze(-1).mul(sae.weight("W_dec").select(0, feature).to(DType.FLOAT32)); // [1, pos, d_out]
        return x.sub(part.reshape(x.shape().sizes()).to(x.dtype()));
    }

    private static void copy(Tensor values, float[] to, int at) {
        float[] found = values.toFloats();
        System.arraycopy(found, 0, to, at, found.length);
    }

    private void changed(Tensor raised, int sign, int[][] ids, float[][] values, int at) {
        Tensor[] top = raised.mul(sign).topk(hover);
        long[] found = top[1].toLongs();
        float[] by = top[0].toFloats();
        for (int i = 0; i < ids.length - at; i++) {
            int first = i * hover, kept = 0;
            while (kept < hover && by[first + kept] > 0) kept++; // before the feature fires, nothing changes
            ids[at + i] = new int[kept];
            values[at + i] = new float[kept];
            for (int k = 0; k < kept; k++) {
                ids[at + i][k] = (int) found[first + k];
                values[at + i][k] = sign * by[first + k];
            }
        }
    }
}
