package io.github.panascope.data;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import java.nio.file.Path;
import java.util.Optional;

/** Translation of exceptions of the Parquet library into a sentence about the file. */
final class ParquetFault {
    private static final String DAMAGED = "its footer or a page is damaged";

    private ParquetFault() {}

    /**
     * Returns the exception to throw in place of one that the library threw. Throws errors that have no relation to the
     * file directly.
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

    /**
     * Returns the message of the library, unless Java itself produced it: such a message is about arrays and objects.
     */
    private static String reason(Throwable thrown) {
        Throwable cause = thrown.getCause();
        if (cause != null && String.valueOf(thrown.getMessage()).equals(cause.toString())) return reason(cause);
        if (thrown.getMessage() == null || isJavas(thrown)) return DAMAGED;
        String line = thrown.getMessage().lines().findFirst().orElse("").strip();
        return line.isEmpty() ? DAMAGED : line.replaceFirst("\\.$", "");
    }

    /** Returns whether Java itself threw an exception, and not the library. */
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
