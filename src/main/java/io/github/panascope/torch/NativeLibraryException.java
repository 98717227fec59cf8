package io.github.panascope.torch;

/** libtorch or the shim could not be loaded. The message names every place that was tried, and why it would not do. */
public final class NativeLibraryException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    NativeLibraryException(String message) {
        super(message);
    }

    NativeLibraryException(String message, Throwable cause) {
        super(message, cause);
    }
}
