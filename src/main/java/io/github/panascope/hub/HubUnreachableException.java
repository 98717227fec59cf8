package io.github.panascope.hub;

import io.github.panascope.InputException;

/** What is wanted is not on this machine, and the hub, which may have it, does not answer. */
public final class HubUnreachableException extends InputException {
    private static final long serialVersionUID = 1L;

    HubUnreachableException(String message, Throwable cause) {
        super(message, cause);
    }
}
