package io.github.panascope.tokens;

import java.util.Locale;

/**
 * The three algorithms that TransformerLens's {@code tokenize_and_concatenate} has had. Each goes by groups of 1,000
 * documents, as the datasets library maps them, and drops what does not fill a row at the end of a group.
 */
public enum ChunkingStrategy {
    /**
     * Up to 2.17, the tutorial's: the group's documents are joined and cut into 20 pieces of equal length, in the
     * middle of words too; separators vanish, since they are the padding token.
     */
    CHARACTER_CHUNKS,
    /** 2.18: the same, but a piece is extended to the next white space, by at most a tenth. */
    WHITESPACE_CHUNKS,
    /** Later 3.x: each document by itself, with {@code <|endoftext|>} between them. */
    PER_DOCUMENT;

    /** As the command line writes it: {@code character-chunks}. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
