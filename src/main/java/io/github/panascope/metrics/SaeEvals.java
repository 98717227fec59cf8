package io.github.panascope.metrics;

import io.github.panascope.lens.Forward;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.ActivationHook;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.IntConsumer;

/**
 * The metrics of SAELens 6's {@code sae_lens.evals}, under its names and in its groups, over rows of tokens, in one pass and bounded memory. Means are of float64
 * sums. Positions of {@code <|endoftext|>} are left out: the model's own activation stays there, and what they give is not counted (a loss counts
 * with the position that predicts).
 *
 * <p>With x the activation, x̂ what the SAE writes, f its features, over positions:
 * <ul>
 * <li>model_behavior_preservation: kl_div_with_sae and kl_div_with_ablation, the mean of KL(original ‖ changed) of next-token distributions, in nats;
 *     kl_div_score = (ablation − sae) / ablation
 * <li>model_performance_preservation: ce_loss_without_sae, ce_loss_with_sae, ce_loss_with_ablation (zeros), in nats; ce_loss_score = (ablation − sae) / (ablation − without)
 * <li>reconstruction_quality: explained_variance = 1 − E‖x−x̂‖² / (E‖x‖² − ‖E x‖²); explained_variance_legacy, the mean of 1 − ‖x−x̂‖² / ‖x−x̄‖² with x̄ the mean of a
 *     batch; mse = E‖x−x̂‖²; cossim = E cos(x, x̂)
 * <li>shrinkage: l2_norm_in = E‖x‖, l2_norm_out = E‖x̂‖, l2_ratio = E(‖x̂‖ / ‖x‖), relative_reconstruction_bias = E‖x̂‖² / E⟨x, x̂⟩, as the mean over batches
 * <li>sparsity: l0 = E|{f ≠ 0}|, l1 = E Σ|f|
 * <li>of features: feature_density, the share of positions at which it fires; consistent_activation_heuristic, firings per row in which it fires; encoder_norm,
 *     encoder_bias, encoder_decoder_cosine_sim
 * </ul>
 */
public final class SaeEvals {
    /** The version of SAELens whose formulas these are; several have changed over time. */
    public static final String FORMULAS = "sae-lens 6.54";
    /** Rows whose logits are held at once, three times over. */
    private static final int ROWS_AT_ONCE = 2;
    private static final int END_OF_TEXT = 50256;
    private static final double SMALLEST_NORM = 1e-4;

    private final HookedTransformer model;
    private final Sae sae;
    private final int batchSizePrompts;
    private final boolean excludeSpecialTokens;

    // Of the two runs with something in the activation's place.
    private double klSae, klAblation, ceSae, ceWithout, ceAblation;
    private long klPositions, cePositions;
    // Of the activations.
    private final ExplainedVariance variance = new ExplainedVariance();
    private double legacy, squaredError, cosine, normIn, normOut, ratio, bias, l0, l1;
    private long positions, batches;
    private final double[] firings, rowsFired;

    private SaeEvals(HookedTransformer model, Sae sae, int batchSizePrompts, boolean excludeSpecialTokens) {
        this.model = model;
        this.sae = sae;
        this.batchSizePrompts = batchSizePrompts;
        this.excludeSpecialTokens = excludeSpecialTokens;
        this.firings = new double[sae.config().dSae()];
        this.rowsFired = new double[sae.config().dSae()];
    }

    /**
     * Runs them all.
     *
     * @param tokens               int64 [rows, pos]
     * @param batchSizePrompts     rows of a batch, for the two metrics that are means over batches (16 with SAELens)
     * @param sparsityRows         how many of the rows, from the first, count for sparsity, shrinkage, reconstruction quality and features (one batch with SAELens)
     * @param excludeSpecialTokens whether positions of {@code <|endoftext|>} are left out
     * @param progress             told how many rows are done
     * @throws io.github.panascope.hub.InputException if the SAE does not fit the model
     */
    public static SaeEvals run(HookedTransformer model, Sae sae, Tensor tokens, int batchSizePrompts, int sparsityRows, boolean excludeSpecialTokens, IntConsumer progress) {
        sae.requireFits(model);
        if (batchSizePrompts < 1 || sparsityRows < 1) throw new IllegalArgumentException("batchSizePrompts and sparsityRows should be at least 1");
        SaeEvals evals = new SaeEvals(model, sae, batchSizePrompts, excludeSpecialTokens);
        int rows = (int) tokens.size(0);
        for (int start = 0; start < Math.min(rows, sparsityRows); start += batchSizePrompts) {
            try (var _ = TensorScope.open()) {
                evals.activations(tokens.slice(0, start, Math.min(Math.min(rows, sparsityRows), start + batchSizePrompts)));
            }
        }
        for (int start = 0; start < rows; start += ROWS_AT_ONCE) {
            int end = Math.min(rows, start + ROWS_AT_ONCE);
            try (var _ = TensorScope.open()) {
                evals.downstream(tokens.slice(0, start, end));
            }
            progress.accept(end);
        }
        return evals;
    }

    /**
     * Adds what another one has seen of the same SAE in the same model: of other rows, whole batches of them.
     *
     * @throws IllegalArgumentException if it is of another SAE, or had another size of batches
     */
    public void merge(SaeEvals other) {
        if (other.sae != sae || other.batchSizePrompts != batchSizePrompts || other.excludeSpecialTokens != excludeSpecialTokens) {
            throw new IllegalArgumentException("only evals of one SAE, in batches of one size, can be merged");
        }
        klSae += other.klSae;
        klAblation += other.klAblation;
        ceSae += other.ceSae;
        ceWithout += other.ceWithout;
        ceAblation += other.ceAblation;
        klPositions += other.klPositions;
        cePositions += other.cePositions;
        variance.merge(other.variance);
        legacy += other.legacy;
        squaredError += other.squaredError;
        cosine += other.cosine;
        normIn += other.normIn;
        normOut += other.normOut;
        ratio += other.ratio;
        bias += other.bias;
        l0 += other.l0;
        l1 += other.l1;
        positions += other.positions;
        batches += other.batches;
        for (int i = 0; i < firings.length; i++) {
            firings[i] += other.firings[i];
            rowsFired[i] += other.rowsFired[i];
        }
    }

    /** 1 where a position counts, else 0: float32 [batch, pos]. */
    private Tensor mask(Tensor tokens) {
        Tensor ones = Tensor.zeros(DType.FLOAT32, tokens.shape()).add(1).to(tokens.device());
        return excludeSpecialTokens ? ones.sub(tokens.eq(END_OF_TEXT).to(DType.FLOAT32)) : ones;
    }

    // ------------------------------------------------------------------------------------------------- downstream

    private void downstream(Tensor tokens) {
        Tensor mask = mask(tokens);
        String in = sae.config().hookName(), out = sae.config().hookNameOut();
        Forward plain = model.forward(tokens).caching(in, out);
        Tensor original = plain.logits().to(DType.FLOAT32).logSoftmax(-1);
        Tensor there = plain.cache().get(out), keep = mask.gt(0);
        while (keep.shape().rank() < there.shape().rank()) keep = keep.unsqueeze(-1);
        Tensor reconstruction = sae.reconstruct(plain.cache().get(in)).to(there.dtype()).reshape(there.shape().sizes()).where(keep, there);
        Tensor targets = tokens.slice(1, 1, tokens.size(1)).unsqueeze(-1), sources = mask.slice(1, 0, tokens.size(1) - 1);
        ceWithout += loss(original, targets, sources);
        double[] withSae = changed(tokens, out, (activation, name) -> reconstruction, original, targets, sources, mask);
        double[] ablated = changed(tokens, out, (activation, name) -> activation.zerosLike(), original, targets, sources, mask);
        klSae += withSae[0];
        ceSae += withSae[1];
        klAblation += ablated[0];
        ceAblation += ablated[1];
        klPositions += (long) mask.sum(DType.FLOAT64).item();
        cePositions += (long) sources.sum(DType.FLOAT64).item();
    }

    /** The sums of KL divergences and of losses over the positions that count. */
    private double[] changed(Tensor tokens, String point, ActivationHook hook, Tensor original, Tensor targets, Tensor sources, Tensor mask) {
        try (var _ = TensorScope.open()) {
            Tensor changed = model.runWithHooks(tokens, Hooks.at(point, hook)).to(DType.FLOAT32).logSoftmax(-1);
            double loss = loss(changed, targets, sources);
            double divergence = original.exp().mul(original.sub(changed)).sum(-1, false).mul(mask).sum(DType.FLOAT64).item();
            return new double[] {divergence, loss};
        }
    }

    private static double loss(Tensor logProbabilities, Tensor targets, Tensor sources) {
        return -logProbabilities.slice(1, 0, targets.size(1)).gather(-1, targets).reshape(sources.shape().sizes()).mul(sources).sum(DType.FLOAT64).item();
    }

    // ------------------------------------------------------------------------------------------------- activations

    /** One batch, [batch, pos]. */
    private void activations(Tensor tokens) {
        String in = sae.config().hookName(), out = sae.config().hookNameOut();
        Forward run = model.forward(tokens).caching(in, out);
        run.lossPerToken();
        long count = tokens.shape().elements();
        Tensor mask = mask(tokens).reshape(count, 1);
        Tensor x = run.cache().get(out).to(DType.FLOAT32).reshape(count, -1);
        Tensor reconstruction = Tensor.empty(DType.FLOAT32, Shape.of(count, sae.config().dOut()), x.device());
        for (long row = 0; row < tokens.size(0); row++) {
            try (var _ = TensorScope.open()) {
                long from = row * tokens.size(1), to = from + tokens.size(1);
                Sae.Encoded encoded = sae.encodeAndReconstruct(run.cache().get(in).slice(0, row, row + 1));
                reconstruction.slice(0, from, to).copy_(encoded.reconstruction().reshape(to - from, -1));
                features(encoded.features(), mask.slice(0, from, to));
            }
        }
        long counted = (long) mask.sum(DType.FLOAT64).item();
        variance.add(x, reconstruction, mask);
        Tensor difference = x.sub(reconstruction), errors = squares(difference);
        Tensor mean = x.mul(mask).sum(0, true).mul(1.0 / counted);
        legacy += total(errors.div(squares(x.sub(mean))).mul(-1).add(1), mask);
        squaredError += total(errors, mask);
        Tensor lengthIn = squares(x).sqrt(), lengthOut = squares(reconstruction).sqrt(), products = x.mul(reconstruction).sum(-1, true);
        normIn += total(lengthIn, mask);
        normOut += total(lengthOut, mask);
        Tensor divisor = lengthIn.add(lengthIn.mul(-1).add(SMALLEST_NORM).gt(0).to(DType.FLOAT32).mul(lengthIn.mul(-1).add(1))); // 1 where there is next to nothing
        ratio += total(lengthOut.div(divisor), mask);
        cosine += total(products.div(lengthIn.mul(lengthOut)), mask);
        bias += total(squares(reconstruction), mask) / total(products, mask);
        positions += counted;
        batches++;
    }

    private static Tensor squares(Tensor rows) {
        return rows.mul(rows).sum(-1, true);
    }

    private static double total(Tensor column, Tensor mask) {
        return column.mul(mask).sum(DType.FLOAT64).item();
    }

    /** Of one row: features [pos, d_sae]. */
    private void features(Tensor features, Tensor mask) {
        Tensor values = features.to(DType.FLOAT32).mul(mask), active = values.eq(0).to(DType.FLOAT32).mul(-1).add(1);
        l0 += active.sum(DType.FLOAT64).item();
        l1 += values.relu().sum(DType.FLOAT64).item() + values.mul(-1).relu().sum(DType.FLOAT64).item();
        float[] fired = active.sum(0, false).toFloats();
        for (int i = 0; i < fired.length; i++) {
            firings[i] += fired[i];
            if (fired[i] > 0) rowsFired[i]++;
        }
    }

    // ------------------------------------------------------------------------------------------------- results

    /** All metrics by group and name, in SAELens's order. */
    public Map<String, Map<String, Double>> metrics() {
        Map<String, Map<String, Double>> all = new LinkedHashMap<>();
        double kl = klSae / klPositions, klZero = klAblation / klPositions, with = ceSae / cePositions, without = ceWithout / cePositions, zero = ceAblation / cePositions;
        all.put("model_behavior_preservation", group("kl_div_score", (klZero - kl) / klZero, "kl_div_with_ablation", klZero, "kl_div_with_sae", kl));
        all.put("model_performance_preservation", group("ce_loss_score", (zero - with) / (zero - without), "ce_loss_with_ablation", zero, "ce_loss_with_sae", with, "ce_loss_without_sae", without));
        all.put("reconstruction_quality", group("explained_variance", variance.value(), "explained_variance_legacy", legacy / positions, "mse", squaredError / positions, "cossim", cosine / positions));
        all.put("shrinkage", group("l2_norm_in", normIn / positions, "l2_norm_out", normOut / positions, "l2_ratio", ratio / positions, "relative_reconstruction_bias", bias / batches));
        all.put("sparsity", group("l0", l0 / positions, "l1", l1 / positions));
        return all;
    }

    private static Map<String, Double> group(Object... namesAndValues) {
        Map<String, Double> group = new LinkedHashMap<>();
        for (int i = 0; i < namesAndValues.length; i += 2) group.put((String) namesAndValues[i], (Double) namesAndValues[i + 1]);
        return group;
    }

    /** Metrics of each feature by SAELens's name, [d_sae] each; NaN where a feature never fired and the metric needs it to. */
    public Map<String, double[]> featureMetrics() {
        Map<String, double[]> all = new LinkedHashMap<>();
        all.put("feature_density", Arrays.stream(firings).map(count -> count / positions).toArray());
        double[] consistent = new double[firings.length];
        for (int i = 0; i < consistent.length; i++) consistent[i] = firings[i] / rowsFired[i];
        all.put("consistent_activation_heuristic", consistent);
        try (var _ = TensorScope.open()) {
            Tensor encoder = sae.weight("W_enc").t().to(DType.FLOAT32), decoder = sae.weight("W_dec").to(DType.FLOAT32);
            Tensor lengths = squares(encoder).sqrt();
            all.put("encoder_norm", lengths.toDoubles());
            if (sae.config().dIn() == sae.config().dOut()) all.put("encoder_decoder_cosine_sim", encoder.mul(decoder).sum(-1, true).div(lengths.mul(squares(decoder).sqrt())).toDoubles());
            if (!sae.config().architecture().equals("gated")) all.put("encoder_bias", sae.weight("b_enc").to(DType.FLOAT32).toDoubles());
        }
        return all;
    }

    /** How many rows make a batch for the metrics that are means over batches. */
    public int batchSizePrompts() {
        return batchSizePrompts;
    }
}
