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
 * Thrown when a file, a name or an option that the user gave cannot be used. The message is one sentence for the user,
 * on one line. Long messages, which may quote files, are shortened in the middle; control characters, which could
 * change the terminal, are shown as U+FFFD.
 */
public class InputException extends RuntimeException {
    private static final long serialVersionUID = 1L;
    private static final int MAX_LENGTH = 1000;

    /**
     * Makes an exception.
     *
     * @param message a sentence that names the place, the value and what to do
     */
    public InputException(String message) {
        super(line(message));
    }

    /**
     * Makes an exception with a cause.
     *
     * @param message a sentence that names the place, the value and what to do
     * @param cause   the exception that was caught; may be null
     */
    public InputException(String message, @Nullable Throwable cause) {
        super(line(message), cause);
    }

    /**
     * Describes in words why reading or writing failed. The message of some exceptions is missing, or only the name of
     * the file.
     *
     * @param e the exception
     * @return the reason, as part of a sentence
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
