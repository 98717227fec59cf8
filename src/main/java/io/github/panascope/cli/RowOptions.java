package io.github.panascope.cli;

import io.github.panascope.InputException;
import io.github.panascope.data.TextDataset;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.RowsAtOnce;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.Device;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.LongFunction;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * The options that choose documents and how rows of tokens are made of them, shared by all commands that make rows as
 * TransformerLens does.
 */
final class RowOptions {
    private static final int SHARD_ROWS = 256;
    private static final int BATCHES_IN_SHARD = 8;

    @Mixin
    private DatasetOptions dataset;

    @Mixin
    private ContextOptions context;

    @Mixin
    private TokenizationOptions tokenization;

    @Option(
            names = "--rows-at-once",
            paramLabel = "N",
            description = "rows that run together; fewer need less memory (default: 8, on a GPU as many as make 32,768"
                    + " tokens; on the CPU features are always collected from 8)")
    private Integer rowsAtOnce;

    /**
     * Rows of tokens.
     *
     * @param tokens    the rows that are used, of all rows of the dataset
     * @param context   the number of tokens in a row
     * @param name      the name of the dataset, for messages
     * @param how       the way the rows were made
     * @param selection the column and the split of the dataset if they are not the defaults, for messages
     * @param atOnce    the number of rows that run together
     * @param again     reads the rows again, with the number of rows to keep
     */
    record Rows(
            TokenDataset tokens,
            int context,
            String name,
            String how,
            String selection,
            int atOnce,
            LongFunction<TokenDataset> again) {
        /**
         * {@return the default number of rows after which collected features are written to the disk; on a GPU several
         * batches, because writing takes longer than collecting a batch}
         */
        int inShard(Device device) {
            return device.isCpu() ? SHARD_ROWS : BATCHES_IN_SHARD * atOnce;
        }

        /**
         * Returns the first rows of the dataset, including rows that are not used.
         *
         * @param count the smallest number of rows to return; all rows are returned if the dataset has fewer
         */
        TokenDataset first(long count) {
            return count <= tokens.rows() || tokens.rows() == tokens.rowsInAll() ? tokens : again.apply(count);
        }
    }

    private TextDataset documents;

    /**
     * Checks the options before anything is computed.
     *
     * @return the local files that will be read, as far as they are known already
     */
    List<Path> check(InputOptions input) {
        if (rowsAtOnce != null && rowsAtOnce < 1)
            throw new InputException("--rows-at-once should be at least 1, not " + rowsAtOnce + ".");
        tokenization.algorithm();
        if (dataset.isNamed() || input.demo()) documents = dataset.open(input.defaultDataset(), input.hub());
        List<Path> files = input.files();
        if (documents != null) files.addAll(documents.files());
        return files;
    }

    /** Reads rows, at most {@code limit} of them. */
    Rows read(InputOptions input, HookedTransformer model, Sae sae, long limit) {
        int size = context.of(sae, model);
        if (documents == null) documents = dataset.open(input.defaultDataset(), input.hub());
        String name = !dataset.isNamed() && input.demo() ? "demo" : documents.name();
        String how = documents.isTokenized()
                ? "pre-tokenized"
                : tokenization.algorithm().toString();
        LongFunction<TokenDataset> again = most -> tokens(input, model, sae, size, most);
        return new Rows(
                again.apply(limit),
                size,
                name,
                how,
                dataset.selection(documents),
                rowsAtOnce == null ? RowsAtOnce.on(model.device(), size) : rowsAtOnce,
                again);
    }

    private TokenDataset tokens(InputOptions input, HookedTransformer model, Sae sae, int size, long limit) {
        TokenDataset tokens = tokenized(input, model, sae, size, limit);
        dataset.tellSkipped(input); // printed after the progress bar is gone
        return tokens;
    }

    private TokenDataset tokenized(InputOptions input, HookedTransformer model, Sae sae, int size, long limit) {
        try (Progress progress = new Progress("Tokenizing documents", input.quiet())) {
            long[] done = {0};
            if (documents.isTokenized())
                return TokenDataset.ofTokens(
                        consumer -> documents.forEachTokens(counted(consumer, done, progress)),
                        model.config().dVocab(),
                        size,
                        limit);
            return TokenDataset.tokenizeAndConcatenate(
                    consumer -> dataset.texts(documents).forEach(counted(consumer, done, progress)),
                    model.tokenizer(),
                    tokenization.algorithm(),
                    size,
                    sae.config().prependBos(),
                    limit);
        }
    }

    private static <T> Consumer<T> counted(Consumer<T> consumer, long[] done, Progress progress) {
        return document -> {
            consumer.accept(document);
            progress.update(++done[0], 0);
        };
    }
}
