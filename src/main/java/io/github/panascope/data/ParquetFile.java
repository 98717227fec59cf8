package io.github.panascope.data;

import dev.hardwood.InputFile;
import dev.hardwood.metadata.LogicalType;
import dev.hardwood.metadata.PhysicalType;
import dev.hardwood.reader.ColumnReader;
import dev.hardwood.reader.ParquetFileReader;
import dev.hardwood.reader.RowReader;
import dev.hardwood.reader.Validity;
import dev.hardwood.schema.ColumnSchema;
import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import io.github.panascope.internal.Suggestions;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.stream.Collectors;

/** A reader of columns of a Parquet file, batch by batch. */
final class ParquetFile {
    /**
     * Logger of the Parquet reader, which reports at every start that it found no Vector API. Errors are thrown
     * instead. The reference keeps the logger from being collected, which would reset its level.
     */
    private static final Logger LOG = Logger.getLogger("dev.hardwood");

    static {
        if (LOG.getLevel() == null) LOG.setLevel(Level.OFF);
        NativeCodecs.load();
    }

    private ParquetFile() {}

    /**
     * The columns of a file.
     *
     * @param all   names of the top-level columns
     * @param lists names of those that are lists of whole numbers
     * @param rows  number of rows
     */
    record Columns(Set<String> all, Set<String> lists, long rows) {}

    /** Returns the columns of a file. */
    static Columns columns(Path file) throws IOException {
        return open(
                file,
                reader -> new Columns(
                        reader.getFileSchema().getColumns().stream()
                                .map(ParquetFile::top)
                                .collect(Collectors.toSet()),
                        reader.getFileSchema().getColumns().stream()
                                .filter(ParquetFile::isTokens)
                                .map(ParquetFile::top)
                                .collect(Collectors.toSet()),
                        reader.getFileMetaData().numRows()));
    }

    /** Passes each value of a text column to the consumer; null where the value is null. */
    static void texts(Path file, String name, Consumer<String> documents) throws IOException {
        open(file, reader -> {
            ColumnSchema column = column(file, reader, List.of(name));
            boolean nested = column.fieldPath().elements().size() > 1 || column.maxRepetitionLevel() > 0;
            if (nested || column.type() != PhysicalType.BYTE_ARRAY)
                throw new InputException(file + ": column '" + name + "' should hold text, not "
                        + (nested ? "lists or structures." : column.type() + "."));
            ParquetPages.check(file, reader.getFileMetaData().rowGroups(), column.columnIndex());
            // By columns, the library mistakes a leaf of a structure for the column if the leaf has the same name and
            // comes first. By rows, it finds the column.
            if (reader.getFileSchema().getColumns().stream()
                            .filter(each -> each.name().equals(name))
                            .count()
                    > 1) return byRow(file, reader, name, documents);
            try (ColumnReader values = reader.columnReader(column.columnIndex())) {
                for (long row = 0; values.nextBatch(); row += values.getRecordCount()) {
                    byte[] bytes = values.getBinaryValues();
                    int[] offsets = values.getBinaryOffsets();
                    Validity valid = values.getLeafValidity();
                    for (int i = 0; i < values.getRecordCount(); i++) {
                        if (valid.isNull(i)) {
                            documents.accept(null);
                            continue;
                        }
                        int length = offsets[i + 1] - offsets[i];
                        String text = new String(bytes, offsets[i], length, StandardCharsets.UTF_8);
                        if (isDoubtful(text))
                            requireText(file, name, row + i, Arrays.copyOfRange(bytes, offsets[i], offsets[i + 1]));
                        documents.accept(text);
                    }
                }
            }
            return null;
        });
    }

    private static Void byRow(Path file, ParquetFileReader reader, String name, Consumer<String> documents) {
        try (RowReader rows = reader.rowReader()) {
            for (long row = 0; rows.hasNext(); row++) {
                rows.next();
                String text = rows.getString(name);
                if (isDoubtful(text)) requireText(file, name, row, rows.getBinary(name));
                documents.accept(text);
            }
        }
        return null;
    }

    /** Returns whether malformed bytes may have been replaced in a text. A check of all bytes would take longer. */
    private static boolean isDoubtful(String text) {
        return text != null && text.indexOf('\ufffd') >= 0;
    }

    private static void requireText(Path file, String name, long row, byte[] bytes) {
        try {
            StandardCharsets.UTF_8
                    .newDecoder() // a new decoder reports malformed bytes
                    .decode(ByteBuffer.wrap(bytes));
        } catch (CharacterCodingException e) {
            throw new InputException(file + ": row " + (row + 1) + " of column '" + name + "' is not UTF-8 text.", e);
        }
    }

    /** Returns the first leaf of the first of the named columns that exists. */
    private static ColumnSchema column(Path file, ParquetFileReader reader, List<String> names) {
        ColumnSchema column = reader.getFileSchema().getColumns().stream()
                .filter(each -> names.contains(top(each)))
                .findFirst()
                .orElseThrow(() -> missing(file, reader, names));
        if (top(column).contains("."))
            throw new InputException(file + ": column '" + top(column)
                    + "' has a dot in its name, which cannot be read: write it again under another name.");
        long sameName = reader.getFileSchema().getRootNode().children().stream()
                .filter(each -> each.name().equals(top(column)))
                .count();
        if (sameName > 1)
            throw new InputException(file + " has " + sameName + " columns of the name '" + top(column)
                    + "': write it again with the one that is meant.");
        return column;
    }

    /** Passes each list of the first of the named columns that exists to the consumer. */
    static void tokens(Path file, List<String> names, Consumer<int[]> documents) throws IOException {
        open(file, reader -> {
            ColumnSchema column = column(file, reader, names);
            boolean several = reader.getFileSchema().getColumns().stream()
                            .filter(each -> top(each).equals(top(column)))
                            .count()
                    > 1; // a list of structures
            if (several || !isTokens(column))
                throw new InputException(file + ": column '" + top(column) + "' should hold lists of whole numbers.");
            ParquetPages.check(file, reader.getFileMetaData().rowGroups(), column.columnIndex());
            try (ColumnReader values = reader.columnReader(column.columnIndex())) {
                for (long row = 0; values.nextBatch(); row += values.getRecordCount()) {
                    int[] ids = ids(file, values, column);
                    int[] offsets = values.getLayerOffsets(values.getLayerCount() - 1);
                    Validity lists = values.getLayerValidity(values.getLayerCount() - 1);
                    for (int i = 0; i < values.getRecordCount(); i++) {
                        if (lists.isNull(i))
                            throw new InputException(file + ": row " + (row + i + 1) + " of column '" + top(column)
                                    + "' is null, and should be a list of token ids.");
                        documents.accept(Arrays.copyOfRange(ids, offsets[i], offsets[i + 1]));
                    }
                }
            }
            return null;
        });
    }

    private static int[] ids(Path file, ColumnReader values, ColumnSchema column) {
        Validity valid = values.getLeafValidity();
        int count = values.getValueCount();
        if (valid.hasNulls())
            for (int i = 0; i < count; i++)
                if (valid.isNull(i))
                    throw new InputException(
                            file + ": a list in column '" + top(column) + "' holds a null where a token id should be.");
        boolean unsigned = column.logicalType() instanceof LogicalType.IntType whole && !whole.isSigned();
        if (column.type() == PhysicalType.INT32) {
            int[] ids = values.getInts();
            for (int i = 0; unsigned && i < count; i++)
                if (ids[i] < 0) throw noToken(file, column, Integer.toUnsignedString(ids[i]));
            return ids;
        }
        long[] wide = values.getLongs();
        int[] ids = new int[count];
        for (int i = 0; i < count; i++) {
            ids[i] = (int) wide[i];
            if (wide[i] != ids[i] || unsigned && ids[i] < 0)
                throw noToken(file, column, unsigned ? Long.toUnsignedString(wide[i]) : Long.toString(wide[i]));
        }
        return ids;
    }

    private static InputException noToken(Path file, ColumnSchema column, String id) {
        return new InputException(file + ": column '" + top(column) + "' holds " + id + ", which is no token id.");
    }

    /** Returns the name of the top-level column, as the leaves of lists have other names. */
    private static String top(ColumnSchema column) {
        return column.fieldPath().elements().getFirst();
    }

    private static boolean isTokens(ColumnSchema column) {
        return column.maxRepetitionLevel() == 1
                && (column.type() == PhysicalType.INT32 || column.type() == PhysicalType.INT64);
    }

    private static InputException missing(Path file, ParquetFileReader reader, List<String> names) {
        Set<String> there = reader.getFileSchema().getColumns().stream()
                .map(ParquetFile::top)
                .collect(Collectors.toCollection(LinkedHashSet::new));
        return new InputException(file + " has no column '" + String.join("' or '", names) + "'; its columns are "
                + there + "." + Suggestions.didYouMean(names.getFirst(), there));
    }

    private interface Action<T> {
        T run(ParquetFileReader reader) throws IOException;
    }

    private static <T> T open(Path file, Action<T> action) throws IOException {
        ParquetFileReader reader;
        InputFile input = InputFile.of(file);
        try {
            reader = ParquetFileReader.open(input);
        } catch (RuntimeException | IOException | Error e) {
            input.close();
            throw ParquetFault.of(file, e);
        }
        try (input;
                reader) {
            return action.run(reader);
        } catch (TextDataset.ConsumerException | InputException | RunInterruptedException e) {
            throw e;
        } catch (RuntimeException | Error e) { // errors of the library about a damaged file
            throw ParquetFault.of(file, e);
        }
    }
}
