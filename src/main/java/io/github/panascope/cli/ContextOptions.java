package io.github.panascope.cli;

import io.github.panascope.InputException;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import picocli.CommandLine.Option;

/** The option for the number of tokens in a row, shared by all commands that read rows, also with Apache Spark. */
public final class ContextOptions {
    /** The number of tokens in a row if the SAE's configuration does not contain its context size. */
    private static final int DEFAULT_CONTEXT = 128;

    @Option(names = "--context-size", paramLabel = "N", description = "tokens in a row (default: the SAE's)")
    private Integer contextSize;

    /** Makes options without values. */
    public ContextOptions() {}

    /**
     * Returns the number of tokens in a row.
     *
     * @param sae   the SAE, whose configuration may say it
     * @param model the model
     * @return the number, from 2 to the model's n_ctx
     * @throws InputException if the number does not suit the model
     */
    public int of(Sae sae, HookedTransformer model) {
        int own = sae.config().contextSize();
        int longest = model.config().nCtx();
        int context = contextSize != null ? contextSize : own > 0 ? own : Math.min(DEFAULT_CONTEXT, longest);
        if (context >= 2 && context <= longest) return context;
        if (contextSize != null)
            throw new InputException("--context-size should lie between 2 and the model's n_ctx of " + longest
                    + ", not at " + context + ".");
        throw new InputException("the SAE's context_size of " + context
                + " should lie between 2 and the model's n_ctx of " + longest + ": give another with --context-size.");
    }
}
