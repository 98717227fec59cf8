package io.github.panascope.families;

import io.github.panascope.internal.ConfigFile;
import java.util.Set;

/** The family of Qwen 1.5, 2 and 2.5, QwQ, and DeepSeek-R1's distillations to Qwen. */
final class Qwen2 implements ModelFamily {
    @Override
    public Set<String> modelTypes() {
        return Set.of("qwen2");
    }

    @Override
    public Parsed parse(ConfigFile file) {
        return windows(file, new RmsDecoderConfig(file))
                .alwaysGrouped()
                .biases(true, false)
                .parse();
    }

    /** Reads the windows, which only the last blocks have, and only where {@code use_sliding_window} says so. */
    static RmsDecoderConfig windows(ConfigFile file, RmsDecoderConfig config) {
        boolean none = file.value("sliding_window") != null && !file.has("sliding_window"); // null
        boolean used = file.flag("use_sliding_window", false) && !none;
        int first = file.has("max_window_layers") ? file.count("max_window_layers") : 28;
        return config.understood("use_sliding_window", "max_window_layers")
                .windows(used ? file.size("sliding_window", 4096) : 0, layer -> layer >= first);
    }

    @Override
    public boolean prependsBos() {
        return false;
    }

    @Override
    public TensorNames tensorNames() {
        return TensorNames.LLAMA;
    }
}
