package io.github.panascope.families;

import io.github.panascope.internal.ConfigFile;
import java.util.Set;

/** The family of Llama: Llama 1 to 3.3, CodeLlama, DeepSeek-R1's distillations to Llama, and others of its form. */
final class Llama implements ModelFamily {
    @Override
    public Set<String> modelTypes() {
        return Set.of("llama");
    }

    @Override
    public Parsed parse(ConfigFile file) {
        boolean biases = file.flag("attention_bias", false);
        return new RmsDecoderConfig(file).headDim(0).biases(biases, biases).parse();
    }

    @Override
    public TensorNames tensorNames() {
        return TensorNames.LLAMA;
    }
}
