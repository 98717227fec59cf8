package io.github.panascope;

import org.jspecify.annotations.Nullable;

/**
 * Thrown when the thread was interrupted during long work: computing, downloading from the hub, reading a dataset, or
 * writing a file. Computations check for interruption between their batches, readers between documents, and a download
 * stops waiting. Each frees what it holds before it throws. The thread's interrupt status stays set, and files on disk
 * stay intact: a download resumes from the part that it has, and a file that was to be replaced is unchanged.
 */
public final class RunInterruptedException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private RunInterruptedException(String doing, @Nullable Throwable cause) {
        super("interrupted while " + doing, cause);
    }

    /**
     * Throws this exception if the thread was interrupted.
     *
     * @param doing what the thread does, such as {@code making dashboards}
     * @throws RunInterruptedException if the thread's interrupt status is set
     */
    public static void check(String doing) {
        check(doing, null);
    }

    /**
     * Throws this exception if the thread was interrupted; for use after a failure that an interruption may have
     * caused.
     *
     * @param doing what the thread does, such as {@code making dashboards}
     * @param cause the failure; may be null
     * @throws RunInterruptedException if the thread's interrupt status is set
     */
    public static void check(String doing, @Nullable Throwable cause) {
        if (Thread.currentThread().isInterrupted()) throw new RunInterruptedException(doing, cause);
    }

    /**
     * Makes the exception to throw for an {@link InterruptedException}, and sets the interrupt status again, which that
     * one has cleared.
     *
     * @param doing what the thread does, such as {@code making dashboards}
     * @param cause the exception that was caught
     * @return the exception, for the caller to throw
     */
    public static RunInterruptedException of(String doing, InterruptedException cause) {
        Thread.currentThread().interrupt();
        return new RunInterruptedException(doing, cause);
    }
}
