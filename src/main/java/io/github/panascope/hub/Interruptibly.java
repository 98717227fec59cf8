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
 * Execution of requests so that they end soon after the waiting thread is interrupted. Requests run on virtual threads,
 * whose interruption closes the socket that they read from.
 */
final class Interruptibly {
    /** The time that an interrupted request has to end, such as while it resolves a host name. */
    private static final long PATIENCE_MILLIS = 500;

    private Interruptibly() {}

    /**
     * Runs a request and waits for its result.
     *
     * @param doing   what the request does, such as {@code fetching FILE of REPO}, for {@link RunInterruptedException}
     * @param request the request
     * @return its result
     * @throws RunInterruptedException if the thread is interrupted
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

    /** Waits for a result. An exception of the request is thrown anew, so that its stack trace shows the caller. */
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

    /** Cancels the requests that are still running, and waits a short time for them to end. */
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
