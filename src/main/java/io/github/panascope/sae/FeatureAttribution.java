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
 * Which features of an SAE a model's answer rests on. The SAE is attached with its error term, so that the model does
 * what it does without it.
 *
 * <p>{@link #byGradient} is one run there and back for all features at once: activation times gradient, the first-order
 * estimate of what taking the feature away would cost. {@link #byAblation} takes each away and runs again: exact, and
 * one row of a batch for each.
 */
public final class FeatureAttribution {
    /** Rows that run together. */
    private static final int ROWS_AT_ONCE = 32;

    private FeatureAttribution() {}

    /** One feature at one position: its activation there, and what it adds to the metric. */
    public record Attribution(int position, int feature, double activation, double effect) {}

    /**
     * Activation times gradient of every feature at every position.
     *
     * @param tokens int64 [batch, pos]
     * @param metric one number of the logits [batch, pos, d_vocab], made with this library's operators
     * @return [batch, pos, d_sae], in the innermost scope
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
     * The attributions of one row of {@link #byGradient} that are not zero, the largest by absolute value first, at
     * most so many.
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
     * What the metric loses when one feature at one position is set to zero, for each that is active there: metric as
     * it is, less metric without it.
     *
     * @param tokens    int64 [1, pos]
     * @param metric    of logits [1, pos, d_vocab], which end with its call
     * @param positions those to look at; all, if none is named
     * @return the largest by absolute value first
     * @throws RunInterruptedException if the thread was interrupted
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

    /** Row i of the batch without the i-th (position, feature). */
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
