package io.github.panascope.data;

import dev.hardwood.InputFile;
import dev.hardwood.metadata.PhysicalType;
import dev.hardwood.reader.ColumnReader;
import dev.hardwood.reader.ParquetFileReader;
import dev.hardwood.reader.RowReader;
import dev.hardwood.reader.Validity;
import dev.hardwood.schema.ColumnSchema;
import io.github.panascope.InputException;
import io.github.panascope.internal.Suggestions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/** Columns of a Parquet file, batch by batch. */
final class ParquetFile {
    private ParquetFile() {}

    /** Names of the top-level columns, and of those that are lists of whole numbers. */
    record Columns(Set<String> all, Set<String> lists) {}

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
                                .collect(Collectors.toSet())));
    }

    /** Hands over each value of a text column, null where it is null. */
    static void texts(Path file, String name, Consumer<String> documents) throws IOException {
        open(file, reader -> {
            ColumnSchema column = reader.getFileSchema().getColumns().stream()
                    .filter(each -> top(each).equals(name))
                    .findFirst()
                    .orElseThrow(() -> missing(file, reader, List.of(name)));
            boolean nested = column.fieldPath().elements().size() > 1 || column.maxRepetitionLevel() > 0;
            if (nested || column.type() != PhysicalType.BYTE_ARRAY)
                throw new InputException(file + ": column '" + name + "' should hold text, not "
                        + (nested ? "lists or structures." : column.type() + "."));
            ParquetPages.check(file, reader.getFileMetaData().rowGroups(), column.columnIndex());
            // The library takes any leaf of a structure for the column, if the leaf has its name and comes first. By
            // rows it finds the column.
            if (reader.getFileSchema().getColumns().stream()
                            .filter(each -> each.name().equals(name))
                            .count()
                    > 1) return byRow(reader, name, documents);
            try (ColumnReader values = reader.columnReader(column.columnIndex())) {
                while (values.nextBatch()) {
                    String[] batch = values.getStrings();
                    for (int i = 0; i < values.getRecordCount(); i++) documents.accept(batch[i]);
                }
            }
            return null;
        });
    }

    private static Void byRow(ParquetFileReader reader, String name, Consumer<String> documents) {
        try (RowReader rows = reader.rowReader()) {
            while (rows.hasNext()) {
                rows.next();
                documents.accept(rows.getString(name));
            }
        }
        return null;
    }

    /** Hands over each list of the first of these columns that is there. */
    static void tokens(Path file, List<String> names, Consumer<int[]> documents) throws IOException {
        open(file, reader -> {
            ColumnSchema column = reader.getFileSchema().getColumns().stream()
                    .filter(each -> names.contains(top(each)))
                    .findFirst()
                    .orElseThrow(() -> missing(file, reader, names));
            boolean several = reader.getFileSchema().getColumns().stream()
                            .filter(each -> top(each).equals(top(column)))
                            .count()
                    > 1; // a list of structures
            if (several || !isTokens(column))
                throw new InputException(file + ": column '" + top(column) + "' should hold lists of whole numbers.");
            ParquetPages.check(file, reader.getFileMetaData().rowGroups(), column.columnIndex());
            try (ColumnReader values = reader.columnReader(column.columnIndex())) {
                while (values.nextBatch()) {
                    int[] ids = ids(file, values, column);
                    int[] offsets = values.getLayerOffsets(values.getLayerCount() - 1);
                    for (int i = 0; i < values.getRecordCount(); i++)
                        documents.accept(Arrays.copyOfRange(ids, offsets[i], offsets[i + 1]));
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
        if (column.type() == PhysicalType.INT32) return values.getInts();
        long[] wide = values.getLongs();
        int[] ids = new int[count];
        for (int i = 0; i < count; i++) {
            if (wide[i] != (int) wide[i])
                throw new InputException(
                        file + ": column '" + top(column) + "' holds " + wide[i] + ", which is no token id.");
            ids[i] = (int) wide[i];
        }
        return ids;
    }

    /** The column's name; leaves of lists have others. */
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
        } catch (RuntimeException | IOException e) {
            input.close();
            throw damaged(file, e);
        }
        try (input;
                reader) {
            return action.run(reader);
        } catch (Dataset.ConsumerException | InputException e) {
            throw e;
        } catch (RuntimeException e) { // the reader's own complaints about a damaged file
            throw damaged(file, e);
        }
    }

    private static InputException damaged(Path file, Exception e) {
        return new InputException(
                file + " is not a Parquet file that can be read: "
                        + (e.getMessage() == null
                                ? e.getClass().getSimpleName()
                                : e.getMessage().lines().findFirst().orElse(""))
                        + ".",
                e);
    }
}
