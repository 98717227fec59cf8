package io.github.panascope.metrics;

import io.github.panascope.lens.Forward;
import io.github.panascope.lens.HookNames;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.lens.LossMemory;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.ActivationHook;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.function.IntConsumer;

/**
 * L0, the explained variance and the three losses of an SAE in a model, over rows of tokens, in one pass: the blocks before the SAE's run once, and
 * each loss starts from there. Memory does not grow with the number of rows.
 *
 * @param l0                over all positions but the first of each row, which is {@code <|endoftext|>}
 * @param explainedVariance of what the SAE writes, over the same positions
 * @param loss              over all positions that have a next token
 */
public record SaeEvaluation(L0 l0, ExplainedVariance explainedVariance, DownstreamLoss loss) {
    /** Rows that run together; more would need more memory and be no faster. */
    private static final int ROWS_AT_ONCE = 8;
    /** Positions whose features are held at once: 256 x 24,576 floats are 25 MB, near what stays in cache. */
    private static final int ENCODE_CHUNK = 256;

    /** The same without anybody to tell. */
    public static SaeEvaluation run(HookedTransformer model, Sae sae, Tensor tokens) {
        return run(model, sae, tokens, rows -> {});
    }

    /**
     * Runs it.
     *
     * @param tokens   int64 [rows, pos], each row beginning with {@code <|endoftext|>}
     * @param progress told how many rows are done
     * @throws io.github.panascope.hub.InputException if the SAE does not fit the model
     */
    public static SaeEvaluation run(HookedTransformer model, Sae sae, Tensor tokens, IntConsumer progress) {
        sae.requireFits(model);
        L0 l0 = new L0();
        ExplainedVariance variance = new ExplainedVariance();
        double[] sums = new double[3];
        long predictions = 0;
        int rows = (int) tokens.size(0);
        try (var _ = TensorScope.open()) {
            LossMemory memory = LossMemory.of(model, Math.min(rows, ROWS_AT_ONCE) * tokens.size(1));
            for (int start = 0; start < rows; start += ROWS_AT_ONCE) {
                int end = Math.min(rows, start + ROWS_AT_ONCE);
                try (var _ = TensorScope.open()) {
                    Tensor batch = tokens.slice(0, start, end);
                    double[] losses = evaluate(model, sae, batch, memory, l0, variance);
                    for (int i = 0; i < sums.length; i++) sums[i] += losses[i];
                    predictions += (end - start) * (tokens.size(1) - 1);
                }
                progress.accept(end);
            }
        }
        return new SaeEvaluation(l0, variance, new DownstreamLoss(sums[0] / predictions, sums[1] / predictions, sums[2] / predictions));
    }

    /** Sums over positions of the three losses; L0 and variance are counted on the way. Zeros go where the reconstruction goes. */
    private static double[] evaluate(HookedTransformer model, Sae sae, Tensor batch, LossMemory memory, L0 l0, ExplainedVariance variance) {
        String in = sae.config().hookName(), out = sae.config().hookNameOut(); // the same but for transcoders
        int layer = HookNames.layer(in).orElse(in.startsWith("ln_final") ? model.config().nLayers() : 0);
        boolean fromStart = layer == 0 || layer == model.config().nLayers(); // nothing to share, or nothing to start at
        Tensor prefix = fromStart ? null : model.forward(batch).stopAtLayer(layer);
        Forward plain = begin(model, batch, layer, prefix).lossMemory(memory).caching(in, out);
        Tensor original = sum(plain.lossPerToken());
        Tensor reconstruction = reconstruct(sae, plain.cache().get(in), plain.cache().get(out), l0, variance);
        Tensor reconstructed = sum(begin(model, batch, layer, prefix).lossMemory(memory).hooks(Hooks.at(out, (activation, name) -> reconstruction)).lossPerToken());
        return Tensor.cat(0, original, reconstructed, zero(model, batch, memory, layer, prefix, out)).toDoubles(); // read together: each reading waits for the device
    }

    /**
     * The summed loss with zeros at a hook point. If all that follows comes from there, it is the same at every position: each looks at equal ones, whose mean is any of them. So one
     * position is enough.
     */
    private static Tensor zero(HookedTransformer model, Tensor batch, LossMemory memory, int layer, Tensor prefix, String out) {
        ActivationHook zeros = (activation, name) -> activation.zerosLike();
        boolean constant = !model.isExact() && model.isPlain() && prefix != null && HookNames.isBottleneck(out) && HookNames.layer(out).isPresent();
        if (!constant) return sum(begin(model, batch, layer, prefix).lossMemory(memory).hooks(Hooks.at(out, zeros)).lossPerToken());
        Tensor logProbs = begin(model, batch.slice(0, 0, 1).slice(1, 0, 1), layer, prefix.slice(0, 0, 1).slice(1, 0, 1)).hooks(Hooks.at(out, zeros)).logits().to(DType.FLOAT32).logSoftmax(-1).reshape(-1);
        Tensor targets = batch.slice(1, 1, batch.size(1)).reshape(-1);
        return sum(logProbs.indexSelect(0, targets)).mul(-1);
    }

    private static Forward begin(HookedTransformer model, Tensor batch, int layer, Tensor prefix) {
        Forward forward = model.forward(batch);
        return prefix == null ? forward : forward.startAtLayer(layer, prefix);
    }

    /** [1], float64. */
    private static Tensor sum(Tensor losses) {
        return losses.sum(DType.FLOAT64).reshape(1);
    }

    /** What the SAE makes of one activation, in the shape and dtype of the other; never holds the features of more than a chunk of positions. */
    private static Tensor reconstruct(Sae sae, Tensor activation, Tensor like, L0 l0, ExplainedVariance variance) {
        long positions = activation.size(1);
        long count = activation.size(0) * positions;
        Tensor rows = activation.reshape(count, -1), wanted = like.reshape(count, -1);
        Tensor counted = Tensor.zeros(DType.FLOAT32, Shape.of(activation.size(0), positions, 1)).add(1).to(like.device());
        counted.slice(1, 0, 1).zero_();
        counted = counted.reshape(count, 1);
        Tensor result = Tensor.empty(like.dtype(), Shape.of(count, sae.config().dOut()), like.device());
        long chunk = like.device().equals(Device.CPU) ? ENCODE_CHUNK : count; // what a processor's cache holds
        for (long start = 0; start < count; start += chunk) {
            long end = Math.min(count, start + chunk);
            try (var _ = TensorScope.open()) {
                Sae.Encoded encoded = sae.encodeAndReconstruct(rows.slice(0, start, end));
                long[] active = encoded.active();
                for (int i = 0; i < active.length; i++) if ((start + i) % positions != 0) l0.add((int) active[i]);
                variance.add(wanted.slice(0, start, end), encoded.reconstruction(), counted.slice(0, start, end));
                result.slice(0, start, end).copy_(encoded.reconstruction());
            }
        }
        return result.reshape(like.shape().sizes());
    }
}
