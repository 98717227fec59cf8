package io.github.panascope.internal;

import io.github.panascope.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Small text files that are read as a whole: configurations, vocabularies, references. */
public final class TextFile {
    /** The largest size of a file, many times that of the largest vocabulary. */
    private static final long MAX_BYTES = 64L << 20;

    private TextFile() {}

    /**
     * Reads a text file in UTF-8.
     *
     * @param file the file
     * @return its text, without a byte order mark
     * @throws InputException if the file is missing, not a regular file, longer than 64 MB, or not UTF-8
     */
    public static String read(Path file) {
        try {
            requireRegular(file);
            if (Files.size(file) > MAX_BYTES)
                throw new InputException(
                        file + " has " + Files.size(file) + " bytes, where at most " + MAX_BYTES + " make sense.");
            String text = Files.readString(file);
            return text.startsWith("\ufeff") ? text.substring(1) : text;
        } catch (IOException e) {
            throw new InputException(file + " cannot be read: " + InputException.reason(e) + ".", e);
        }
    }

    /**
     * Checks that a file exists and is neither a folder, a pipe nor a device; reading a pipe or device could block
     * forever.
     *
     * @param file the file
     * @throws InputException if it is not a regular file
     */
    public static void requireRegular(Path file) {
        if (!Files.exists(file)) throw new InputException(file + " does not exist.");
        if (Files.isDirectory(file)) throw new InputException(file + " is a folder, and should be a file.");
        if (!Files.isRegularFile(file)) throw new InputException(file + " is not a regular file.");
    }
}
