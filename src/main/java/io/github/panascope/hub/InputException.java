package io.github.panascope.hub;

/** Something given by the user cannot be used. The message is one sentence for that user. */
public final class InputException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** An exception with a sentence that names the place, the value and what to do. */
    public InputException(String message) {
        super(message);
    }

    /** The same, keeping what was caught. */
    public InputException(String message, Throwable cause) {
        super(message, cause);
    }
}
