package io.github.panascope.sae;

import io.github.panascope.RunInterruptedException;
import io.github.panascope.lens.Forward;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.lens.SharedPrefix;
import io.github.panascope.model.HookPoint;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;

/**
 * Attribution of a model's answer to the features of an SAE. The SAE is attached with its error term, so that the
 * output of the model does not change.
 *
 * <p>{@link #byGradient} runs the model forwards and backwards once for all features: activation times gradient, the
 * first-order estimate of what the metric loses without the feature. {@link #byAblation} runs the model without each
 * active feature in turn: exact, with one row of a batch for each feature.
 *
 * <pre>{@code
 * try (var _ = TensorScope.open();
 *         var model = HookedTransformer.fromPretrained("gpt2-small");
 *         var sae = Sae.fromPretrained("gpt2-small-res-jb/blocks.8.hook_resid_pre")) {
 *     Tensor tokens = model.toTokens("The Eiffel Tower is in the city of");
 *     int last = (int) tokens.size(1) - 1;
 *     int paris = model.toSingleToken(" Paris");
 *     Function<Tensor, Tensor> answer = logits -> logits.select(1, last).select(1, paris);
 *     for (var each : FeatureAttribution.topByGradient(model, sae, tokens, answer, 10))
 *         System.out.println("position " + each.position() + ", feature " + each.feature()
 *                 + ": about " + each.effect());
 *     var exact = FeatureAttribution.byAblation(
 *             model, sae, tokens, logits -> answer.apply(logits).item(), last);
 *     System.out.println(exact.getFirst());
 * }
 * }</pre>
 */
public final class FeatureAttribution {
    /** The number of rows that run together. */
    private static final int ROWS_AT_ONCE = 32;

    private FeatureAttribution() {}

    /**
     * The attribution of a metric to one feature at one position.
     *
     * @param position   the position, from 0
     * @param feature    the feature, from 0
     * @param activation the activation of the feature at the position
     * @param effect     what the feature adds to the metric
     */
    public record Attribution(int position, int feature, double activation, double effect) {}

    /**
     * Computes activation times gradient of every feature at every position.
     *
     * @param model  the model
     * @param sae    the SAE, which is attached for this run
     * @param tokens int64 [batch, pos]
     * @param metric computes a tensor of one element from the logits [batch, pos, d_vocab], with this library's
     *     operators
     * @return [batch, pos, d_sae], in the innermost scope
     * @throws io.github.panascope.InputException if the SAE does not fit the model
     * @throws RunInterruptedException if the thread is interrupted
     */
    public static Tensor byGradient(HookedTransformer model, Sae sae, Tensor tokens, Function<Tensor, Tensor> metric) {
        sae.requireFits(model);
        String point = point(sae);
        try (var _ = TensorScope.open()) {
            Forward.Gradients found =
                    model.forward(tokens).attach(sae.attachment(true)).gradients(metric, point);
            return found.activations()
                    .get(point)
                    .mul(found.gradients().get(point))
                    .promote();
        }
    }

    /**
     * Computes activation times gradient of every active feature at every position of one row.
     *
     * @param model  the model
     * @param sae    the SAE, which is attached for this run
     * @param tokens int64 [1, pos]
     * @param metric computes a tensor of one element from the logits [1, pos, d_vocab], with this library's operators
     * @param most   the largest number of attributions to return, at least 0
     * @return the attributions with the largest absolute effects, in descending order
     * @throws IllegalArgumentException if the tokens are not one row, or if {@code most} is negative
     * @throws io.github.panascope.InputException if the SAE does not fit the model
     * @throws RunInterruptedException if the thread is interrupted
     */
    public static List<Attribution> topByGradient(
            HookedTransformer model, Sae sae, Tensor tokens, Function<Tensor, Tensor> metric, int most) {
        requireOneRow(tokens);
        if (most < 0) throw new IllegalArgumentException("most should not be negative: " + most);
        sae.requireFits(model);
        String point = point(sae);
        try (var _ = TensorScope.open()) {
            Forward.Gradients found =
                    model.forward(tokens).attach(sae.attachment(true)).gradients(metric, point);
            Tensor activations = found.activations().get(point);
            int features = (int) activations.size(-1);
            float[] active = activations.toFloats();
            float[] gradients = found.gradients().get(point).toFloats();
            List<Attribution> all = new ArrayList<>();
            for (int i = 0; i < active.length; i++) {
                if (active[i] != 0)
                    all.add(new Attribution(i / features, i % features, active[i], (double) active[i] * gradients[i]));
            }
            return largest(all, most);
        }
    }

    /**
     * Computes what the metric loses when one feature at one position is set to zero, for each feature that is active
     * there: the metric as it is minus the metric without the feature.
     *
     * @param model     the model
     * @param sae       the SAE, which is attached for these runs
     * @param tokens    int64 [1, pos]
     * @param metric    computes a number from the logits [1, pos, d_vocab], which are freed after the call
     * @param positions the positions to consider, from 0; all positions if none is given
     * @return the attributions, in descending order of the absolute effect
     * @throws IllegalArgumentException if the tokens are not one row
     * @throws IndexOutOfBoundsException if a position is outside the tokens
     * @throws io.github.panascope.InputException if the SAE does not fit the model
     * @throws RunInterruptedException if the thread is interrupted
     */
    public static List<Attribution> byAblation(
            HookedTransformer model, Sae sae, Tensor tokens, ToDoubleFunction<Tensor> metric, int... positions) {
        requireOneRow(tokens);
        sae.requireFits(model);
        String point = point(sae);
        for (int position : positions)
            if (position < 0 || position >= tokens.size(-1))
                throw new IndexOutOfBoundsException(
                        "position " + position + " is outside the " + tokens.size(-1) + " positions of the tokens");
        try (var _ = TensorScope.open()) {
            Forward whole = model.forward(tokens).attach(sae.attachment(true)).caching(point);
            double before = metric.applyAsDouble(whole.logits());
            Tensor activations = whole.cache().get(point);
            int features = (int) activations.size(-1);
            float[] active = activations.toFloats();
            List<int[]> pieces = new ArrayList<>();
            for (int i = 0; i < active.length; i++) {
                int position = i / features;
                if (active[i] != 0
                        && (positions.length == 0 || Arrays.stream(positions).anyMatch(p -> p == position)))
                    pieces.add(new int[] {position, i % features});
            }
            int block = HookPoint.of(sae.config().hookName()).orElseThrow().block();
            SharedPrefix shared = SharedPrefix.of(model, tokens, block);
            List<Attribution> all = new ArrayList<>();
            for (int start = 0; start < pieces.size(); start += ROWS_AT_ONCE) {
                RunInterruptedException.check("taking features away");
                List<int[]> some = pieces.subList(start, Math.min(pieces.size(), start + ROWS_AT_ONCE));
                try (var _ = TensorScope.open()) {
                    Tensor logits = shared.forward(some.size())
                            .attach(sae.attachment(true))
                            .hooks(without(point, some))
                            .logits();
                    for (int i = 0; i < some.size(); i++) {
                        try (var _ = TensorScope.open()) {
                            int position = some.get(i)[0];
                            int feature = some.get(i)[1];
                            all.add(new Attribution(
                                    position,
                                    feature,
                                    active[position * features + feature],
                                    before - metric.applyAsDouble(logits.slice(0, i, i + 1L))));
                        }
                    }
                }
            }
            return largest(all, Integer.MAX_VALUE);
        }
    }

    /** Returns hooks that set the i-th (position, feature) to zero in row i of the batch. */
    private static Hooks without(String point, List<int[]> pieces) {
        return Hooks.at(point, (features, name) -> {
            Tensor changed = features.copy();
            for (int i = 0; i < pieces.size(); i++)
                changed.select(0, i)
                        .select(0, pieces.get(i)[0])
                        .slice(0, pieces.get(i)[1], pieces.get(i)[1] + 1L)
                        .zero_();
            return changed;
        });
    }

    private static List<Attribution> largest(List<Attribution> all, int most) {
        all.sort(Comparator.comparingDouble((Attribution each) -> -Math.abs(each.effect()))
                .thenComparingInt(Attribution::position)
                .thenComparingInt(Attribution::feature));
        return List.copyOf(all.subList(0, Math.min(most, all.size())));
    }

    private static String point(Sae sae) {
        return sae.config().hookNameOut() + ".hook_sae_acts_post";
    }

    private static void requireOneRow(Tensor tokens) {
        if (tokens.shape().rank() != 2 || tokens.size(0) != 1)
            throw new IllegalArgumentException("one row of tokens [1, pos] is needed, not " + tokens.shape());
    }
}
