package io.github.panascope.lens;

import io.github.panascope.RunInterruptedException;
import io.github.panascope.model.HookPoint;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;

/**
 * Activation patching: a run on corrupted tokens in which one piece of an activation is the clean run's, for each piece
 * in turn, and what that does to a metric (TransformerLens's {@code patching}). The blocks before a piece run once, and
 * many pieces run together as rows of one batch.
 *
 * <p>Points are named without their block: {@code hook_resid_pre}, {@code hook_attn_out}, {@code attn.hook_z}. Results
 * are float64 on the CPU, in the innermost scope. All of them throw {@link RunInterruptedException} if the thread is
 * interrupted meanwhile.
 */
public final class Patching {
    private static final List<String> HEAD_POINTS =
            List.of("attn.hook_z", "attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_pattern");
    /** Rows that run together. */
    private static final int ROWS_AT_ONCE = 32;

    private static final String PATCHING = "patching";

    private final HookedTransformer model;
    private final Tensor corrupted;
    private final ActivationCache clean;
    private final ToDoubleFunction<Tensor> metric;

    private Patching(
            HookedTransformer model, Tensor corrupted, ActivationCache clean, ToDoubleFunction<Tensor> metric) {
        this.model = model;
        this.corrupted = corrupted;
        this.clean = clean;
        this.metric = metric;
    }

    /**
     * Describes it.
     *
     * @param corruptedTokens int64 [batch, pos]
     * @param cleanCache      of a run on clean tokens of the same shape, with the points that will be patched
     * @param metric          of logits [batch, pos, d_vocab], which end with its call
     */
    public static Patching of(
            HookedTransformer model,
            Tensor corruptedTokens,
            ActivationCache cleanCache,
            ToDoubleFunction<Tensor> metric) {
        Objects.requireNonNull(cleanCache, "patching needs the cache of a clean run");
        Objects.requireNonNull(metric, "patching needs a metric of the logits");
        if (corruptedTokens.shape().rank() != 2 || corruptedTokens.size(0) == 0)
            throw new IllegalArgumentException("tokens should be [batch, pos], not " + corruptedTokens);
        return new Patching(model, corruptedTokens, cleanCache, metric);
    }

    /** Each position of each layer, at a point [batch, pos, ...]: [layer, pos]. */
    public Tensor byPosition(String point) {
        int positions = (int) corrupted.size(1);
        List<long[]> pieces = new ArrayList<>();
        for (int position = 0; position < positions; position++) pieces.add(new long[] {position, -1});
        return patch(point, pieces, positions);
    }

    /**
     * Each head of each layer, at all positions, at attn.hook_q, hook_k, hook_v, hook_z, hook_result, hook_attn_scores
     * or hook_pattern: [layer, head].
     */
    public Tensor byHead(String point) {
        requireHeads(point);
        int heads = model.config().nHeads();
        List<long[]> pieces = new ArrayList<>();
        for (int head = 0; head < heads; head++) pieces.add(new long[] {-1, head});
        return patch(point, pieces, heads);
    }

    /**
     * Each head of each layer at each position (for scores and patterns: of the query), at the same points: [layer,
     * pos, head].
     */
    public Tensor byPositionAndHead(String point) {
        requireHeads(point);
        int positions = (int) corrupted.size(1);
        int heads = model.config().nHeads();
        List<long[]> pieces = new ArrayList<>();
        for (int position = 0; position < positions; position++)
            for (int head = 0; head < heads; head++) pieces.add(new long[] {position, head});
        return patch(point, pieces, positions, heads);
    }

    /**
     * The usual points of a block by position: hook_resid_pre, hook_attn_out and hook_mlp_out, [3, layer, pos]
     * (TransformerLens's {@code get_act_patch_block_every}).
     */
    public Tensor blockEvery() {
        return every(List.of("hook_resid_pre", "hook_attn_out", "hook_mlp_out"), this::byPosition);
    }

    /**
     * The usual points of heads: output, query, key, value, pattern, [5, layer, head]
     * ({@code get_act_patch_attn_head_all_pos_every}).
     */
    public Tensor headEvery() {
        return every(HEAD_POINTS, this::byHead);
    }

    /**
     * The same by position, [5, layer, pos, head] ({@code get_act_patch_attn_head_by_pos_every}, there with the
     * pattern's last two dimensions exchanged).
     */
    public Tensor headByPositionEvery() {
        return every(HEAD_POINTS, this::byPositionAndHead);
    }

    private static Tensor every(List<String> points, Function<String, Tensor> family) {
        try (var _ = TensorScope.open()) {
            return Tensor.stack(0, points.stream().map(family).toArray(Tensor[]::new))
                    .promote();
        }
    }

    /**
     * Any patches: the metric of the corrupted run under each of these hooks in turn
     * ({@code generic_activation_patch}). What they put there is theirs to say; {@link Edits} and the clean run's cache
     * help.
     */
    public double[] each(List<Hooks> patches) {
        double[] results = new double[patches.size()];
        for (int i = 0; i < results.length; i++) {
            RunInterruptedException.check(PATCHING);
            try (var _ = TensorScope.open()) {
                results[i] = metric.applyAsDouble(
                        model.forward(corrupted).hooks(patches.get(i)).logits());
            }
        }
        return results;
    }

    private static void requireHeads(String part) {
        boolean heads =
                HookPoint.of("blocks.0." + part).filter(HookPoint::hasHeads).isPresent();
        if (!part.startsWith("attn.") || !heads)
            throw new IllegalArgumentException("'" + part
                    + "' has no heads; points with heads are attn.hook_q, hook_k, hook_v, hook_z, hook_result,"
                    + " hook_attn_scores and hook_pattern");
    }

    /** Pieces are (position, head), -1 for all of a kind. */
    private Tensor patch(String point, List<long[]> pieces, int... sizes) {
        int layers = model.config().nLayers();
        double[] results = new double[layers * pieces.size()];
        for (int layer = 0; layer < layers; layer++)
            patch(layer, "blocks." + layer + "." + point, pieces, results, layer * pieces.size());
        long[] shape = new long[sizes.length + 1];
        shape[0] = layers;
        for (int i = 0; i < sizes.length; i++) shape[i + 1] = sizes[i];
        return Tensor.of(results, Shape.of(shape));
    }

    private void patch(int layer, String name, List<long[]> pieces, double[] results, int offset) {
        RunInterruptedException.check(PATCHING);
        Tensor wanted = clean.get(name);
        int batch = (int) corrupted.size(0);
        int together = Math.max(1, ROWS_AT_ONCE / batch);
        try (var _ = TensorScope.open()) {
            SharedPrefix shared = SharedPrefix.of(model, corrupted, layer);
            for (int start = 0; start < pieces.size(); start += together) {
                RunInterruptedException.check(PATCHING);
                List<long[]> some = pieces.subList(start, Math.min(pieces.size(), start + together));
                try (var _ = TensorScope.open()) {
                    Tensor logits = shared.forward(some.size())
                            .hooks(Hooks.at(
                                    name, (activation, point) -> patched(activation, wanted, point, some, batch)))
                            .logits();
                    for (int i = 0; i < some.size(); i++) {
                        try (var _ = TensorScope.open()) {
                            results[offset + start + i] =
                                    metric.applyAsDouble(logits.slice(0, (long) i * batch, (i + 1L) * batch));
                        }
                    }
                }
            }
        }
    }

    private static Tensor patched(Tensor activation, Tensor wanted, HookPoint point, List<long[]> pieces, int batch) {
        if (!wanted.shape().equals(activation.slice(0, 0, batch).shape()))
            throw new IllegalArgumentException(
                    "the clean run's " + point + " is " + wanted.shape() + ", and the corrupted run's "
                            + activation.slice(0, 0, batch).shape() + ": both need the same tokens' shape");
        int positions = point.dimension(HookPoint.Axis.POS);
        Tensor changed = activation.copy();
        for (int i = 0; i < pieces.size(); i++) {
            long position = pieces.get(i)[0];
            long head = pieces.get(i)[1];
            Tensor to = changed.slice(0, (long) i * batch, (i + 1L) * batch);
            Tensor from = wanted;
            if (position >= 0) {
                to = to.slice(positions, position, position + 1);
                from = from.slice(positions, position, position + 1);
            }
            if (head >= 0) {
                to = to.slice(point.dimension(HookPoint.Axis.HEAD), head, head + 1);
                from = from.slice(point.dimension(HookPoint.Axis.HEAD), head, head + 1);
            }
            to.copy_(from);
        }
        return changed;
    }

    /** The model and the shape of the tokens. */
    @Override
    public String toString() {
        return "Patching(" + model.name() + ", tokens " + corrupted.shape() + ")";
    }
}
