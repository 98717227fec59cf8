package io.github.panascope.notebook;

import io.github.panascope.dashboard.DashboardSink;
import io.github.panascope.dashboard.FeatureDashboard;
import io.github.panascope.tokens.TokenDataset;
import java.util.Locale;

/**
 * One line below a cell that changes while the cell works, at most five times a second: what is done, how much of it,
 * and how long it takes. The notebook keeps the line's last state. Outside of a kernel the line is written to the
 * standard output, with carriage returns.
 *
 * <p>{@link #update} fits wherever the library takes a listener. As a {@link DashboardSink} the line counts dashboards;
 * {@link #counting} counts documents.
 */
public final class Progress implements DashboardSink {
    private static final long REDRAW_NANOS = 200_000_000L;
    private static final int WIDTH = 24;

    /** Where lines are drawn. */
    @FunctionalInterface
    interface Output {
        /** Draws a line, in the place of what was drawn for the same work before. */
        void draw(Progress progress, String line, boolean last);
    }

    private static volatile Output output = (progress, line, last) -> {
        System.out.print("\r" + line + (last ? "\n" : ""));
        System.out.flush();
    };

    private final String label;
    private final long total;
    private final long start = System.nanoTime();
    private long drawn = System.nanoTime();
    private long counted;
    private long latest;
    private boolean ended = true; // nothing is shown yet that a line end would have to follow

    Progress(String label, long total) {
        this.label = label;
        this.total = total;
    }

    /** Has lines drawn elsewhere than on the standard output. */
    static void drawTo(Output other) {
        output = other;
    }

    /**
     * Shows how much is done.
     *
     * @param done the amount that is done; when it is the total, the line is ended
     */
    public void update(long done) {
        latest = done;
        boolean last = total > 0 && done >= total;
        if (last || System.nanoTime() - drawn >= REDRAW_NANOS) draw(last);
    }

    private void draw(boolean last) {
        drawn = System.nanoTime();
        ended = last;
        output.draw(this, line(latest, (drawn - start) / 1e9), last);
    }

    private String line(long done, double seconds) {
        String time = String.format(Locale.ROOT, "%.1f s", seconds);
        if (total <= 0) return label + " " + done + ", " + time + "   ";
        int filled = (int) (WIDTH * Math.min(done, total) / total);
        return label + " [" + "#".repeat(filled) + ".".repeat(WIDTH - filled) + "] " + done + "/" + total + ", " + time
                + "   "; // over the rest of a longer line
    }

    /**
     * Counts documents as they are read.
     *
     * @param documents the documents, such as {@code dataset::forEach}
     * @return the documents, of which each updates this line
     */
    public TokenDataset.Documents counting(TokenDataset.Documents documents) {
        return consumer -> documents.forEach(document -> {
            consumer.accept(document);
            update(++counted);
        });
    }

    @Override
    public void accept(FeatureDashboard dashboard) {
        update(++counted);
    }

    /** Returns a task that holds no reference to the dashboard, so that the dashboard can be freed. */
    @Override
    public Runnable prepare(FeatureDashboard dashboard) {
        return () -> update(++counted);
    }

    /** Ends the line, with what was done at last. */
    @Override
    public void close() {
        if (!ended) draw(true);
    }

    /** {@return the label and the total} */
    @Override
    public String toString() {
        return "Progress(" + label + ", " + (total > 0 ? "of " + total : "of an unknown total") + ")";
    }
}
