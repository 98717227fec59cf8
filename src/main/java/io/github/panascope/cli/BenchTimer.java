package io.github.panascope.cli;

import io.github.panascope.torch.Device;
import io.github.panascope.torch.TensorScope;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/** Times work on a device, prints the times, and keeps them under stable names. */
final class BenchTimer {
    static final double GIGA = 1e9;

    private final Device device;
    private final int repeats;
    private final Map<String, Object> results = new LinkedHashMap<>();

    BenchTimer(Device device, int repeats) {
        this.device = device;
        this.repeats = repeats;
    }

    int repeats() {
        return repeats;
    }

    /** Returns the measured values by name. */
    Map<String, Object> results() {
        return results;
    }

    void put(String name, Object value) {
        results.put(name, value);
    }

    /** The median, the smallest and the largest of several times, in seconds. */
    record Timing(double seconds, double least, double most) {}

    /** Runs work in a scope that frees its tensors afterwards. */
    static void scoped(Runnable work) {
        try (var _ = TensorScope.open()) {
            work.run();
        }
    }

    /** Returns the seconds that work takes, the work that it queues on the device included. */
    double seconds(Runnable work) {
        device.synchronize(); // waits for work that was queued before
        long start = System.nanoTime();
        work.run();
        device.synchronize();
        return (System.nanoTime() - start) / GIGA;
    }

    /** Times work several times, after a first run for warming up. */
    Timing time(Runnable work) {
        double[] times = new double[repeats];
        scoped(work);
        for (int i = 0; i < repeats; i++) times[i] = seconds(() -> scoped(work));
        Arrays.sort(times);
        return new Timing(times[repeats / 2], times[0], times[repeats - 1]);
    }

    /** Prints a line with a result and keeps its median. */
    void line(String name, Timing timing, String more) {
        System.out.printf(
                Locale.ROOT,
                "  %-28s %8.3f s  (%.3f to %.3f)  %s%n",
                name,
                timing.seconds,
                timing.least,
                timing.most,
                more);
        put(name.replaceAll("[ ,]+", "_"), timing.seconds);
    }
}
