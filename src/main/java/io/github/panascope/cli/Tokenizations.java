package io.github.panascope.cli;

import io.github.panascope.hub.InputException;
import io.github.panascope.lens.Tokenization;

/** The value of --tokenization. */
final class Tokenizations {
    private Tokenizations() {}

    static Tokenization of(String name) {
        for (Tokenization algorithm : Tokenization.values()) if (algorithm.toString().equals(name)) return algorithm;
        throw new InputException("--tokenization should be character-chunks, whitespace-chunks or per-document, not '" + name + "'.");
    }
}
