package io.github.panascope;

import java.io.EOFException;
import java.io.UncheckedIOException;
import java.nio.channels.ClosedByInterruptException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import org.jspecify.annotations.Nullable;

/**
 * Something given by the user cannot be used. The message is one sentence for that user, on one line: what it quotes
 * from files is cut short, and control characters, which could do anything to a terminal, are shown as U+FFFD.
 */
public class InputException extends RuntimeException {
    private static final long serialVersionUID = 1L;
    private static final int MAX_LENGTH = 1000;

    /** An exception with a sentence that names the place, the value and what to do. */
    public InputException(String message) {
        super(line(message));
    }

    /** The same, keeping what was caught. */
    public InputException(String message, @Nullable Throwable cause) {
        super(line(message), cause);
    }

    /**
     * Why reading or writing failed, in words: some exceptions have a message that is none, or only the file's name.
     */
    public static String reason(Exception e) {
        return switch (e) {
            case UncheckedIOException unchecked -> reason(unchecked.getCause());
            case NoSuchFileException _ -> "it, or a folder in its path, does not exist";
            case AccessDeniedException _ -> "permission denied";
            case FileAlreadyExistsException _ -> "a file is where a folder should be";
            case NotDirectoryException _ -> "a file is where a folder should be";
            case ClosedByInterruptException _ -> "the thread was interrupted";
            case CharacterCodingException _ -> "it is not UTF-8 text";
            case EOFException _ -> "it ends too early";
            case FileSystemException system when system.getReason() != null -> system.getReason();
            default -> e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
        };
    }

    private static String line(String message) {
        String line = message.replaceAll("[\\p{Cntrl}\\u0080-\\u009f\\u2028\\u2029]", "\ufffd");
        return line.length() <= MAX_LENGTH
                ? line
                : line.substring(0, MAX_LENGTH / 2) + " ... " + line.substring(line.length() - MAX_LENGTH / 2 + 5);
    }
}
