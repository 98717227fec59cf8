package io.github.panascope.families;

import io.github.panascope.internal.ConfigFile;
import java.util.Set;

/** The family of Mistral 7B, v0.1 to v0.3, whose first version has a window in every block. */
final class Mistral implements ModelFamily {
    @Override
    public Set<String> modelTypes() {
        return Set.of("mistral");
    }

    @Override
    public Parsed parse(ConfigFile file) {
        // An absent key means the window of the first version, and null none.
        int window = file.value("sliding_window") == null || file.has("sliding_window")
                ? file.size("sliding_window", 4096)
                : 0;
        return new RmsDecoderConfig(file)
                .alwaysGrouped()
                .headDim(0)
                .windows(window, _ -> true)
                .parse();
    }

    @Override
    public TensorNames tensorNames() {
        return TensorNames.LLAMA;
    }
}
