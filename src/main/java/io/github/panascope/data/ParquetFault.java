package io.github.panascope.data;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import java.nio.file.Path;

/** Why a Parquet file could not be read, in a sentence, of what the library threw that reads it. */
final class ParquetFault {
    private static final String DAMAGED = "its footer or a page is damaged";

    private ParquetFault() {}

    /**
     * The complaint to throw.
     *
     * @throws RunInterruptedException if the thread was interrupted, which closes the file
     */
    static RuntimeException of(Path file, Throwable thrown) {
        RunInterruptedException.check("reading " + file, thrown);
        for (Throwable each = thrown; each != null; each = each.getCause())
            if (each instanceof IllegalCallerException)
                return new InputException(
                        file + " cannot be read, as Parquet is unpacked by native code, which this Java does not"
                                + " allow: start it with"
                                + " --enable-native-access=dev.hardwood.core,org.xerial.snappy.",
                        thrown);
        if (thrown instanceof LinkageError error) throw error;
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
