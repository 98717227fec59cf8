package io.github.panascope.lens;

import io.github.panascope.RunInterruptedException;
import io.github.panascope.model.HookPoint;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;

/**
 * Activation patching (TransformerLens's {@code patching}). The model runs on corrupted tokens; in each run one piece
 * of an activation is replaced by that of a clean run, and the result is the value of a metric for each piece. The
 * blocks before a piece run once, and many pieces run together as rows of one batch.
 *
 * <p>Hook points are named without their block: {@code hook_resid_pre}, {@code hook_attn_out}, {@code attn.hook_z}.
 * Where query heads share keys and values, hook_k, hook_v and hook_rot_k have heads of their own, which are fewer.
 * Results are float64 on the CPU, in the innermost scope. Every method that runs the model throws
 * {@link RunInterruptedException} if the thread is interrupted.
 *
 * <pre>{@code
 * try (var _ = TensorScope.open();
 *         var model = HookedTransformer.fromPretrained("gpt2-small")) {
 *     Tensor clean = model.toTokens("When John and Mary went out, John gave the bag to");
 *     Tensor corrupted = model.toTokens("When John and Mary went out, Mary gave the bag to");
 *     long last = clean.size(1) - 1;
 *     int mary = model.toSingleToken(" Mary");
 *     int john = model.toSingleToken(" John");
 *     ToDoubleFunction<Tensor> difference = logits ->
 *             logits.select(1, last).select(1, mary).item()
 *                     - logits.select(1, last).select(1, john).item();
 *     ActivationCache cache =
 *             model.runWithCache(clean, name -> name.endsWith("attn.hook_z")).cache();
 *     Tensor heads = Patching.of(model, corrupted, cache, difference).byHead("attn.hook_z");
 *     System.out.println(heads.select(0, 9).select(0, 6).item()); // with head 6 of block 9 patched
 * }
 * }</pre>
 */
public final class Patching {
    private static final List<String> HEAD_POINTS =
            List.of("attn.hook_z", "attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_pattern");
    /** The number of rows that run together. */
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
     * Describes patching of a run, without running it.
     *
     * @param model           the model
     * @param corruptedTokens the tokens of the runs, int64 [batch, pos]
     * @param cleanCache      the activations of a run on clean tokens of the same shape, at the points that will be
     *     patched
     * @param metric          computes a number from the logits [batch, pos, d_vocab], which are freed after the call
     * @return the description, whose methods run the model
     * @throws IllegalArgumentException if the tokens are not [batch, pos] with at least one row
     */
    public static Patching of(
            HookedTransformer model,
            Tensor corruptedTokens,
            ActivationCache cleanCache,
            ToDoubleFunction<Tensor> metric) {
        Objects.requireNonNull(cleanCache, "patching needs the cache of a clean run");
        Objects.requireNonNull(metric, "patching needs a metric of the logits");
        if (corruptedTokens.shape().rank() != 2 || corruptedTokens.size(0) == 0)
            throw new IllegalArgumentException("tokens should be [batch, pos], not " + corruptedTokens.describe());
        return new Patching(model, corruptedTokens, cleanCache, metric);
    }

    /**
     * Patches each position of each layer.
     *
     * @param point a point [batch, pos, ...], without its block
     * @return the metric for each piece, float64 [layer, pos] on the CPU, in the innermost scope
     * @throws IllegalArgumentException if the point has no dimension of positions, or if the clean run did not keep the
     *     point or had tokens of another shape
     * @throws RunInterruptedException if the thread is interrupted
     */
    public Tensor byPosition(String point) {
        HookPoint.of("blocks.0." + point).ifPresent(each -> each.dimension(HookPoint.Axis.POS));
        int positions = (int) corrupted.size(1);
        List<long[]> pieces = new ArrayList<>();
        for (int position = 0; position < positions; position++) pieces.add(new long[] {position, -1});
        return patch(point, pieces, positions);
    }

    /**
     * Patches each head of each layer, at all positions.
     *
     * @param point attn.hook_q, attn.hook_k, attn.hook_v, attn.hook_rot_q, attn.hook_rot_k, attn.hook_z,
     *     attn.hook_result, attn.hook_attn_scores or attn.hook_pattern
     * @return the metric for each piece, float64 [layer, head] on the CPU, in the innermost scope
     * @throws IllegalArgumentException if the point has no heads, or if the clean run did not keep it or had tokens of
     *     another shape
     * @throws RunInterruptedException if the thread is interrupted
     */
    public Tensor byHead(String point) {
        int heads = requireHeads(point);
        List<long[]> pieces = new ArrayList<>();
        for (int head = 0; head < heads; head++) pieces.add(new long[] {-1, head});
        return patch(point, pieces, heads);
    }

    /**
     * Patches each head of each layer at each position; at attention scores and patterns, at each query position.
     *
     * @param point attn.hook_q, attn.hook_k, attn.hook_v, attn.hook_rot_q, attn.hook_rot_k, attn.hook_z,
     *     attn.hook_result, attn.hook_attn_scores or attn.hook_pattern
     * @return the metric for each piece, float64 [layer, pos, head] on the CPU, in the innermost scope
     * @throws IllegalArgumentException if the point has no heads, or if the clean run did not keep it or had tokens of
     *     another shape
     * @throws RunInterruptedException if the thread is interrupted
     */
    public Tensor byPositionAndHead(String point) {
        int heads = requireHeads(point);
        int positions = (int) corrupted.size(1);
        List<long[]> pieces = new ArrayList<>();
        for (int position = 0; position < positions; position++)
            for (int head = 0; head < heads; head++) pieces.add(new long[] {position, head});
        return patch(point, pieces, positions, heads);
    }

    /**
     * Patches each position of each layer at hook_resid_pre, hook_attn_out and hook_mlp_out (TransformerLens's
     * {@code get_act_patch_block_every}).
     *
     * @return the metric for each piece, float64 [3, layer, pos] on the CPU, in the innermost scope
     * @throws IllegalArgumentException if the clean run did not keep one of the points, or had tokens of another shape
     * @throws RunInterruptedException if the thread is interrupted
     */
    public Tensor blockEvery() {
        return every(List.of("hook_resid_pre", "hook_attn_out", "hook_mlp_out"), this::byPosition);
    }

    /**
     * Patches each head of each layer at its output, query, key, value and pattern (TransformerLens's
     * {@code get_act_patch_attn_head_all_pos_every}). Heads that share a key or value have the result of that one.
     *
     * @return the metric for each piece, float64 [5, layer, head] on the CPU, in the innermost scope
     * @throws IllegalArgumentException if the clean run did not keep one of the points, or had tokens of another shape
     * @throws RunInterruptedException if the thread is interrupted
     */
    public Tensor headEvery() {
        return every(HEAD_POINTS, this::byHead);
    }

    /**
     * Patches each head of each layer at each position, at its output, query, key, value and pattern (TransformerLens's
     * {@code get_act_patch_attn_head_by_pos_every}, which exchanges the last two dimensions of the pattern's result).
     * Heads that share a key or value have the result of that one.
     *
     * @return the metric for each piece, float64 [5, layer, pos, head] on the CPU, in the innermost scope
     * @throws IllegalArgumentException if the clean run did not keep one of the points, or had tokens of another shape
     * @throws RunInterruptedException if the thread is interrupted
     */
    public Tensor headByPositionEvery() {
        return every(HEAD_POINTS, this::byPositionAndHead);
    }

    private Tensor every(List<String> points, Function<String, Tensor> family) {
        try (var _ = TensorScope.open()) {
            return Tensor.stack(
                            0,
                            points.stream()
                                    .map(point -> forAllHeads(point, family.apply(point)))
                                    .toArray(Tensor[]::new))
                    .promote();
        }
    }

    /** Repeats the results of heads of keys or values for all query heads that share them. */
    private Tensor forAllHeads(String part, Tensor results) {
        HookPoint point = HookPoint.of("blocks.0." + part).orElseThrow();
        int group = model.config().nHeads() / point.heads(model.config());
        if (!point.hasHeads() || group == 1) return results;
        long[] sizes = results.shape().sizes();
        long[] repeated = Arrays.copyOf(sizes, sizes.length + 1);
        repeated[sizes.length] = group;
        sizes[sizes.length - 1] *= group;
        return results.unsqueeze(-1).expand(repeated).reshape(sizes);
    }

    /**
     * Computes the metric of the corrupted run under each of these hooks in turn (TransformerLens's
     * {@code generic_activation_patch}). {@link Edits} and the cache of the clean run help to build the hooks.
     *
     * @param patches the hooks of each run
     * @return the metric of each run, in the order of {@code patches}
     * @throws RunInterruptedException if the thread is interrupted
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

    /** Returns the number of heads that a point of attention has. */
    private int requireHeads(String part) {
        HookPoint point = HookPoint.of("blocks.0." + part)
                .filter(each -> part.startsWith("attn.") && each.hasHeads())
                .orElseThrow(() -> new IllegalArgumentException("'" + part
                        + "' has no heads; points with heads are attn.hook_q, hook_k, hook_v, hook_rot_q, hook_rot_k,"
                        + " hook_z, hook_result, hook_attn_scores and hook_pattern"));
        return point.heads(model.config());
    }

    /**
     * Patches pieces at a point of each layer. A piece is {position, head}; -1 stands for all positions or all heads.
     */
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

    /** {@return the name of the model and the shape of the tokens} */
    @Override
    public String toString() {
        return "Patching(" + model.name() + ", tokens " + corrupted.shape() + ")";
    }
}
