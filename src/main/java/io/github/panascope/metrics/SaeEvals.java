package io.github.panascope.metrics;

import io.github.panascope.lens.Forward;
import io.github.panascope.lens.Hook;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.sae.Architecture;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.ReadAhead;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;

/**
 * The metrics of SAELens 6's {@code sae_lens.evals}, with its names and groups, over rows of tokens, in bounded memory.
 * Means are computed from float64 sums. Positions of {@code <|endoftext|>} are excluded: the model's own activation
 * stays there, and the results at these positions do not count (a loss belongs to the position that predicts).
 *
 * <p>With x the activation, x̂ the output of the SAE and f its features, over positions:
 *
 * <ul>
 * <li>model_behavior_preservation: kl_div_with_sae and kl_div_with_ablation, the mean of KL(original ‖ changed) of
 * next-token distributions, in nats; kl_div_score = (ablation − sae) / ablation
 * <li>model_performance_preservation: ce_loss_without_sae, ce_loss_with_sae, ce_loss_with_ablation (zeros), in nats;
 * ce_loss_score = (ablation − sae) / (ablation − without)
 * <li>reconstruction_quality: explained_variance = 1 − E‖x−x̂‖² / (E‖x‖² − ‖E x‖²); explained_variance_legacy, the mean
 * of 1 − ‖x−x̂‖² / ‖x−x̄‖² with x̄ the mean of a batch; mse = E‖x−x̂‖²; cossim = E cos(x, x̂)
 * <li>shrinkage: l2_norm_in = E‖x‖, l2_norm_out = E‖x̂‖, l2_ratio = E(‖x̂‖ / ‖x‖), relative_reconstruction_bias =
 * E‖x̂‖² / E⟨x, x̂⟩, as the mean over batches
 * <li>sparsity: l0 = E|{f ≠ 0}|, l1 = E Σ|f|
 * <li>metrics of features: feature_density, the share of positions at which a feature fires;
 * consistent_activation_heuristic, the number of firings per row in which it fires; encoder_norm, encoder_bias,
 * encoder_decoder_cosine_sim
 * </ul>
 *
 * <pre>{@code
 * try (var _ = TensorScope.open();
 *         var model = HookedTransformer.fromPretrained("gpt2");
 *         var sae = Sae.fromPretrained("gpt2-small-res-jb/blocks.8.hook_resid_pre")) {
 *     TextDataset texts = TextDataset.of("NeelNanda/pile-10k", Hub.fromEnvironment());
 *     TokenDataset tokens = TokenDataset.concatAndBatchSequences(
 *             texts::forEach, model.tokenizer(), sae.config().contextSize(), true, 32);
 *     SaeEvals evals = SaeEvals.run(
 *             model, sae, tokens.batch(0, tokens.rows()), 16, 16, true, rows -> {});
 *     evals.metrics().forEach((group, metrics) -> System.out.println(group + " " + metrics));
 * }
 * }</pre>
 */
public final class SaeEvals {
    /** The version of SAELens whose formulas are used; several formulas differ between versions. */
    public static final String FORMULAS = "sae-lens 6.54";
    /** Rows whose logits are held at once on the CPU, in three tensors. */
    private static final int ROWS_AT_ONCE = 2;
    /** Positions whose logits are held at once on a GPU, 0.8 GB for each tensor of them. */
    private static final int LOGITS_ON_DEVICE = 4096;
    /** Positions whose features are held at once on a GPU, in a few tensors of 0.8 GB each. */
    private static final int FEATURES_ON_DEVICE = 8192;

    private static final double SMALLEST_NORM = 1e-4;

    private final HookedTransformer model;
    private final Sae sae;
    private final int batchSizePrompts;
    private final boolean excludeSpecialTokens;

    // Sums of the runs in which the activation is replaced.
    private double klSae, klAblation, ceSae, ceWithout, ceAblation;
    private long klPositions, cePositions;
    // Sums over activations.
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
     * Computes all metrics of an SAE.
     *
     * @param model                the model
     * @param sae                  the SAE, whose hook points the model has
     * @param tokens               int64 [rows, pos], normally on the CPU
     * @param batchSizePrompts     rows of a batch, for the two metrics that are means over batches (16 with SAELens)
     * @param sparsityRows         number of rows, from the first, that count for sparsity, shrinkage, reconstruction
     *     quality and features (one batch with SAELens)
     * @param excludeSpecialTokens true to exclude positions of {@code <|endoftext|>}
     * @param progress             called with the number of rows that are done; the pass over activations, which comes
     *     first, does not report
     * @return the evaluation, which can be merged with others
     * @throws IllegalArgumentException if {@code batchSizePrompts} or {@code sparsityRows} is less than 1
     * @throws io.github.panascope.InputException if the SAE does not fit the model
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted
     */
    public static SaeEvals run(
            HookedTransformer model,
            Sae sae,
            Tensor tokens,
            int batchSizePrompts,
            int sparsityRows,
            boolean excludeSpecialTokens,
            IntConsumer progress) {
        sae.requireFits(model);
        if (batchSizePrompts < 1 || sparsityRows < 1)
            throw new IllegalArgumentException("batchSizePrompts and sparsityRows should be at least 1");
        SaeEvals evals = new SaeEvals(model, sae, batchSizePrompts, excludeSpecialTokens);
        int rows = (int) tokens.size(0);
        int sparse = Math.min(rows, sparsityRows);
        try (ReadAhead batches = new ReadAhead("evaluating an SAE")) {
            for (int start = 0; start < sparse; start += batchSizePrompts) {
                int first = start;
                int end = Math.min(sparse, start + batchSizePrompts);
                batches.next(
                        () -> evals.activations(tokens.slice(0, first, end)),
                        found -> evals.addActivations(found.toDoubles()));
            }
            int rowsAtOnce =
                    model.device().isCpu() ? ROWS_AT_ONCE : (int) Math.max(1, LOGITS_ON_DEVICE / tokens.size(1));
            for (int start = 0; start < rows; start += rowsAtOnce) {
                int first = start;
                int end = Math.min(rows, start + rowsAtOnce);
                batches.next(() -> evals.downstream(tokens.slice(0, first, end)), found -> {
                    evals.addDownstream(found.toDoubles());
                    progress.accept(end);
                });
            }
        }
        return evals;
    }

    /**
     * Adds the sums of another evaluation to this one. It has to be of the same SAE and model, with other rows, in
     * whole batches.
     *
     * @param other the other evaluation, which stays as it is
     * @throws IllegalArgumentException if it is of another SAE, or has other batches or other excluded positions
     */
    public void merge(SaeEvals other) {
        if (other.sae != sae
                || other.batchSizePrompts != batchSizePrompts
                || other.excludeSpecialTokens != excludeSpecialTokens) {
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

    /** Returns 1 for positions that count and 0 for others: float32 [batch, pos], on the device of the tokens. */
    private Tensor mask(Tensor tokens) {
        Tensor ones =
                Tensor.zeros(DType.FLOAT32, tokens.shape(), tokens.device()).add(1);
        return excludeSpecialTokens
                ? ones.sub(tokens.eq(model.tokenizer().endOfText()).to(DType.FLOAT32))
                : ones;
    }

    private static Tensor number(double value, Device device) {
        return Tensor.zeros(DType.FLOAT64, Shape.of(1), device).add(value);
    }

    /** Returns the sum of all elements: float64 [1]. */
    private static Tensor total(Tensor values) {
        return values.sum(DType.FLOAT64).reshape(1);
    }

    // ------------------------------------------------------------------------------------------------- downstream

    /**
     * Computes the sums of one batch that {@link #addDownstream} takes: float64 on the model's device, without waiting
     * for it.
     */
    private Tensor downstream(Tensor rows) {
        Tensor tokens = rows.to(model.device());
        Tensor mask = mask(tokens);
        String in = sae.config().hookName();
        String out = sae.config().hookNameOut();
        Forward plain = model.forward(tokens).caching(in, out);
        Tensor original = plain.logits().to(DType.FLOAT32).logSoftmax(-1);
        Tensor there = plain.cache().get(out);
        Tensor keep = mask.gt(0);
        while (keep.shape().rank() < there.shape().rank()) keep = keep.unsqueeze(-1);
        Tensor reconstruction = sae.reconstruct(plain.cache().get(in))
                .to(there.dtype())
                .reshape(there.shape().sizes())
                .where(keep, there);
        Tensor targets = tokens.slice(1, 1, tokens.size(1)).unsqueeze(-1);
        Tensor sources = mask.slice(1, 0, tokens.size(1) - 1);
        Tensor without = loss(original, targets, sources);
        Tensor withSae = changed(tokens, out, (activation, name) -> reconstruction, original, targets, sources, mask);
        Tensor ablated =
                changed(tokens, out, (activation, name) -> activation.zerosLike(), original, targets, sources, mask);
        return Tensor.cat(0, without, withSae, ablated, total(mask), total(sources));
    }

    private void addDownstream(double[] found) {
        ceWithout -= found[0];
        klSae += found[1];
        ceSae -= found[2];
        klAblation += found[3];
        ceAblation -= found[4];
        klPositions += (long) found[5];
        cePositions += (long) found[6];
    }

    /**
     * Runs the model with a hook and returns the sums of KL divergences and of log-probabilities over the positions
     * that count: [2].
     */
    private Tensor changed(
            Tensor tokens, String point, Hook hook, Tensor original, Tensor targets, Tensor sources, Tensor mask) {
        try (var _ = TensorScope.open()) {
            Tensor changed = model.runWithHooks(tokens, Hooks.at(point, hook))
                    .to(DType.FLOAT32)
                    .logSoftmax(-1);
            Tensor divergence = total(
                    original.exp().mul(original.sub(changed)).sum(-1, false).mul(mask));
            return Tensor.cat(0, divergence, loss(changed, targets, sources)).promote();
        }
    }

    /** Returns the sum of the log-probabilities of the targets: [1]. */
    private static Tensor loss(Tensor logProbabilities, Tensor targets, Tensor sources) {
        return total(logProbabilities
                .slice(1, 0, targets.size(1))
                .gather(-1, targets)
                .reshape(sources.shape().sizes())
                .mul(sources));
    }

    // ------------------------------------------------------------------------------------------------- activations

    /**
     * Computes the sums of one batch [batch, pos] that {@link #addActivations} takes: float64 on the model's device,
     * without waiting for it.
     */
    private Tensor activations(Tensor rows) {
        double counted = mask(rows).sum(DType.FLOAT64).item(); // on the device of the tokens, which is the CPU
        Tensor tokens = rows.to(model.device());
        String in = sae.config().hookName();
        String out = sae.config().hookNameOut();
        Forward run = model.forward(tokens).caching(in, out);
        run.lossPerToken();
        long context = tokens.size(1);
        long count = tokens.shape().elements();
        Tensor mask = mask(tokens).reshape(count, 1);
        Tensor x = run.cache().get(out).to(DType.FLOAT32).reshape(count, -1);
        Tensor reconstruction =
                Tensor.empty(DType.FLOAT32, Shape.of(count, sae.config().dOut()), x.device());
        int rowsAtOnce = x.device().isCpu() ? 1 : (int) Math.max(1, FEATURES_ON_DEVICE / context);
        List<Tensor> features = new ArrayList<>();
        for (long row = 0; row < tokens.size(0); row += rowsAtOnce) {
            long end = Math.min(tokens.size(0), row + rowsAtOnce);
            try (var _ = TensorScope.open()) {
                Sae.Encoded encoded =
                        sae.encodeAndReconstruct(run.cache().get(in).slice(0, row, end));
                reconstruction
                        .slice(0, row * context, end * context)
                        .copy_(encoded.reconstruction().reshape((end - row) * context, -1));
                features.add(features(encoded.features(), mask.slice(0, row * context, end * context), end - row)
                        .promote());
            }
        }
        Tensor difference = x.sub(reconstruction);
        Tensor errors = squares(difference);
        Tensor mean = x.mul(mask).sum(0, true).mul(1.0 / counted);
        Tensor lengthIn = squares(x).sqrt();
        Tensor lengthOut = squares(reconstruction).sqrt();
        Tensor products = x.mul(reconstruction).sum(-1, true);
        Tensor divisor = lengthIn.add(lengthIn.mul(-1)
                .add(SMALLEST_NORM)
                .gt(0)
                .to(DType.FLOAT32)
                .mul(lengthIn.mul(-1).add(1))); // 1 where the norm is next to zero
        List<Tensor> parts = new ArrayList<>();
        parts.add(number(counted, x.device()));
        Tensor legacyOf = errors.div(squares(x.sub(mean))).mul(-1).add(1);
        for (Tensor column : List.of(
                legacyOf,
                errors,
                lengthIn,
                lengthOut,
                lengthOut.div(divisor),
                products.div(lengthIn.mul(lengthOut)),
                squares(reconstruction),
                products)) {
            parts.add(total(column.mul(mask)));
        }
        parts.add(ExplainedVariance.sums(x, reconstruction, mask));
        parts.addAll(features);
        return Tensor.cat(0, parts.toArray(Tensor[]::new));
    }

    private void addActivations(double[] found) {
        int at = 0;
        positions += (long) found[at++];
        legacy += found[at++];
        squaredError += found[at++];
        normIn += found[at++];
        normOut += found[at++];
        ratio += found[at++];
        cosine += found[at++];
        bias += found[at] / found[at + 1];
        at += 2;
        int width = sae.config().dOut();
        variance.add(found, at, width);
        at += 3 + width;
        while (at < found.length) {
            l0 += found[at];
            l1 += found[at + 1] + found[at + 2];
            at += 3;
            for (int i = 0; i < firings.length; i++) {
                firings[i] += found[at + i];
                rowsFired[i] += found[at + firings.length + i];
            }
            at += 2 * firings.length;
        }
        batches++;
    }

    /** Returns the squared norm of each row: [rows, 1]. */
    private static Tensor squares(Tensor rows) {
        return rows.mul(rows).sum(-1, true);
    }

    /**
     * Computes sums over the features [rows * pos, d_sae] of some rows: the number of active features, Σ max(f, 0) and
     * Σ max(-f, 0); then for each feature the number of positions, and of rows, in which it is active. Float64 [3 + 2
     * d_sae].
     */
    private static Tensor features(Tensor features, Tensor mask, long rows) {
        Tensor values = features.to(DType.FLOAT32).mul(mask);
        Tensor active = values.eq(0).to(DType.FLOAT32).mul(-1).add(1);
        Tensor byRow = active.reshape(rows, -1, active.size(1)).sum(1, false);
        return Tensor.cat(
                0,
                total(active),
                total(values.relu()),
                total(values.mul(-1).relu()),
                byRow.sum(0, false).to(DType.FLOAT64),
                byRow.gt(0).sum(0, false).to(DType.FLOAT64));
    }

    // ------------------------------------------------------------------------------------------------- results

    /** {@return all metrics except those of features, by group and name, in the order of SAELens; a new map} */
    public Map<String, Map<String, Double>> metrics() {
        Map<String, Map<String, Double>> all = new LinkedHashMap<>();
        double kl = klSae / klPositions;
        double klZero = klAblation / klPositions;
        double with = ceSae / cePositions;
        double without = ceWithout / cePositions;
        double zero = ceAblation / cePositions;
        all.put(
                "model_behavior_preservation",
                group("kl_div_score", (klZero - kl) / klZero, "kl_div_with_ablation", klZero, "kl_div_with_sae", kl));
        all.put(
                "model_performance_preservation",
                group(
                        "ce_loss_score",
                        (zero - with) / (zero - without),
                        "ce_loss_with_ablation",
                        zero,
                        "ce_loss_with_sae",
                        with,
                        "ce_loss_without_sae",
                        without));
        all.put(
                "reconstruction_quality",
                group(
                        "explained_variance",
                        variance.value(),
                        "explained_variance_legacy",
                        legacy / positions,
                        "mse",
                        squaredError / positions,
                        "cossim",
                        cosine / positions));
        all.put(
                "shrinkage",
                group(
                        "l2_norm_in",
                        normIn / positions,
                        "l2_norm_out",
                        normOut / positions,
                        "l2_ratio",
                        ratio / positions,
                        "relative_reconstruction_bias",
                        bias / batches));
        all.put("sparsity", group("l0", l0 / positions, "l1", l1 / positions));
        return all;
    }

    private static Map<String, Double> group(Object... namesAndValues) {
        Map<String, Double> group = new LinkedHashMap<>();
        for (int i = 0; i < namesAndValues.length; i += 2)
            group.put((String) namesAndValues[i], (Double) namesAndValues[i + 1]);
        return group;
    }

    /**
     * Returns the metrics of each feature, by their names in SAELens. Two of them exist only for some SAEs:
     * encoder_decoder_cosine_sim where input and output have the same width, encoder_bias where the architecture is not
     * gated.
     *
     * @return arrays [d_sae] by name; a value is NaN where the metric is defined only for features that fire, and the
     *     feature never fired
     */
    public Map<String, double[]> featureMetrics() {
        Map<String, double[]> all = new LinkedHashMap<>();
        all.put(
                "feature_density",
                Arrays.stream(firings).map(count -> count / positions).toArray());
        double[] consistent = new double[firings.length];
        for (int i = 0; i < consistent.length; i++) consistent[i] = firings[i] / rowsFired[i];
        all.put("consistent_activation_heuristic", consistent);
        try (var _ = TensorScope.open()) {
            Tensor encoder = sae.weight("W_enc").t().to(DType.FLOAT32);
            Tensor decoder = sae.weight("W_dec").to(DType.FLOAT32);
            Tensor lengths = squares(encoder).sqrt();
            all.put("encoder_norm", lengths.toDoubles());
            if (sae.config().dIn() == sae.config().dOut())
                all.put(
                        "encoder_decoder_cosine_sim",
                        encoder.mul(decoder)
                                .sum(-1, true)
                                .div(lengths.mul(squares(decoder).sqrt()))
                                .toDoubles());
            if (sae.config().architecture() != Architecture.GATED)
                all.put("encoder_bias", sae.weight("b_enc").to(DType.FLOAT32).toDoubles());
        }
        return all;
    }

    /** {@return the number of rows of a batch, for the metrics that are means over batches} */
    public int batchSizePrompts() {
        return batchSizePrompts;
    }
}
