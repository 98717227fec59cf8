package io.github.panascope.torch;

/**
 * Thrown when libtorch or the shim cannot be loaded. The message names every place that was tried, and why it was not
 * usable.
 */
public final class NativeLibraryException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    NativeLibraryException(String message) {
        super(message);
    }

    NativeLibraryException(String message, Throwable cause) {
        super(message, cause);
    }
}
