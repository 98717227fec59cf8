package io.github.panascope;

import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * Collects garbage all the time, so that an object that native code still needs, but no Java code holds, is gone by the
 * next operator. Profile {@code stress} switches it on.
 */
public final class ForcedCollections implements BeforeAllCallback {
    private static final long PAUSE_MILLIS = 5;
    private static Thread collector;

    @Override
    public void beforeAll(ExtensionContext context) {
        start();
    }

    private static synchronized void start() {
        if (collector == null)
            collector = Thread.ofPlatform().daemon().name("forced-collections").start(ForcedCollections::collect);
    }

    private static void collect() {
        try {
            while (true) {
                System.gc();
                Thread.sleep(PAUSE_MILLIS);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
