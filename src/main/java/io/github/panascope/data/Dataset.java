package io.github.panascope.data;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import io.github.panascope.hub.Hub;
import io.github.panascope.hub.HubRepo;
import io.github.panascope.internal.TextFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.LongConsumer;
import java.util.regex.Pattern;

/**
 * Documents, read from files one after the other: a column of Parquet files ({@code .parquet}), a field of JSON Lines
 * or of a JSON array of objects ({@code .jsonl}, {@code .ndjson}, {@code .json}, also {@code .gz} and {@code .zst}), or
 * whole plain-text files ({@code .txt}, {@code .md}), each one document. A document is text, or already token ids.
 * Never more than a row group, a line or an element of an array is held in memory.
 */
public final class Dataset {
    /** Columns that hold token ids, by the names that SAELens and Hugging Face give them. */
    private static final List<String> TOKEN_COLUMNS = List.of("tokens", "input_ids");

    private static final String TEXT_COLUMN = "text";
    /**
     * How files of a split are recognised, as Hugging Face's datasets does: the word, set apart by other characters.
     */
    private static final List<Set<String>> SPLITS = List.of(
            Set.of("train", "training"),
            Set.of("test", "testing", "eval", "evaluation"),
            Set.of("validation", "valid", "val", "dev"));
    /** Files that lie beside a dataset's and are none of it. */
    private static final Set<String> BESIDE =
            Set.of("readme.md", "license.txt", "dataset_info.json", "dataset_infos.json", "state.json", "config.json");
    /** Java's strings end at 2 GB; nobody has a document as long as this. */
    private static final long MAX_PLAIN = 1L << 30;

    /** What a file is, by its name. */
    enum Kind {
        PARQUET,
        JSON_LINES,
        PLAIN
    }

    private final String name;
    private final List<Path> files;
    private final String column;

    private Dataset(String name, List<Path> files, String column) {
        this.name = name;
        this.files = files;
        this.column = column;
    }

    /** The train split, if there are several, of a dataset. */
    public static Dataset of(String fileOrId, Hub hub) {
        return of(fileOrId, "train", hub);
    }

    /**
     * A file, a folder of such files (in the order of their names), or a dataset's id on the hub, {@code @REVISION}
     * added where that is not main.
     *
     * @param split of a folder or a dataset on the hub whose files are split
     * @throws InputException if it is none of these
     */
    public static Dataset of(String fileOrId, String split, Hub hub) {
        Path path;
        try {
            path = Path.of(fileOrId);
        } catch (InvalidPathException e) {
            throw new InputException(
                    "'" + fileOrId.replace("\0", "\\0") + "' is neither a file nor the id of a dataset.", e);
        }
        if (Files.isRegularFile(path)) {
            if (kind(fileOrId) == null)
                throw new InputException(path + " should end in .parquet, .jsonl, .json or .txt, to say what it is.");
            return new Dataset(fileOrId, List.of(path), null);
        }
        if (Files.isDirectory(path)) return new Dataset(fileOrId, filesIn(path, split), null);
        if (path.isAbsolute() || kind(fileOrId) != null || fileOrId.startsWith("."))
            throw new InputException("dataset " + fileOrId + " does not exist.");
        HubRepo repo = HubRepo.dataset(fileOrId);
        List<String> seen = new ArrayList<>();
        List<String> names = hub.names(repo, all -> {
            seen.clear();
            all.stream()
                    .filter(file -> kind(file) == Kind.PARQUET || kind(file) == Kind.JSON_LINES)
                    .forEach(seen::add);
            return ofSplit(seen, split);
        });
        if (names.isEmpty()) throw noFiles(repo + hub.offlineNote(repo), split, seen);
        return new Dataset(fileOrId, hub.files(repo, names), null);
    }

    /** The same with text or token ids in another column than {@code text}, {@code tokens} or {@code input_ids}. */
    public Dataset column(String other) {
        return new Dataset(name, files, other);
    }

    /** What the user called it. */
    public String name() {
        return name;
    }

    /** The files that it is read from, in order. */
    public List<Path> files() {
        return files;
    }

    /**
     * Whether its documents are token ids rather than text: whether its first file that holds a document has such a
     * column and no text.
     */
    public boolean isTokenized() {
        for (Path file : files) {
            Optional<Boolean> tokenized = isTokenized(file);
            if (tokenized.isPresent()) return tokenized.get();
        }
        return false;
    }

    /** Empty if the file holds no document. */
    private Optional<Boolean> isTokenized(Path first) {
        return read(first, file -> switch (kind(file.toString())) {
            case PARQUET -> {
                ParquetFile.Columns columns = ParquetFile.columns(file);
                if (columns.rows() == 0) yield Optional.empty();
                yield Optional.of(
                        column != null
                                ? columns.lists().contains(column)
                                : !columns.all().contains(TEXT_COLUMN)
                                        && TOKEN_COLUMNS.stream().anyMatch(columns.lists()::contains));
            }
            case JSON_LINES ->
                JsonLines.firstIsTokenized(
                        file, column == null ? TOKEN_COLUMNS : List.of(column), column == null ? TEXT_COLUMN : null);
            case PLAIN -> Files.size(file) == 0 ? Optional.empty() : Optional.of(false);
        });
    }

    /**
     * Hands over each document's text in order, and skips those whose text is null.
     *
     * @return how many were skipped
     * @throws InputException if a file is malformed or has no such column, or if there is no document at all
     * @throws RunInterruptedException if the thread is interrupted
     */
    public long forEach(Consumer<String> documents) {
        return forEach(documents, _ -> {});
    }

    /**
     * The same, telling how many texts were skipped so far whenever one is: a receiver that throws, so as to stop, gets
     * no result.
     */
    public long forEach(Consumer<String> documents, LongConsumer skipping) {
        String wanted = column == null ? TEXT_COLUMN : column;
        long[] count = {0};
        long[] skipped = {0};
        String reading = "reading " + name;
        Consumer<String> counting = document -> {
            RunInterruptedException.check(reading);
            if (document == null) {
                skipping.accept(++skipped[0]);
                return;
            }
            count[0]++;
            hand(documents, document);
        };
        for (Path each : files) {
            read(each, file -> {
                switch (kind(file.toString())) {
                    case PARQUET -> ParquetFile.texts(file, wanted, counting);
                    case JSON_LINES -> JsonLines.texts(file, wanted, counting);
                    case PLAIN -> readPlain(file, counting);
                }
                return null;
            });
        }
        if (count[0] == 0)
            throw new InputException("dataset " + name
                    + (skipped[0] == 0
                            ? " is empty: it has no documents."
                            : " has no text: it is null in all of its " + skipped[0] + " documents."));
        return skipped[0];
    }

    /**
     * Hands over each document's token ids in order.
     *
     * @throws InputException if a file is malformed or has no such column, or if there is no document at all
     * @throws RunInterruptedException if the thread is interrupted
     */
    public void forEachTokens(Consumer<int[]> documents) {
        List<String> wanted = column == null ? TOKEN_COLUMNS : List.of(column);
        long[] count = {0};
        String reading = "reading " + name;
        Consumer<int[]> counting = document -> {
            RunInterruptedException.check(reading);
            count[0]++;
            hand(documents, document);
        };
        for (Path each : files) {
            read(each, file -> {
                switch (kind(file.toString())) {
                    case PARQUET -> ParquetFile.tokens(file, wanted, counting);
                    case JSON_LINES -> JsonLines.tokens(file, wanted, counting);
                    case PLAIN -> throw new InputException(file + " is plain text and holds no token ids.");
                }
                return null;
            });
        }
        if (count[0] == 0) throw new InputException("dataset " + name + " is empty: it has no documents.");
    }

    /** All texts in memory. */
    public List<String> documents() {
        List<String> all = new ArrayList<>();
        forEach(all::add);
        return all;
    }

    // ------------------------------------------------------------------------------------------------- files

    /** Null for what is none of them. */
    private static Kind kind(String file) {
        String lower = file.toLowerCase(Locale.ROOT);
        if (BESIDE.contains(lower.substring(Math.max(lower.lastIndexOf('/'), lower.lastIndexOf('\\')) + 1)))
            return null;
        if (lower.endsWith(".parquet")) return Kind.PARQUET;
        if (lower.matches("(?s).*\\.(jsonl|ndjson|json)(\\.(gz|zst))?")) return Kind.JSON_LINES;
        if (lower.matches("(?s).*\\.(txt|text|md)")) return Kind.PLAIN;
        return null;
    }

    private static List<Path> filesIn(Path folder, String split) {
        try (var entries = Files.walk(folder, 3)) {
            List<String> names = entries.filter(file -> kind(file.toString()) != null && Files.isRegularFile(file))
                    .map(folder::relativize)
                    .filter(Dataset::isShown)
                    .map(Path::toString)
                    .sorted()
                    .toList();
            List<String> structured =
                    names.stream().filter(file -> kind(file) != Kind.PLAIN).toList();
            List<String> found = ofSplit(structured.isEmpty() ? names : structured, split);
            if (found.isEmpty()) throw noFiles("folder " + folder, split, names);
            return found.stream().map(folder::resolve).toList();
        } catch (IOException | UncheckedIOException e) {
            throw new InputException(folder + " cannot be read: " + InputException.reason(e) + ".", e);
        }
    }

    /** Tools keep copies and notes of their own in files and folders whose names begin with a dot. */
    private static boolean isShown(Path inFolder) {
        for (Path part : inFolder) if (part.toString().startsWith(".")) return false;
        return true;
    }

    /** What is not split is all for training. */
    private static List<String> ofSplit(List<String> names, String split) {
        List<String> found = names.stream().filter(file -> belongs(file, split)).toList();
        boolean splits = names.stream()
                .anyMatch(file ->
                        SPLITS.stream().anyMatch(words -> words.stream().anyMatch(word -> belongs(file, word))));
        return found.isEmpty() && !splits && split.equals("train") ? List.copyOf(names) : found;
    }

    private static InputException noFiles(String where, String split, List<String> names) {
        if (names.isEmpty()) return new InputException(where + " holds no Parquet, JSON Lines or text file.");
        return new InputException(where + " has no files of the split '" + split + "'; it has "
                + String.join(", ", names.stream().limit(5).toList()) + (names.size() > 5 ? ", ..." : "") + ".");
    }

    private static boolean belongs(String file, String split) {
        Set<String> words =
                SPLITS.stream().filter(set -> set.contains(split)).findFirst().orElse(Set.of(split));
        return words.stream()
                .anyMatch(word -> Pattern.compile("(^|[^A-Za-z0-9])" + Pattern.quote(word) + "([^A-Za-z0-9]|$)")
                        .matcher(file)
                        .find());
    }

    /** What the receiver of the documents throws is not the file's fault, and reaches the caller as itself. */
    static final class ConsumerException extends RuntimeException {
        private static final long serialVersionUID = 1L;
        private final RuntimeException thrown;

        ConsumerException(RuntimeException thrown) {
            super(thrown);
            this.thrown = thrown;
        }
    }

    private static <T> void hand(Consumer<T> documents, T document) {
        try {
            documents.accept(document);
        } catch (RuntimeException e) {
            throw new ConsumerException(e);
        }
    }

    private interface Reader<T> {
        T read(Path file) throws IOException;
    }

    private static <T> T read(Path file, Reader<T> reader) {
        RunInterruptedException.check("reading " + file);
        try {
            TextFile.requireRegular(file);
            return reader.read(file);
        } catch (ConsumerException e) {
            throw e.thrown;
        } catch (CharacterCodingException e) {
            throw new InputException(file + " is not UTF-8 text.", e);
        } catch (IOException | UncheckedIOException e) {
            RunInterruptedException.check("reading " + file, e); // which closes the file
            throw new InputException(file + " cannot be read: " + InputException.reason(e) + ".", e);
        }
    }

    private static void readPlain(Path file, Consumer<String> documents) throws IOException {
        if (Files.size(file) > MAX_PLAIN)
            throw new InputException(file + " is one document of " + Files.size(file)
                    + " bytes; split it, or make it JSON Lines, a document a line.");
        String text = Files.readString(file);
        if (!text.isEmpty()) documents.accept(text);
    }
}
