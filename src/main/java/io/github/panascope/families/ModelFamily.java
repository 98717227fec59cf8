package io.github.panascope.families;

import io.github.panascope.InputException;
import io.github.panascope.internal.ConfigFile;
import io.github.panascope.model.TransformerConfig;
import java.util.List;
import java.util.Set;

/**
 * The knowledge about one family of models: what its {@code config.json} means, and the names that its files have for
 * the weights. Implementations are stateless.
 */
public interface ModelFamily {
    /**
     * A configuration, and the keys of its file that were not needed.
     *
     * @param config      description of the model
     * @param skippedKeys keys of {@code config.json} that are not interpreted and are known to be harmless
     */
    record Parsed(TransformerConfig config, List<String> skippedKeys) {}

    /** {@return the family's values of {@code model_type} in Hugging Face's {@code config.json}} */
    Set<String> modelTypes();

    /**
     * Reads a {@code config.json}.
     *
     * @param file the configuration
     * @return the description of the model and the skipped keys
     * @throws InputException if a value is missing or wrong, or changes the computation and is not supported
     */
    Parsed parse(ConfigFile file);

    /** {@return whether texts of the family begin with the tokenizer's bos token unless they are told not to} */
    default boolean prependsBos() {
        return true;
    }

    /** {@return whether a model without a tokenizer of its own has that of the published GPT-2} */
    default boolean hasGpt2Tokenizer() {
        return false;
    }

    /** {@return the names that the family's files have for the weights} */
    TensorNames tensorNames();
}
