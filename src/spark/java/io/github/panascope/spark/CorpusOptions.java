package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.cli.ContextOptions;
import io.github.panascope.cli.TokenizationOptions;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.Tokenizer;
import java.util.List;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Mixin;

/** The options that choose documents, and how rows of tokens are made of them. */
final class CorpusOptions {
    @Mixin
    private DocumentOptions documents;

    @Mixin
    private TokenizationOptions tokenization;

    @Mixin
    private ContextOptions context;

    /**
     * Checks the options before anything is computed.
     *
     * @throws InputException if one has a value that cannot be used
     */
    void check(ModelOptions models) {
        tokenization.algorithm();
        documents.check(models);
    }

    /** {@return the documents by themselves, with these columns} */
    Documents documents(SparkSession spark, List<String> columns) {
        return documents.documents(spark, columns);
    }

    /** Tokenizes the documents; the caller closes the rows. */
    TokenRows rows(SparkSession spark, ModelAndSae names, Executor.Loaded loaded) {
        return TokenRows.of(
                documents.documents(spark, List.of()),
                names,
                tokenization.algorithm(),
                context(loaded.sae(), loaded.model()),
                loaded.sae().config().prependBos());
    }

    /** {@return the number of tokens in a row} */
    int context(Sae sae, HookedTransformer model) {
        return context.of(sae, model);
    }

    /** {@return the name of the dataset for messages and pages} */
    String name() {
        return documents.name();
    }

    /** {@return a description of the text, word for word that of the one-machine command line} */
    String description(Sae sae, Tokenizer tokenizer) {
        return name() + ", " + tokenization.algorithm() + documents.selection()
                + TokenizationOptions.withoutBos(sae, tokenizer);
    }
}
