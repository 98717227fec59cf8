package io.github.panascope.cli;

import io.github.panascope.data.Dataset;
import io.github.panascope.hub.Hub;
import io.github.panascope.tokens.TokenDataset;
import java.nio.file.Files;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** Which documents to read; the same for every command that reads some. */
final class DatasetOptions {
    @Option(
            names = "--dataset",
            paramLabel = "FILE|ID",
            description =
                    "Parquet or JSON Lines with a `text` column (or token ids in `tokens` or `input_ids`), plain text,"
                            + " a folder of them, or a hub id (default: the demo's; NeelNanda/pile-10k with another"
                            + " model)")
    private String dataset;

    @Option(
            names = "--split",
            paramLabel = "NAME",
            defaultValue = "train",
            description = "of a dataset that is split (default: ${DEFAULT-VALUE})")
    private String split;

    @Option(
            names = "--column",
            paramLabel = "NAME",
            description = "of the dataset, for text or token ids (default: text, else tokens or input_ids)")
    private String column;

    boolean isNamed() {
        return dataset != null;
    }

    private long skipped;
    private boolean told;

    /** The texts of a dataset, to be handed over; those that are null are skipped and counted. */
    TokenDataset.Documents texts(Dataset documents) {
        return receiver -> documents.forEach(receiver, count -> skipped = count);
    }

    /** Says, once, how many texts were skipped. */
    void tellSkipped(InputOptions input) {
        if (skipped == 0 || told) return;
        told = true;
        input.print("Skipped " + skipped + (skipped == 1 ? " document" : " documents") + " whose text is null");
    }

    /**
     * Its column and split, where they are not the usual ones, each after a comma. A file that is named by itself has
     * no splits.
     */
    String selection(Dataset documents) {
        boolean split = !this.split.equals("train") && !Files.isRegularFile(Path.of(documents.name()));
        return (column == null ? "" : ", column " + column) + (split ? ", split " + this.split : "");
    }

    /** The one that was named, or else a default. */
    Dataset open(String otherwise, Hub hub) {
        Dataset found = Dataset.of(isNamed() ? dataset : otherwise, split, hub);
        return column == null ? found : found.column(column);
    }
}
