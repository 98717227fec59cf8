package io.github.panascope.metrics;

import io.github.panascope.lens.Forward;
import io.github.panascope.lens.Hook;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.ArrayList;
import java.util.List;

/**
 * Computes the sums of {@link SaeEvals} for batches of rows, on the model's device.
 *
 * @param excludeSpecialTokens true to exclude positions of the tokens that begin, end and pad texts
 */
record EvalBatches(HookedTransformer model, Sae sae, boolean excludeSpecialTokens) {
    /** Rows whose logits are held at once on the CPU, in three tensors. */
    private static final int ROWS_AT_ONCE = 2;
    /** Positions whose logits are held at once on a GPU, 0.8 GB for each tensor of them. */
    private static final int LOGITS_ON_DEVICE = 4096;
    /** Positions whose features are held at once on a GPU, in a few tensors of 0.8 GB each. */
    private static final int FEATURES_ON_DEVICE = 8192;

    private static final double SMALLEST_NORM = 1e-4;

    /** Returns the number of rows of a length whose logits are held at once. */
    int rowsAtOnce(long context) {
        return model.device().isCpu() ? ROWS_AT_ONCE : (int) Math.max(1, LOGITS_ON_DEVICE / context);
    }

    /** Returns 1 for positions that count and 0 for others: float32 [batch, pos], on the device of the tokens. */
    private Tensor mask(Tensor tokens) {
        Tensor ones =
                Tensor.zeros(DType.FLOAT32, tokens.shape(), tokens.device()).add(1);
        if (!excludeSpecialTokens) return ones;
        Tensor counted = ones;
        for (int id : model.tokenizer().bosEosPad())
            counted = counted.sub(tokens.eq(id).to(DType.FLOAT32));
        return counted;
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
     * Computes sums over rows [rows, pos] in which the activation is replaced: the log-probabilities of the targets in
     * the unchanged model; KL and log-probabilities with the SAE, then with zeros; the number of positions that count,
     * and of those that have a next token. Float64 [7] on the model's device, without waiting for it.
     */
    Tensor downstream(Tensor rows) {
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
     * Computes sums over the activations of one batch [batch, pos]: the number of positions that count; 1 − ‖x−x̂‖² /
     * ‖x−x̄‖², ‖x−x̂‖², ‖x‖, ‖x̂‖, ‖x̂‖ / ‖x‖, cos(x, x̂), ‖x̂‖² and ⟨x, x̂⟩; {@link ExplainedVariance#sums}; then
     * {@link #features} of some rows at a time. Float64 on the model's device, without waiting for it.
     */
    Tensor activations(Tensor rows) {
        double counted = mask(rows).sum(DType.FLOAT64).item(); // on the device of the tokens, which is the CPU
        Tensor tokens = rows.to(model.device());
        String in = sae.config().hookName();
        String out = sae.config().hookNameOut();
        Forward run = model.forward(tokens).caching(in);
        run.activation(out);
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

    /** Returns the squared norm of each row: [rows, 1]. */
    static Tensor squares(Tensor rows) {
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
}
