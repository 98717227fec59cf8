package io.github.panascope.cli;

import io.github.panascope.hub.Hub;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/** A progress bar for all downloads that run at the same time, counted in bytes. */
final class Downloads implements Hub.Progress {
    private final Map<String, long[]> files = new LinkedHashMap<>();
    private final boolean quiet;
    private Progress bar;

    Downloads(boolean quiet) {
        this.quiet = quiet;
    }

    @Override
    public synchronized void begin(String repo, int count, long bytes) {
        String size = bytes < 0 ? "" : String.format(Locale.ROOT, ", %.1f MB", bytes / 1e6);
        if (!quiet) System.err.println("Downloading " + repo + ": " + count + (count == 1 ? " file" : " files") + size);
    }

    @Override
    public synchronized void update(String file, long done, long total) {
        files.put(file, new long[] {done, total});
        if (bar == null) bar = new Progress("Downloading", Progress.Unit.BYTES, quiet);
        boolean known = files.values().stream().allMatch(each -> each[1] >= 0);
        long all = files.values().stream().mapToLong(each -> each[0]).sum();
        bar.update(
                files.size() == 1 ? file : files.size() + " files",
                all,
                known ? files.values().stream().mapToLong(each -> each[1]).sum() : 0);
        if (files.values().stream().allMatch(each -> each[0] == each[1])) { // all are finished
            bar.close();
            bar = null;
            files.clear();
        }
    }
}
