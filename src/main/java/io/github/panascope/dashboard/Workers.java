package io.github.panascope.dashboard;

import io.github.panascope.RunInterruptedException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** The threads that collect features and make dashboards, and waiting for what they do. */
final class Workers {
    private Workers() {}

    /** Work that waits for other threads. */
    interface Waiting<T> {
        T get() throws ExecutionException, InterruptedException;
    }

    /**
     * Starts a pool of daemon threads.
     *
     * @param name of the threads, before a hyphen and their number
     */
    static ExecutorService pool(int threads, String name) {
        return Executors.newFixedThreadPool(
                threads, Thread.ofPlatform().daemon().name(name + "-", 0).factory());
    }

    /**
     * Waits, and throws the exceptions of other threads as its own.
     *
     * @param doing what is done, for the message of an interruption
     * @throws RunInterruptedException if the thread is interrupted
     */
    static <T> T await(String doing, Waiting<T> waiting) {
        try {
            return waiting.get();
        } catch (ExecutionException e) {
            if (e.getCause() instanceof RuntimeException cause) throw cause;
            if (e.getCause() instanceof Error cause) throw cause;
            throw new IllegalStateException(e.getCause());
        } catch (InterruptedException e) {
            throw RunInterruptedException.of(doing, e);
        }
    }
}
