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
 * A sequence of documents that is read from files: a column of Parquet files ({@code .parquet}), a field of JSON Lines
 * or of a JSON array of objects ({@code .jsonl}, {@code .ndjson}, {@code .json}, also with {@code .gz} or
 * {@code .zst}), or plain-text files ({@code .txt}, {@code .text}, {@code .md}), each of which is one document. A
 * document is a text or a list of token ids. At most one row group, line, array element or plain-text file is held in
 * memory at a time.
 *
 * <pre>{@code
 * Path file = Files.createTempFile("stories", ".jsonl");
 * Files.writeString(file, "{\"text\": \"Once upon a time\"}\n{\"text\": \"The end\"}\n");
 * TextDataset stories = TextDataset.of(file.toString());
 * long skipped = stories.forEach(text -> System.out.println(text));
 * System.out.println(skipped + " documents without a text in " + stories.files());
 * }</pre>
 */
public final class TextDataset {
    /** The columns of token ids, under the names that SAELens and Hugging Face give them. */
    private static final List<String> TOKEN_COLUMNS = List.of("tokens", "input_ids");

    private static final String TEXT_COLUMN = "text";
    /**
     * The words that mark the files of a split, as in Hugging Face's datasets. A word counts where characters other
     * than letters and digits surround it.
     */
    private static final List<Set<String>> SPLITS = List.of(
            Set.of("train", "training"),
            Set.of("test", "testing", "eval", "evaluation"),
            Set.of("validation", "valid", "val", "dev"));
    /** Files that accompany a dataset and contain no documents. */
    private static final Set<String> NO_DOCUMENTS =
            Set.of("readme.md", "license.txt", "dataset_info.json", "dataset_infos.json", "state.json", "config.json");
    /**
     * The largest size of a plain-text file in bytes. A Java string holds at most 2 GB. Longer files
     * are refused, as they are surely several documents.
     */
    private static final long MAX_PLAIN = 1L << 30;

    /** The number of folders and files on the way from a dataset's folder to its files, at most. */
    public static final int DEPTH = 3;

    /** The format of a file, by its name. */
    enum Kind {
        PARQUET,
        JSON_LINES,
        PLAIN
    }

    private final String name;
    private final List<Path> files;
    private final String column;

    private TextDataset(String name, List<Path> files, String column) {
        this.name = name;
        this.files = files;
        this.column = column;
    }

    /**
     * Opens a dataset with the hub of the environment; of one with several splits, the train split.
     *
     * @param fileOrId a file, a folder of files (read in the order of their names), or the id of a dataset on the hub,
     *     {@code OWNER/NAME}, with {@code @REVISION} appended where that is not {@code main}
     * @return the dataset; the files of a dataset on the hub are downloaded, but not yet read
     * @throws InputException if there is no such file, folder or dataset, or it has no files of the split
     * @throws RunInterruptedException if the thread is interrupted during a download
     */
    public static TextDataset of(String fileOrId) {
        return of(fileOrId, Hub.fromEnvironment());
    }

    /**
     * Opens a dataset; of one with several splits, the train split.
     *
     * @param fileOrId a file, a folder of files (read in the order of their names), or the id of a dataset on the hub,
     *     {@code OWNER/NAME}, with {@code @REVISION} appended where that is not {@code main}
     * @param hub      the hub that a dataset id refers to; not used for a file or folder
     * @return the dataset; the files of a dataset on the hub are downloaded, but not yet read
     * @throws InputException if there is no such file, folder or dataset, or it has no files of the split
     * @throws RunInterruptedException if the thread is interrupted during a download
     */
    public static TextDataset of(String fileOrId, Hub hub) {
        return of(fileOrId, "train", hub);
    }

    /**
     * Opens one split of a dataset.
     *
     * @param fileOrId a file, a folder of files (read in the order of their names), or the id of a dataset on the hub,
     *     {@code OWNER/NAME}, with {@code @REVISION} appended where that is not {@code main}
     * @param split    name of the split, such as {@code train} or {@code validation}, which the names of its files
     *     contain; ignored for a single file. Where no file belongs to a split, all files are those of {@code train}
     * @param hub      the hub that a dataset id refers to; not used for a file or folder
     * @return the dataset; the files of a dataset on the hub are downloaded, but not yet read
     * @throws InputException if there is no such file, folder or dataset, or it has no files of the split
     * @throws RunInterruptedException if the thread is interrupted during a download
     */
    public static TextDataset of(String fileOrId, String split, Hub hub) {
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
            return new TextDataset(fileOrId, List.of(path), null);
        }
        if (Files.isDirectory(path)) return new TextDataset(fileOrId, filesIn(path, split), null);
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
        return new TextDataset(fileOrId, hub.files(repo, names), null);
    }

    /**
     * Returns this dataset with another column as the source of its documents. By default texts are in {@code text},
     * and token ids in {@code tokens} or {@code input_ids}.
     *
     * @param other name of the Parquet column or JSON field that holds texts or token ids
     * @return a dataset of the same files
     */
    public TextDataset column(String other) {
        return new TextDataset(name, files, other);
    }

    /** {@return the file, folder or id that the dataset was opened with} */
    public String name() {
        return name;
    }

    /** {@return the files of the dataset, in the order in which they are read} */
    public List<Path> files() {
        return files;
    }

    /**
     * Returns whether the documents are token ids rather than texts. Reads the first file that contains a document.
     *
     * @return true if that file has a column of token ids and no column of texts; if {@link #column} was called, true
     *     if that column holds lists
     * @throws InputException if a file cannot be read or is malformed
     * @throws RunInterruptedException if the thread is interrupted
     */
    public boolean isTokenized() {
        for (Path file : files) {
            Optional<Boolean> tokenized = isTokenized(file);
            if (tokenized.isPresent()) return tokenized.get();
        }
        return false;
    }

    /** Returns whether the documents of a file are token ids; empty if the file contains no document. */
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
     * Passes the text of each document to a consumer, in order. Documents whose text is null are skipped.
     *
     * @param documents called with each text; an exception that it throws ends the reading and is thrown by this method
     * @return number of skipped documents
     * @throws InputException if a file is malformed or has no such column, or if there is no document at all
     * @throws RunInterruptedException if the thread is interrupted
     */
    public long forEach(Consumer<String> documents) {
        return forEach(documents, _ -> {});
    }

    /**
     * Passes the text of each document to a consumer, in order, and reports the documents that are skipped because
     * their text is null. A consumer that ends the reading by an exception thus learns how many were skipped.
     *
     * @param documents called with each text; an exception that it throws ends the reading and is thrown by this method
     * @param skipping  called at each skipped document with the number of documents skipped so far
     * @return number of skipped documents
     * @throws InputException if a file is malformed or has no such column, or if there is no document at all
     * @throws RunInterruptedException if the thread is interrupted
     */
    public long forEach(Consumer<String> documents, LongConsumer skipping) {
        long[] count = {0};
        long skipped = forEachIfAny(
                document -> {
                    count[0]++;
                    documents.accept(document);
                },
                skipping);
        if (count[0] == 0)
            throw new InputException("dataset " + name
                    + (skipped == 0
                            ? " is empty: it has no documents."
                            : " has no text: it is null in all of its " + skipped + " documents."));
        return skipped;
    }

    /**
     * Passes the text of each document to a consumer as {@link #forEach(Consumer, LongConsumer)} does, but takes a
     * dataset without documents: a file of a larger dataset may have none.
     *
     * @param documents called with each text; an exception that it throws ends the reading and is thrown by this method
     * @param skipping  called at each skipped document with the number of documents skipped so far
     * @return number of skipped documents
     * @throws InputException if a file is malformed or has no such column
     * @throws RunInterruptedException if the thread is interrupted
     */
    public long forEachIfAny(Consumer<String> documents, LongConsumer skipping) {
        String wanted = column == null ? TEXT_COLUMN : column;
        long[] skipped = {0};
        String reading = "reading " + name;
        Consumer<String> counting = document -> {
            RunInterruptedException.check(reading);
            if (document == null) skipping.accept(++skipped[0]);
            else hand(documents, document);
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
        return skipped[0];
    }

    /**
     * Passes the token ids of each document to a consumer, in order.
     *
     * @param documents called with the ids of each document, in an array that the consumer may keep; an exception that
     *     it throws ends the reading and is thrown by this method
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

    /**
     * Reads all texts into memory.
     *
     * @return the texts in order, without the documents whose text is null; a new list
     * @throws InputException if a file is malformed or has no such column, or if there is no document at all
     * @throws RunInterruptedException if the thread is interrupted
     */
    public List<String> documents() {
        List<String> all = new ArrayList<>();
        forEach(all::add);
        return all;
    }

    /**
     * Describes the dataset.
     *
     * @return the id, or the last part of the path of a file or folder; the number of files; and the column of texts,
     *     such as {@code TextDataset(dataset.parquet, 1 file, column text)}
     */
    @Override
    public String toString() {
        boolean isFolderOrFile = files.stream().allMatch(file -> file.startsWith(name));
        String last = isFolderOrFile
                ? String.valueOf(Path.of(name).toAbsolutePath().normalize().getFileName())
                : name;
        return "TextDataset(" + last + ", " + files.size() + (files.size() == 1 ? " file" : " files") + ", column "
                + (column == null ? TEXT_COLUMN : column) + ")";
    }

    // ------------------------------------------------------------------------------------------------- files

    /** Returns the format of a file, or null if the file is not part of a dataset. */
    private static Kind kind(String file) {
        String lower = file.toLowerCase(Locale.ROOT);
        if (NO_DOCUMENTS.contains(lower.substring(Math.max(lower.lastIndexOf('/'), lower.lastIndexOf('\\')) + 1)))
            return null;
        if (lower.endsWith(".parquet")) return Kind.PARQUET;
        if (lower.matches("(?s).*\\.(jsonl|ndjson|json)(\\.(gz|zst))?")) return Kind.JSON_LINES;
        if (lower.matches("(?s).*\\.(txt|text|md)")) return Kind.PLAIN;
        return null;
    }

    private static List<Path> filesIn(Path folder, String split) {
        try (var entries = Files.walk(folder, DEPTH)) {
            List<String> names = entries.filter(file -> kind(file.toString()) != null && Files.isRegularFile(file))
                    .map(folder::relativize)
                    .map(Path::toString)
                    .toList();
            return filesIn("folder " + folder, names, split).stream()
                    .map(folder::resolve)
                    .toList();
        } catch (IOException | UncheckedIOException e) {
            throw new InputException(folder + " cannot be read: " + InputException.reason(e) + ".", e);
        }
    }

    /**
     * Chooses the files of a dataset in a folder, by their names: those of Parquet and JSON Lines or else of plain
     * text, of a split, and none that begins with a dot. So a folder that is elsewhere than on this machine's disk is
     * read as one that is there.
     *
     * @param folder the folder, for messages
     * @param names  the paths of files within the folder, in any order, at most {@link #DEPTH} parts long
     * @param split  the split, such as {@code train}
     * @return the paths of the dataset's files, in the order in which they are read; a new list
     * @throws InputException if the folder has no files of the split
     */
    public static List<String> filesIn(String folder, List<String> names, String split) {
        List<String> shown = names.stream()
                .filter(file -> kind(file) != null && isShown(Path.of(file)))
                .sorted()
                .toList();
        List<String> structured =
                shown.stream().filter(file -> kind(file) != Kind.PLAIN).toList();
        List<String> found = ofSplit(structured.isEmpty() ? shown : structured, split);
        if (found.isEmpty()) throw noFiles(folder, split, shown);
        return found;
    }

    /** Returns whether no part of a path begins with a dot; such files and folders hold copies and notes of tools. */
    private static boolean isShown(Path inFolder) {
        for (Path part : inFolder) if (part.toString().startsWith(".")) return false;
        return true;
    }

    /** Returns the files of a split. Where no file belongs to a split, all files are those of {@code train}. */
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

    /** Returns whether the name of a file contains the name of a split, or another word for that split. */
    private static boolean belongs(String file, String split) {
        Set<String> words =
                SPLITS.stream().filter(set -> set.contains(split)).findFirst().orElse(Set.of(split));
        return words.stream()
                .anyMatch(word -> Pattern.compile("(^|[^A-Za-z0-9])" + Pattern.quote(word) + "([^A-Za-z0-9]|$)")
                        .matcher(file)
                        .find());
    }

    /**
     * Carries an exception of the consumer of documents past the code that reports errors of the file, so that the
     * caller receives it unchanged.
     */
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
            if (kind(file.toString()) == Kind.PARQUET)
                NativeCodecs.require(file, "dev.hardwood.reader.ParquetFileReader", "dev.hardwood:hardwood-core");
            return reader.read(file);
        } catch (ConsumerException e) {
            throw e.thrown;
        } catch (CharacterCodingException e) {
            throw new InputException(file + " is not UTF-8 text.", e);
        } catch (IOException | UncheckedIOException e) {
            RunInterruptedException.check("reading " + file, e); // an interruption closes the file
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
