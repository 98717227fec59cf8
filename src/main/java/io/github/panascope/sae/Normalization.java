package io.github.panascope.sae;

import io.github.panascope.torch.Tensor;

/**
 * The normalisation of activations before an SAE reads them, which is undone after it; SAELens's
 * {@code normalize_activations}.
 */
public enum Normalization {
    /** No normalisation. */
    NONE("none"),
    /**
     * Mean 0 and standard deviation 1 over d_in. The deviation divides by n-1; 1e-5 is added to it before the SAE only.
     */
    LAYER_NORM("layer_norm"),
    /** Norm √d_in. */
    CONSTANT_NORM_RESCALE("constant_norm_rescale"),
    /** No normalisation at run time: the factor was folded into the weights when they were published. */
    EXPECTED_AVERAGE_ONLY_IN("expected_average_only_in");

    private static final double EPS = 1e-5;

    private final String key;

    Normalization(String key) {
        this.key = key;
    }

    /** {@return SAELens's name} */
    public String key() {
        return key;
    }

    /** Normalised rows, and what undoing needs: a shift and a scale, [n, 1], or nulls. */
    record Normalized(Tensor rows, Tensor shift, Tensor scale) {}

    Normalized apply(Tensor rows) {
        return switch (this) {
            case NONE, EXPECTED_AVERAGE_ONLY_IN -> new Normalized(rows, null, null);
            case LAYER_NORM -> {
                Tensor mean = rows.mean(-1, true);
                Tensor centred = rows.sub(mean);
                Tensor deviation = centred.std(-1, 1, true);
                yield new Normalized(centred.div(deviation.add(EPS)), mean, deviation);
            }
            case CONSTANT_NORM_RESCALE -> {
                Tensor scale = rows.norm(-1, true).mul(1 / Math.sqrt(rows.size(-1)));
                yield new Normalized(rows.div(scale), null, scale);
            }
        };
    }

    Tensor undo(Tensor rows, Normalized input) {
        Tensor scaled = input.scale == null ? rows : rows.mul(input.scale);
        return input.shift == null ? scaled : scaled.add(input.shift);
    }
}
