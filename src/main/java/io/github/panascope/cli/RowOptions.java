package io.github.panascope.cli;

import io.github.panascope.InputException;
import io.github.panascope.data.Dataset;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.RowsAtOnce;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.ChunkingStrategy;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.Device;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.LongFunction;
import java.util.stream.Collectors;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * Which documents to read, and how rows of tokens are made of them; the same for every command that does so as
 * TransformerLens.
 */
final class RowOptions {
    private static final int SHARD_ROWS = 256;
    private static final int BATCHES_IN_SHARD = 8;

    @Mixin
    private DatasetOptions dataset;

    @Mixin
    private ContextOptions context;

    @Option(
            names = "--tokenization",
            paramLabel = "character-chunks|whitespace-chunks|per-document",
            defaultValue = "character-chunks",
            description = "TransformerLens's algorithm until 2.17 (default), of 2.18, or of later 3.x")
    private String tokenization;

    @Option(
            names = "--rows-at-once",
            paramLabel = "N",
            description = "rows that run together; fewer need less memory (default: 8, on a GPU as many as make 32,768"
                    + " tokens; on the CPU features are always collected from 8)")
    private Integer rowsAtOnce;

    /**
     * Rows of tokens.
     *
     * @param tokens  the rows that are used, of all that there are
     * @param context tokens in a row
     * @param name    of the dataset, for people
     * @param how     they were made
     * @param selection of the dataset, for people: its column and split where they are not the usual ones
     * @param atOnce  how many run together
     * @param again   reads them anew, so many at most
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
         * Rows after which what was collected is kept on the disk, if nobody says otherwise: off the CPU that takes
         * longer than to collect a batch.
         */
        int inShard(Device device) {
            return device.isCpu() ? SHARD_ROWS : BATCHES_IN_SHARD * atOnce;
        }

        /** Rows from the first on, also those that are not used: so many, or all that there are. */
        TokenDataset first(long count) {
            return count <= tokens.rows() || tokens.rows() == tokens.rowsInAll() ? tokens : again.apply(count);
        }
    }

    private Dataset documents;

    /**
     * Complains about what was asked for before anything takes time.
     *
     * @return the files on this machine that are read, as far as they are known before that
     */
    List<Path> check(InputOptions input) {
        if (rowsAtOnce != null && rowsAtOnce < 1)
            throw new InputException("--rows-at-once should be at least 1, not " + rowsAtOnce + ".");
        algorithm();
        if (dataset.isNamed() || input.demo()) documents = dataset.open(input.defaultDataset(), input.hub());
        List<Path> files = input.files();
        if (documents != null) files.addAll(documents.files());
        return files;
    }

    private ChunkingStrategy algorithm() {
        for (ChunkingStrategy algorithm : ChunkingStrategy.values())
            if (algorithm.toString().equals(tokenization)) return algorithm;
        throw new InputException("--tokenization should be "
                + Arrays.stream(ChunkingStrategy.values())
                        .map(ChunkingStrategy::toString)
                        .collect(Collectors.joining(", "))
                + ", not '" + tokenization + "'.");
    }

    /** At most so many rows. */
    Rows read(InputOptions input, HookedTransformer model, Sae sae, long limit) {
        int size = context.of(sae, model);
        if (documents == null) documents = dataset.open(input.defaultDataset(), input.hub());
        String name = !dataset.isNamed() && input.demo() ? "demo" : documents.name();
        String how = documents.isTokenized() ? "pre-tokenized" : tokenization;
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
        dataset.tellSkipped(input); // now that no progress is drawn
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
                    algorithm(),
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
