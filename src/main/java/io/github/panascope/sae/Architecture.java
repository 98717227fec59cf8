package io.github.panascope.sae;

import io.github.panascope.InputException;
import io.github.panascope.internal.ConfigFile;
import io.github.panascope.internal.Suggestions;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** The architectures of SAEs that are understood, by SAELens's names. */
public enum Architecture {
    STANDARD,
    GATED,
    JUMPRELU,
    TOPK,
    TRANSCODER,
    SKIP_TRANSCODER,
    JUMPRELU_TRANSCODER,
    JUMPRELU_SKIP_TRANSCODER;

    /** Names of SAELens that are not understood: the first three are trained, and saved as jumprelu. */
    private static final List<String> UNSUPPORTED = List.of(
            "batchtopk", "matryoshka_batchtopk", "jumprelu_training", "matching_pursuit", "temporal", "abstopk");

    /**
     * The architecture that a file names.
     *
     * @throws InputException if it is not understood
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

    /** Whether it reads one hook point and writes another. */
    public boolean isTranscoder() {
        return toString().endsWith("transcoder");
    }

    /** Whether its input is added to its output through W_skip [d_out, d_in]. */
    public boolean hasSkipConnection() {
        return this == SKIP_TRANSCODER || this == JUMPRELU_SKIP_TRANSCODER;
    }

    /** Whether each feature has a threshold [d_sae]. */
    public boolean hasThreshold() {
        return toString().startsWith("jumprelu");
    }

    /** SAELens's name, such as {@code jumprelu_transcoder}. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
