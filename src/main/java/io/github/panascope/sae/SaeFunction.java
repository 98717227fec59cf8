package io.github.panascope.sae;

import io.github.panascope.torch.DType;
import io.github.panascope.torch.Op;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * The encoding and decoding formulas of SAELens 6 over the weights of an SAE: W_enc [d_in, d_sae], b_enc [d_sae], W_dec
 * [d_sae, d_out], b_dec [d_out]. One record for each way of encoding; transcoders share the records of the SAEs that
 * they resemble, and {@link Sae} adds the skip connection.
 *
 * <p>Input rows are prepared: normalised, and with b_dec subtracted where the configuration says so.
 */
sealed interface SaeFunction {
    /** Features relu(x W_enc + b_enc). */
    record Standard(Tensor wEnc, Tensor bEnc, Tensor wDec, Tensor bDec, boolean isExact) implements SaeFunction {
        @Override
        public Tensor encode(Tensor rows, PreActivationHook pre) throws Exception {
            if (pre == PreActivationHook.NONE && hasKernels(rows)) return Kernels.biasRelu(rows.matmul(wEnc), bEnc);
            Tensor products = bEnc.addmm(rows, wEnc);
            return pre == PreActivationHook.NONE
                    ? products.relu_()
                    : pre.of(products).relu();
        }

        @Override
        public Tensor encode(Tensor rows, long from, long to) {
            Tensor w = wEnc.slice(1, from, to);
            Tensor b = bEnc.slice(0, from, to);
            return hasKernels(rows)
                    ? Kernels.biasRelu(rows.matmul(w), b)
                    : b.addmm(rows, w).relu_();
        }

        @Override
        public SaeFunction exact() {
            return new Standard(wEnc, bEnc, wDec, bDec, true);
        }
    }

    /**
     * Features 1[x W_enc + b_gate &gt; 0] · relu(x (W_enc · exp(r_mag)) + b_mag), with b_gate, r_mag and b_mag [d_sae].
     */
    record Gated(Tensor wEnc, Tensor bGate, Tensor rMag, Tensor bMag, Tensor wDec, Tensor bDec) implements SaeFunction {
        @Override
        public Tensor encode(Tensor rows, PreActivationHook pre) throws Exception {
            Tensor products = rows.matmul(wEnc); // one product serves both: x (W_enc · exp(r)) = (x W_enc) · exp(r)
            Tensor open = products.add(bGate).gt(0);
            return pre.of(products.mul(rMag.exp()).add(bMag)).relu().mul(open);
        }

        @Override
        public Tensor encode(Tensor rows, long from, long to) {
            Tensor products = rows.matmul(wEnc.slice(1, from, to));
            Tensor open = products.add(bGate.slice(0, from, to)).gt(0);
            return products.mul(rMag.slice(0, from, to).exp())
                    .add(bMag.slice(0, from, to))
                    .relu()
                    .mul(open);
        }
    }

    /** Features relu(h) · 1[h &gt; threshold] with h = x W_enc + b_enc and threshold [d_sae]. */
    record JumpRelu(Tensor wEnc, Tensor bEnc, Tensor threshold, Tensor wDec, Tensor bDec, boolean isExact)
            implements SaeFunction {
        @Override
        public Tensor encode(Tensor rows, PreActivationHook pre) throws Exception {
            if (pre == PreActivationHook.NONE && hasKernels(rows))
                return Kernels.biasThreshold(rows.matmul(wEnc), bEnc, threshold);
            Tensor h = pre.of(bEnc.addmm(rows, wEnc));
            return h.relu().mul(h.gt(threshold));
        }

        @Override
        public Tensor encode(Tensor rows, long from, long to) {
            Tensor w = wEnc.slice(1, from, to);
            Tensor b = bEnc.slice(0, from, to);
            Tensor above = threshold.slice(0, from, to);
            if (hasKernels(rows)) return Kernels.biasThreshold(rows.matmul(w), b, above);
            Tensor h = b.addmm(rows, w);
            return h.relu().mul(h.gt(above));
        }

        @Override
        public SaeFunction exact() {
            return new JumpRelu(wEnc, bEnc, threshold, wDec, bDec, true);
        }
    }

    /**
     * Features relu(h) for the k largest of each row, zero elsewhere, with h = x W_enc + b_enc.
     *
     * @param norms ‖W_dec‖ of each feature, [d_sae], by which h is multiplied before the largest are taken, and
     *     features are divided before they are decoded; null without rescaling
     */
    record TopK(Tensor wEnc, Tensor bEnc, Tensor wDec, Tensor bDec, Tensor norms, int k) implements SaeFunction {
        @Override
        public Tensor encode(Tensor rows, PreActivationHook pre) throws Exception {
            Tensor h = pre.of(bEnc.addmm(rows, wEnc));
            if (norms != null) h = h.mul(norms);
            Tensor.Sorted top = h.topk(k);
            return h.zerosLike().scatter(-1, top.indices(), top.values().relu());
        }

        @Override
        public Tensor decode(Tensor features, SparseFeatures sparse) {
            if (norms == null) return sparse != null ? sparse.decode(wDec, bDec) : bDec.addmm(features, wDec);
            return sparse != null ? sparse.dividedBy(norms).decode(wDec, bDec) : bDec.addmm(features.div(norms), wDec);
        }
    }

    /** A hook before the activation function, which may change its input, [n, d_sae]: SAELens's hook_sae_acts_pre. */
    @FunctionalInterface
    interface PreActivationHook {
        PreActivationHook NONE = activations -> activations;

        Tensor of(Tensor activations) throws Exception;
    }

    /**
     * Operators of the native library for bfloat16: bias and activation function after a matrix product in one pass, in
     * place. Autograd works as with the separate operators.
     */
    final class Kernels {
        private static final Op BIAS_RELU = Op.of("lens::bias_relu_", "");
        private static final Op BIAS_THRESHOLD = Op.of("lens::bias_threshold_", "");

        private Kernels() {}

        private static Tensor biasRelu(Tensor products, Tensor bias) {
            BIAS_RELU.tensor(products, bias).free();
            return products;
        }

        private static Tensor biasThreshold(Tensor products, Tensor bias, Tensor threshold) {
            BIAS_THRESHOLD.tensor(products, bias, threshold).free();
            return products;
        }
    }

    /** Computes features [n, d_sae] from prepared rows [n, d_in]. */
    Tensor encode(Tensor rows, PreActivationHook pre) throws Exception;

    /**
     * Returns whether the kernels of the native library are switched off; only functions that could use them can be
     * exact.
     */
    default boolean isExact() {
        return false;
    }

    /** Returns this function with libtorch's operators step by step. */
    default SaeFunction exact() {
        return this;
    }

    /** Returns whether {@link Kernels} apply to these rows. */
    default boolean hasKernels(Tensor rows) {
        return !isExact() && rows.dtype() == DType.BFLOAT16 && rows.device().isCpu();
    }

    /**
     * Computes the features from {@code from} (inclusive) to {@code to} (exclusive), [n, to - from]. Returns null if a
     * feature depends on all others.
     */
    default Tensor encode(Tensor rows, long from, long to) {
        return null;
    }

    /** Computes the features of prepared rows, [n, d_sae], without a hook before the activation function. */
    default Tensor encode(Tensor rows) {
        try {
            return encode(rows, PreActivationHook.NONE);
        } catch (RuntimeException e) {
            throw e;
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    /**
     * Computes output rows [n, d_out] from features a [n, d_sae]: a W_dec + b_dec. Uses the sparse form of the features
     * if it is given.
     */
    default Tensor decode(Tensor features, SparseFeatures sparse) {
        return sparse != null ? sparse.decode(wDec(), bDec()) : bDec().addmm(features, wDec());
    }

    /** Returns the decoder weights, [d_sae, d_out]. */
    Tensor wDec();

    /** Returns the decoder bias, [d_out]. */
    Tensor bDec();

    // ------------------------------------------------------------------------------------------------- by name

    /** SAELens's names of all weights; {@link #shapes} returns those that an SAE has. */
    List<String> WEIGHTS =
            List.of("W_enc", "W_dec", "b_dec", "b_gate", "r_mag", "b_mag", "b_enc", "threshold", "W_skip");

    /** Returns the shapes of the tensors that a configuration needs, under SAELens's names. */
    static Map<String, Shape> shapes(SaeConfig config) {
        Shape features = Shape.of(config.dSae());
        Map<String, Shape> shapes = new LinkedHashMap<>();
        shapes.put("W_enc", Shape.of(config.dIn(), config.dSae()));
        shapes.put("W_dec", Shape.of(config.dSae(), config.dOut()));
        shapes.put("b_dec", Shape.of(config.dOut()));
        if (config.architecture() == Architecture.GATED) {
            for (String name : List.of("b_gate", "r_mag", "b_mag")) shapes.put(name, features);
        } else {
            shapes.put("b_enc", features);
        }
        if (config.architecture().hasThreshold()) shapes.put("threshold", features);
        if (config.architecture().hasSkipConnection()) shapes.put("W_skip", Shape.of(config.dOut(), config.dIn()));
        return shapes;
    }

    /**
     * Creates the function of an architecture over weights of these names.
     *
     * @param keep takes over tensors that the function computes for itself
     */
    static SaeFunction of(SaeConfig config, Map<String, Tensor> w, UnaryOperator<Tensor> keep) {
        return switch (config.architecture()) {
            case STANDARD, TRANSCODER, SKIP_TRANSCODER ->
                new Standard(w.get("W_enc"), w.get("b_enc"), w.get("W_dec"), w.get("b_dec"), false);
            case GATED ->
                new Gated(
                        w.get("W_enc"),
                        w.get("b_gate"),
                        w.get("r_mag"),
                        w.get("b_mag"),
                        w.get("W_dec"),
                        w.get("b_dec"));
            case JUMPRELU, JUMPRELU_TRANSCODER, JUMPRELU_SKIP_TRANSCODER ->
                new JumpRelu(w.get("W_enc"), w.get("b_enc"), w.get("threshold"), w.get("W_dec"), w.get("b_dec"), false);
            case TOPK ->
                new TopK(
                        w.get("W_enc"),
                        w.get("b_enc"),
                        w.get("W_dec"),
                        w.get("b_dec"),
                        config.rescaleActsByDecoderNorm() ? keep.apply(norms(w.get("W_dec"))) : null,
                        config.k());
        };
    }

    /** Returns ‖W_dec‖ of each feature, [d_sae]. */
    private static Tensor norms(Tensor wDec) {
        return wDec.norm(-1, true).reshape(-1);
    }

    // ------------------------------------------------------------------------------------------------- folding

    /**
     * Returns weights of the same function with decoder rows of norm 1: with n = max(‖W_dec‖, 1e-8), W_dec / n, and
     * W_enc, b_enc, b_gate, b_mag and threshold times n (r_mag, an exponent, stays). Features become larger by the
     * factor n.
     */
    static Map<String, Tensor> foldDecoderNorm(Map<String, Tensor> weights) {
        Tensor n = norms(weights.get("W_dec")).clampMin(1e-8);
        Map<String, Tensor> folded = new LinkedHashMap<>(weights);
        folded.computeIfPresent("W_dec", (name, tensor) -> tensor.div(n.unsqueeze(1)));
        for (String name : List.of("W_enc", "b_enc", "b_gate", "b_mag", "threshold"))
            folded.computeIfPresent(name, (key, tensor) -> tensor.mul(n));
        return folded;
    }

    /**
     * Returns the weights in a dtype for activations that are not scaled, of an SAE that was trained on activations
     * times s: W_enc · s, W_dec / s, b_dec / s. A weight that has the dtype already and does not change is not copied;
     * the rows of W_dec, which decoding adds up, become contiguous.
     *
     * @param s the factor; NaN to scale nothing
     */
    static Map<String, Tensor> prepared(Map<String, Tensor> weights, DType dtype, double s) {
        Map<String, Tensor> prepared = new LinkedHashMap<>();
        weights.forEach((name, tensor) -> {
            try (var _ = TensorScope.open()) {
                Tensor converted = (name.equals("W_dec") ? tensor.contiguous() : tensor).to(dtype);
                boolean scaled = !Double.isNaN(s);
                Tensor result = scaled && name.equals("W_enc")
                        ? converted.mul(s)
                        : scaled && List.of("W_dec", "b_dec").contains(name) ? converted.div(s) : converted;
                prepared.put(name, result.promote());
            }
        });
        return prepared;
    }
}
