package io.github.panascope.sae;

import io.github.panascope.InputException;
import io.github.panascope.internal.ConfigFile;
import io.github.panascope.internal.Suggestions;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** The architectures of SAEs that are supported, under SAELens's names. */
public enum Architecture {
    /** Features relu(x W_enc + b_enc). */
    STANDARD,
    /** Features relu(x (W_enc · exp(r_mag)) + b_mag) where x W_enc + b_gate is greater than 0, else 0. */
    GATED,
    /** Features relu(x W_enc + b_enc) where x W_enc + b_enc is greater than the feature's threshold, else 0. */
    JUMPRELU,
    /**
     * Features relu(x W_enc + b_enc), multiplied by ‖W_dec‖ if {@link SaeConfig#rescaleActsByDecoderNorm}, where they
     * are among the k largest of a position, else 0.
     */
    TOPK,
    /** The features of {@link #STANDARD}, decoded into the activation at another hook point. */
    TRANSCODER,
    /** A {@link #TRANSCODER} that adds its input, multiplied by W_skip, to its output. */
    SKIP_TRANSCODER,
    /** The features of {@link #JUMPRELU}, decoded into the activation at another hook point. */
    JUMPRELU_TRANSCODER,
    /** A {@link #JUMPRELU_TRANSCODER} that adds its input, multiplied by W_skip, to its output. */
    JUMPRELU_SKIP_TRANSCODER;

    /**
     * SAELens's names of architectures that are not supported. The first three exist in training only and are saved as
     * jumprelu.
     */
    private static final List<String> UNSUPPORTED = List.of(
            "batchtopk", "matryoshka_batchtopk", "jumprelu_training", "matching_pursuit", "temporal", "abstopk");

    /**
     * Returns the architecture that a file names.
     *
     * @throws InputException if it is not supported
     */
    static Architecture of(ConfigFile file, String name) {
        for (Architecture each : values()) if (each.toString().equals(name)) return each;
        if (name.endsWith("batchtopk")) {
            throw new InputException(file.place() + ": '" + name
                    + "' is an architecture in training; SAELens saves the result as 'jumprelu'"
                    + " (save_inference_model).");
        }
        List<String> supported =
                Arrays.stream(values()).map(Architecture::toString).toList();
        String known = String.join(", ", supported) + ".";
        if (UNSUPPORTED.contains(name))
            throw new InputException(
                    file.place() + ": the architecture '" + name + "' is not supported; supported are " + known);
        throw new InputException(file.place() + ": the architecture '" + name + "' is not known."
                + Suggestions.didYouMean(name, supported) + " Supported are " + known);
    }

    /** {@return whether it reads one hook point and writes another} */
    public boolean isTranscoder() {
        return toString().endsWith("transcoder");
    }

    /** {@return whether its input is added to its output through W_skip, [d_out, d_in]} */
    public boolean hasSkipConnection() {
        return this == SKIP_TRANSCODER || this == JUMPRELU_SKIP_TRANSCODER;
    }

    /** {@return whether each feature has a threshold, [d_sae]} */
    public boolean hasThreshold() {
        return toString().startsWith("jumprelu");
    }

    /** {@return SAELens's name, such as {@code jumprelu_transcoder}} */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
