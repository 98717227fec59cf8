package io.github.panascope.cli;

import io.github.panascope.data.TextDataset;
import io.github.panascope.hub.Hub;
import io.github.panascope.tokens.TokenDataset;
import java.nio.file.Files;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** The options that choose documents, shared by all commands that read documents. */
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

    /** Returns the texts of a dataset. Null texts are skipped and counted. */
    TokenDataset.Documents texts(TextDataset documents) {
        return receiver -> documents.forEach(receiver, count -> skipped = count);
    }

    /** Prints, once, how many texts were skipped. */
    void tellSkipped(InputOptions input) {
        if (skipped == 0 || told) return;
        told = true;
        input.print("Skipped " + skipped + (skipped == 1 ? " document" : " documents") + " whose text is null");
    }

    /**
     * {@return the column and the split of the dataset if they are not the defaults, each after a comma; a dataset that
     * is a single file has no splits}
     */
    String selection(TextDataset documents) {
        boolean split = !this.split.equals("train") && !Files.isRegularFile(Path.of(documents.name()));
        return (column == null ? "" : ", column " + column) + (split ? ", split " + this.split : "");
    }

    /** Opens the dataset that the options name, or else a default. */
    TextDataset open(String otherwise, Hub hub) {
        TextDataset found = TextDataset.of(isNamed() ? dataset : otherwise, split, hub);
        return column == null ? found : found.column(column);
    }
}
