package io.github.panascope.hub;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/**
 * Requests that end soon after the thread that waits for them is interrupted: on virtual threads, whose interruption
 * closes the socket that they read from.
 */
final class Interruptibly {
    /** What may still be under way in an interrupted request, such as the question which address a host has. */
    private static final long PATIENCE_MILLIS = 500;

    private Interruptibly() {}

    /**
     * Runs a request and waits for it.
     *
     * @param doing what it is, such as {@code fetching FILE of REPO}: for {@link RunInterruptedException}
     */
    static <T> T call(String doing, Supplier<T> request) {
        if (Thread.currentThread().isVirtual()) return request.get();
        ExecutorService worker =
                Executors.newThreadPerTaskExecutor(Thread.ofVirtual().factory());
        try {
            return get(worker.submit(request::get));
        } catch (InterruptedException e) {
            throw RunInterruptedException.of(doing, e);
        } finally {
            end(worker);
        }
    }

    /** Waits for a result; what was thrown is thrown here anew, with frames that are the caller's. */
    static <T> T get(Future<T> future) throws InterruptedException {
        try {
            return future.get();
        } catch (ExecutionException e) {
            switch (e.getCause()) {
                case HubUnreachableException unreachable ->
                    throw new HubUnreachableException(unreachable.getMessage(), unreachable);
                case InputException refused -> throw new InputException(refused.getMessage(), refused);
                case RuntimeException other -> throw other;
                case Error error -> throw error;
                default -> throw new IllegalStateException(e.getCause());
            }
        }
    }

    /** Ends what is still under way; what does not end soon is left to itself. */
    static void end(ExecutorService workers) {
        workers.shutdownNow();
        boolean interrupted = Thread.interrupted();
        try {
            workers.awaitTermination(PATIENCE_MILLIS, TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            interrupted = true;
        }
        if (interrupted) Thread.currentThread().interrupt();
    }
}
