package io.github.panascope.hub;

import io.github.panascope.InputException;

/** Signals that a file is not in the cache and that the hub, which may have it, does not answer. */
public final class HubUnreachableException extends InputException {
    private static final long serialVersionUID = 1L;

    HubUnreachableException(String message, Throwable cause) {
        super(message, cause);
    }
}
