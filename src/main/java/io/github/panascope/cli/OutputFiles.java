package io.github.panascope.cli;

import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The files that dashboards are written to.
 *
 * @param page        the HTML page
 * @param json        SAEDashboard's JSON, or null
 * @param neuronpedia a folder for Neuronpedia's batches, or null
 * @param table       a Parquet file with a row for each feature, or null
 */
record OutputFiles(Path page, Path json, Path neuronpedia, Path table) {
    void require() {
        Outputs.requireFile("--out", page);
        Outputs.requireFile("--json", json);
        Outputs.requireFolder("--neuronpedia", neuronpedia);
        Outputs.requireFile("--table", table);
        Outputs.requireDifferent(page, json, table);
    }

    /**
     * Refuses to overwrite files that the command reads: those of the model, the SAE and the dataset, and those of the
     * folder of features.
     */
    void requireUnread(List<Path> read, Path state) {
        Outputs.requireUnread("--out", page, read, state);
        Outputs.requireUnread("--json", json, read, state);
        Outputs.requireUnread("--table", table, read, state);
    }

    /** {@return the names of the files, separated by commas} */
    String list() {
        return Stream.of(page, json, neuronpedia, table)
                .filter(Objects::nonNull)
                .map(Path::toString)
                .collect(Collectors.joining(", "));
    }
}
