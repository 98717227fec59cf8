package io.github.panascope.spark;

import java.io.Console;
import java.util.Locale;

/**
 * A line on standard error that says how many rows are done. On a terminal it is drawn again and again; elsewhere, as
 * in the log of a driver, a new line is printed each minute.
 */
final class ProgressLine implements AutoCloseable {
    private static final long REDRAW_NANOS = 200_000_000L;
    private static final long LINE_NANOS = 60_000_000_000L;

    private final String label;
    private final boolean quiet;
    private final boolean terminal;
    private final long start = System.nanoTime();
    private long printed = start;
    private boolean drawn;

    ProgressLine(String label, boolean quiet) {
        this.label = label;
        this.quiet = quiet;
        Console console = System.console();
        terminal = console != null && console.isTerminal();
    }

    void update(long done, long total) {
        long now = System.nanoTime();
        if (quiet || now - printed < (terminal ? REDRAW_NANOS : LINE_NANOS)) return;
        printed = now;
        String text = String.format(
                Locale.ROOT, "%s %,d of %,d, %,.0f a second", label, done, total, done / ((now - start) / 1e9));
        if (terminal) System.err.print("\r\033[K" + text);
        else System.err.println(text);
        drawn |= terminal;
    }

    /** Removes the line from a terminal. */
    @Override
    public void close() {
        if (drawn) System.err.print("\r\033[K");
    }
}
