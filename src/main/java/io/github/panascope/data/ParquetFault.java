package io.github.panascope.data;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import java.nio.file.Path;
import java.util.Optional;

/** Why a Parquet file could not be read, in a sentence, of what the library threw that reads it. */
final class ParquetFault {
    private static final String DAMAGED = "its footer or a page is damaged";

    private ParquetFault() {}

    /**
     * The complaint to throw; an error that is none of the file's is thrown here.
     *
     * @throws RunInterruptedException if the thread was interrupted, which closes the file
     */
    static RuntimeException of(Path file, Throwable thrown) {
        Optional<InputException> denied = NativeAccess.refused(file, thrown);
        if (denied.isPresent()) return denied.get();
        if (thrown instanceof Error error) throw error;
        RunInterruptedException.check("reading " + file, thrown);
        return new InputException(file + " is not a Parquet file that can be read: " + reason(thrown) + ".", thrown);
    }

    /** What the library says, if it says it itself: Java's own words are about arrays and objects. */
    private static String reason(Throwable thrown) {
        Throwable cause = thrown.getCause();
        if (cause != null && String.valueOf(thrown.getMessage()).equals(cause.toString())) return reason(cause);
        if (thrown.getMessage() == null || isJavas(thrown)) return DAMAGED;
        String line = thrown.getMessage().lines().findFirst().orElse("").strip();
        return line.isEmpty() ? DAMAGED : line.replaceFirst("\\.$", "");
    }

    private static boolean isJavas(Throwable thrown) {
        boolean mistake = thrown instanceof NullPointerException
                || thrown instanceof IndexOutOfBoundsException
                || thrown instanceof ClassCastException
                || thrown instanceof ArithmeticException
                || thrown instanceof NegativeArraySizeException
                || thrown instanceof NumberFormatException;
        StackTraceElement[] stack = thrown.getStackTrace();
        return mistake || stack.length > 0 && stack[0].getClassName().startsWith("java.");
    }
}
