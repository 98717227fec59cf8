package io.github.panascope;

import org.jspecify.annotations.Nullable;

/**
 * The thread was interrupted while it did something that takes long: computing, downloading from the hub, reading a
 * dataset, or writing a file. What computes looks between its batches, what reads between documents, and a download
 * stops waiting; each frees what it holds and throws this. The thread's interrupt status is set, and what was on the
 * disk before is there: a download goes on from what it has, and a file that was to be replaced is as it was.
 */
public final class RunInterruptedException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private RunInterruptedException(String doing, @Nullable Throwable cause) {
        super("interrupted while " + doing, cause);
    }

    /**
     * Throws this if the thread was interrupted.
     *
     * @param doing what it is at, such as {@code making dashboards}
     */
    public static void check(String doing) {
        check(doing, null);
    }

    /**
     * The same after something failed: because of the interruption, if there was one.
     *
     * @param cause what was thrown; may be null
     */
    public static void check(String doing, @Nullable Throwable cause) {
        if (Thread.currentThread().isInterrupted()) throw new RunInterruptedException(doing, cause);
    }

    /** To be thrown for an InterruptedException, which has taken the interrupt status away: puts it back. */
    public static RunInterruptedException of(String doing, InterruptedException cause) {
        Thread.currentThread().interrupt();
        return new RunInterruptedException(doing, cause);
    }
}
