package io.github.panascope.cli;

import java.io.Console;
import java.io.PrintStream;
import java.util.Locale;

/**
 * A progress bar on standard error for work that takes longer than a second. It is not shown if standard error is no
 * terminal, or in quiet mode. The commands for Apache Spark show it too.
 */
public final class Progress implements AutoCloseable {
    private static final long DELAY_NANOS = 1_000_000_000L;
    private static final long REDRAW_NANOS = 100_000_000L;
    private static final int WIDTH = 30;

    /** The unit of the counted work. */
    enum Unit {
        THINGS {
            @Override
            String amount(double number) {
                return String.format(Locale.ROOT, number == Math.rint(number) ? "%.0f" : "%.1f", number);
            }
        },
        BYTES {
            @Override
            String amount(double number) {
                return String.format(Locale.ROOT, "%.1f MB", number / 1e6);
            }
        };

        abstract String amount(double number);
    }

    /** The bar on the screen, or null. */
    private static volatile Progress drawn;

    private final String label;
    private final Unit unit;
    private final boolean shown;
    private final long start = System.nanoTime();
    private final PrintStream out = System.err;
    private long lastDrawn;

    /**
     * Makes a bar, which appears when the work has taken a second.
     *
     * @param label what is counted
     * @param quiet true to show nothing
     */
    public Progress(String label, boolean quiet) {
        this(label, Unit.THINGS, quiet);
    }

    Progress(String label, Unit unit, boolean quiet) {
        this.label = label;
        this.unit = unit;
        Console console = System.console();
        this.shown = !quiet && console != null && console.isTerminal();
    }

    /**
     * Updates the bar.
     *
     * @param done  the work that is done
     * @param total the amount of work; 0 if it is not known
     */
    public void update(long done, long total) {
        update("", done, total);
    }

    /**
     * Updates the bar, with the name of the current work.
     *
     * @param total the amount of work; 0 if it is not known
     */
    void update(String what, long done, long total) {
        long now = System.nanoTime();
        if (!shown || now - start < DELAY_NANOS || now - lastDrawn < REDRAW_NANOS && done != total) return;
        lastDrawn = now;
        drawn = this;
        double seconds = (now - start) / 1e9;
        String text = what.isEmpty() ? label : label + " " + what;
        String rate = unit.amount(Math.round(done / seconds * 10) / 10.0) + "/s";
        if (total == 0) {
            out.print("\r\033[K" + text + "  " + unit.amount(done) + "  " + rate);
        } else {
            int filled = (int) (WIDTH * done / total);
            long left = Math.round(seconds / Math.max(1, done) * (total - done));
            out.print("\r\033[K" + text + " [" + "#".repeat(filled) + ".".repeat(WIDTH - filled) + "] "
                    + unit.amount(done) + "/" + unit.amount(total) + "  " + rate + "  " + left + " s left");
        }
        out.flush();
    }

    /** Removes the bar from the screen. */
    @Override
    public void close() {
        if (drawn == this) clear();
    }

    /** Removes the bar on the screen, so that a message starts on an empty line. */
    public static void clear() {
        Progress there = drawn;
        if (there == null) return;
        drawn = null;
        there.out.print("\r\033[K");
        there.out.flush();
    }
}
