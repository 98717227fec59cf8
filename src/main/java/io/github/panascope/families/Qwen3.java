package io.github.panascope.families;

import io.github.panascope.internal.ConfigFile;
import java.util.Set;

/** The family of Qwen 3, without its mixtures of experts. */
final class Qwen3 implements ModelFamily {
    @Override
    public Set<String> modelTypes() {
        return Set.of("qwen3");
    }

    @Override
    public Parsed parse(ConfigFile file) {
        boolean biases = file.flag("attention_bias", false);
        return Qwen2.windows(file, new RmsDecoderConfig(file))
                .headDim(128)
                .queryKeyNorm()
                .biases(biases, biases)
                .parse();
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
