package io.github.panascope.cli;

import java.io.Console;
import java.io.PrintStream;

/** A progress bar on standard error for what takes longer than a second; none if that is no terminal, or if it should be quiet. */
final class Progress implements AutoCloseable {
    private static final long DELAY_NANOS = 1_000_000_000L, REDRAW_NANOS = 100_000_000L;
    private static final int WIDTH = 30;

    private final String label;
    private final long total;
    private final boolean shown;
    private final long start = System.nanoTime();
    private final PrintStream out = System.err;
    private long lastDrawn;

    /** {@code total} is 0 if it is not known how much there is. */
    Progress(String label, long total, boolean quiet) {
        this.label = label;
        this.total = total;
        Console console = System.console();
        this.shown = !quiet && console != null && console.isTerminal();
    }

    void update(long done) {
        long now = System.nanoTime();
        if (!shown || now - start < DELAY_NANOS || now - lastDrawn < REDRAW_NANOS && done != total) return;
        lastDrawn = now;
        double seconds = (now - start) / 1e9;
        String rate = String.format(java.util.Locale.ROOT, "%.1f/s", done / seconds);
        if (total == 0) {
            out.print("\r\033[K" + label + "  " + done + "  " + rate);
        } else {
            int filled = (int) (WIDTH * done / total);
            long left = Math.round(seconds / Math.max(1, done) * (total - done));
            out.print("\r\033[K" + label + " [" + "#".repeat(filled) + ".".repeat(WIDTH - filled) + "] " + done + "/" + total + "  " + rate + "  " + left + " s left");
        }
        out.flush();
    }

    /** Takes the bar away. */
    @Override
    public void close() {
        if (lastDrawn != 0) {
            out.print("\r\033[K");
            out.flush();
        }
    }
}
