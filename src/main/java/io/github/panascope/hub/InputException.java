package io.github.panascope.hub;

/**
 * Something given by the user cannot be used. The message is one sentence for that user, on one line: what it quotes from files is cut
 * short, and control characters, which could do anything to a terminal, are shown as U+FFFD.
 */
public final class InputException extends RuntimeException {
    private static final long serialVersionUID = 1L;
    private static final int MAX_LENGTH = 1000;

    /** An exception with a sentence that names the place, the value and what to do. */
    public InputException(String message) {
        super(line(message));
    }

    /** The same, keeping what was caught. */
    public InputException(String message, Throwable cause) {
        super(line(message), cause);
    }

    private static String line(String message) {
        String line = message.replaceAll("[\\p{Cntrl}\\u0080-\\u009f\\u2028\\u2029]", "\ufffd");
        return line.length() <= MAX_LENGTH ? line : line.substring(0, MAX_LENGTH / 2) + " ... " + line.substring(line.length() - MAX_LENGTH / 2 + 5);
    }
}
