package io.github.panascope.internal;

import io.github.panascope.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Small files of text, whole: configurations, vocabularies, references. */
public final class TextFile {
    /** Many times the largest vocabulary there is. */
    private static final long MAX_BYTES = 64L << 20;

    private TextFile() {}

    /**
     * The text of a file in UTF-8, without a byte order mark.
     *
     * @throws InputException if it is missing, no regular file, longer than 64 MB, or not UTF-8
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

    /** Complains of a pipe or a device, which could keep one waiting for ever, and of what is not there. */
    public static void requireRegular(Path file) {
        if (!Files.exists(file)) throw new InputException(file + " does not exist.");
        if (Files.isDirectory(file)) throw new InputException(file + " is a folder, and should be a file.");
        if (!Files.isRegularFile(file)) throw new InputException(file + " is not a regular file.");
    }
}
