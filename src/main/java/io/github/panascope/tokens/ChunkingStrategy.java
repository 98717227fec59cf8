package io.github.panascope.tokens;

import java.util.Locale;

/**
 * The three algorithms that TransformerLens's {@code tokenize_and_concatenate} has had. Each processes documents in
 * groups of 1,000, as the datasets library maps them, and drops the tokens that do not fill a row at the end of a
 * group.
 */
public enum ChunkingStrategy {
    /**
     * The algorithm of TransformerLens up to 2.17, which the tutorial uses. The documents of a group are joined and cut
     * into 20 pieces of equal length, even within words. Separators disappear, since they are also the padding token.
     */
    CHARACTER_CHUNKS,
    /**
     * The algorithm of TransformerLens 2.18. The documents of a group are joined and cut into 20 pieces, each of which
     * is extended to the next white space, by at most a tenth. Separators disappear, since they are also the padding
     * token.
     */
    WHITESPACE_CHUNKS,
    /**
     * The algorithm of later 3.x versions of TransformerLens. Each document is tokenized separately, and
     * {@code <|endoftext|>} separates documents.
     */
    PER_DOCUMENT;

    /** {@return the name as the command line writes it, such as {@code character-chunks}} */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
