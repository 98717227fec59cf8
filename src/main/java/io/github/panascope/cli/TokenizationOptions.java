package io.github.panascope.cli;

import io.github.panascope.InputException;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.ChunkingStrategy;
import io.github.panascope.tokens.Tokenizer;
import java.util.Arrays;
import java.util.stream.Collectors;
import picocli.CommandLine.Option;

/** The option for how documents are joined and cut, shared by all commands that make rows as TransformerLens does. */
public final class TokenizationOptions {
    @Option(
            names = "--tokenization",
            paramLabel = "character-chunks|whitespace-chunks|per-document",
            defaultValue = "character-chunks",
            description = "TransformerLens's algorithm until 2.17 (default), of 2.18, or of later 3.x")
    private String tokenization;

    /** Makes options without values. */
    public TokenizationOptions() {}

    /**
     * Returns the end of a description of rows: that they do not begin with the bos token, where the SAE was trained
     * so.
     *
     * @param sae       the SAE
     * @param tokenizer the tokenizer of its model
     * @return a clause that begins with a comma; empty if rows begin with that token
     */
    public static String withoutBos(Sae sae, Tokenizer tokenizer) {
        return sae.config().prependBos() ? "" : ", without " + tokenizer.decode(tokenizer.bos());
    }

    /**
     * {@return the algorithm that the option names}
     *
     * @throws InputException if it names none
     */
    public ChunkingStrategy algorithm() {
        for (ChunkingStrategy algorithm : ChunkingStrategy.values())
            if (algorithm.toString().equals(tokenization)) return algorithm;
        throw new InputException("--tokenization should be "
                + Arrays.stream(ChunkingStrategy.values())
                        .map(ChunkingStrategy::toString)
                        .collect(Collectors.joining(", "))
                + ", not '" + tokenization + "'.");
    }
}
