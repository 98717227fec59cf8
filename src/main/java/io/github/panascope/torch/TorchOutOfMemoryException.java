package io.github.panascope.torch;

/** The host or a device has no memory left for a tensor. */
public final class TorchOutOfMemoryException extends TorchException {
    private static final long serialVersionUID = 1L;

    TorchOutOfMemoryException(String message) {
        super(message);
    }
}
