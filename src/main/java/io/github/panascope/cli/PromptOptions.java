package io.github.panascope.cli;

import io.github.panascope.InputException;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.tokens.Tokenizer;
import picocli.CommandLine.Option;

/** The options for the prompt to test and the expected answer. */
final class PromptOptions {
    private static final String IOI = "When John and Mary went to the shops, John gave the bag to";

    @Option(names = "--prompt", paramLabel = "TEXT", defaultValue = IOI, description = "default: ${DEFAULT-VALUE}")
    String prompt;

    @Option(
            names = "--answer",
            paramLabel = "TEXT",
            defaultValue = " Mary",
            description = "what should follow; a space is put before it unless it has one (default: Mary)")
    String answer;

    /** Refuses, before anything is computed, a prompt or an answer that cannot be run. */
    void check(HookedTransformer model) {
        Tokenizer tokenizer = model.tokenizer();
        int answerLength = tokenizer.encode(answer.startsWith(" ") ? answer : " " + answer).length;
        int length = tokenizer.encode(prompt).length + (model.prependsBos() ? 1 : 0) + answerLength;
        if (answer.isEmpty()) throw new InputException("--answer should not be empty.");
        if (prompt.isEmpty()) throw new InputException("--prompt should not be empty.");
        if (length > model.config().nCtx()) {
            throw new InputException(
                    "--prompt with its answer is " + length + " tokens long, more than the model's context of "
                            + model.config().nCtx() + ".");
        }
    }
}
