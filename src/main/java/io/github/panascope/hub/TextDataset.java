package io.github.panascope.hub;

import dev.hardwood.InputFile;
import dev.hardwood.reader.ColumnReader;
import dev.hardwood.reader.ParquetFileReader;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Documents of text: the {@code text} column of Parquet files ({@code .parquet}), the {@code text} field of JSON Lines
 * ({@code .jsonl}, {@code .json}), or one whole plain-text file ({@code .txt}, {@code .md}), a document.
 */
public final class TextDataset {
    private static final String COLUMN = "text";

    private final String name;
    private final List<Path> files;

    private TextDataset(String name, List<Path> files) {
        this.name = name;
        this.files = files;
    }

    /**
     * A file, a folder of such files (in the order of their names), or a dataset's id on the hub.
     *
     * @throws InputException if it is none of these
     */
    public static TextDataset of(String fileOrId, Hub hub) {
        Path path = Path.of(fileOrId);
        if (Files.isRegularFile(path)) return new TextDataset(fileOrId, List.of(path));
        if (Files.isDirectory(path)) return new TextDataset(fileOrId, filesIn(path));
        if (path.isAbsolute() || kind(path) != null) throw new InputException("dataset " + fileOrId + " does not exist.");
        HubRepo repo = HubRepo.dataset(fileOrId);
        List<String> names = hub.names(repo, name -> kind(Path.of(name)) == Kind.PARQUET || kind(Path.of(name)) == Kind.JSON_LINES);
        List<String> train = names.stream().filter(name -> name.contains("train")).toList();
        if (!train.isEmpty()) names = train;
        if (names.isEmpty()) throw new InputException(repo + " holds no Parquet or JSON Lines file.");
        return new TextDataset(fileOrId, hub.files(repo, names));
    }

    /** What the user called it. */
    public String name() {
        return name;
    }

    /**
     * Hands over each document in order. A null in the column is an empty document.
     *
     * @throws InputException if a file is malformed or has no such column, or if there is no document at all
     */
    public void forEach(Consumer<String> documents) {
        long[] count = {0};
        Consumer<String> counting = document -> {
            count[0]++;
            documents.accept(document == null ? "" : document);
        };
        for (Path file : files) read(file, counting);
        if (count[0] == 0) throw new InputException("dataset " + name + " is empty: it has no documents.");
    }

    /** All documents in memory. */
    public List<String> documents() {
        List<String> all = new ArrayList<>();
        forEach(all::add);
        return all;
    }

    private enum Kind { PARQUET, JSON_LINES, PLAIN }

    private static Kind kind(Path file) {
        String lower = file.toString().toLowerCase(Locale.ROOT);
        if (lower.endsWith(".parquet")) return Kind.PARQUET;
        if (lower.endsWith(".jsonl") || lower.endsWith(".json") || lower.endsWith(".ndjson")) return Kind.JSON_LINES;
        if (lower.endsWith(".txt") || lower.endsWith(".md") || lower.endsWith(".text")) return Kind.PLAIN;
        return null;
    }

    private static List<Path> filesIn(Path folder) {
        try (var entries = Files.list(folder)) {
            List<Path> files = entries.filter(file -> kind(file) != null).sorted().toList();
            if (files.isEmpty()) throw new InputException("folder " + folder + " holds no .parquet, .jsonl or .txt file.");
            return files;
        } catch (IOException e) {
            throw new InputException(folder + " cannot be read: " + e.getMessage(), e);
        }
    }

    private void read(Path file, Consumer<String> documents) {
        try {
            switch (kind(file)) {
                case PARQUET -> readParquet(file, documents);
                case JSON_LINES -> readJsonLines(file, documents);
                case PLAIN -> readPlain(file, documents);
                case null -> throw new InputException(file + " should end in .parquet, .jsonl, .json or .txt, to say what it is.");
            }
        } catch (java.nio.charset.CharacterCodingException e) {
            throw new InputException(file + " is not UTF-8 text.", e);
        } catch (IOException | UncheckedIOException e) {
            throw new InputException(file + " cannot be read: " + e.getMessage(), e);
        }
    }

    private static void readPlain(Path file, Consumer<String> documents) throws IOException {
        String text = Files.readString(file);
        if (!text.isEmpty()) documents.accept(text);
    }

    private static void readParquet(Path file, Consumer<String> documents) throws IOException {
        try (InputFile input = InputFile.of(file); ParquetFileReader reader = ParquetFileReader.open(input)) {
            requireTextColumn(file, reader);
            try (ColumnReader column = reader.columnReader(COLUMN)) {
                while (column.nextBatch()) {
                    String[] batch = column.getStrings();
                    for (int i = 0; i < column.getRecordCount(); i++) documents.accept(batch[i]);
                }
            }
        } catch (IOException | InputException e) {
            throw e;
        } catch (RuntimeException e) { // the reader's own complaints about a damaged file
            throw new InputException(file + " is not a Parquet file that can be read: " + e.getMessage(), e);
        }
    }

    private static void requireTextColumn(Path file, ParquetFileReader reader) {
        var columns = reader.getFileSchema().getColumns();
        var found = columns.stream().filter(column -> column.name().equals(COLUMN)).findFirst().orElseThrow(() -> new InputException(
                file + " has no column '" + COLUMN + "'; its columns are " + columns.stream().map(column -> column.name()).toList() + "."));
        if (!found.type().toString().contains("BYTE_ARRAY")) throw new InputException(file + ": column '" + COLUMN + "' should hold text, not " + found.type() + ".");
    }

    private static void readJsonLines(Path file, Consumer<String> documents) throws IOException {
        int number = 0;
        try (BufferedReader lines = Files.newBufferedReader(file)) {
            for (String line; (line = lines.readLine()) != null;) {
                number++;
                if (line.isBlank()) continue;
                JsonNode node;
                try {
                    node = JsonMapper.shared().readTree(line);
                } catch (JacksonException e) {
                    throw new InputException(file + ", line " + number + ": not JSON (" + e.getOriginalMessage() + ").", e);
                }
                JsonNode text = node.isString() ? node : node.get(COLUMN);
                if (text == null || !(text.isString() || text.isNull())) {
                    throw new InputException(file + ", line " + number + ": no field '" + COLUMN + "' that holds text.");
                }
                documents.accept(text.isNull() ? null : text.stringValue());
            }
        }
    }
}
