package io.github.panascope.torch;

/**
 * Thrown when libtorch refuses an operation. The message names the operation, its operands' shapes, and libtorch's own
 * reason.
 */
public class TorchException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    TorchException(String message) {
        super(message);
    }
}
