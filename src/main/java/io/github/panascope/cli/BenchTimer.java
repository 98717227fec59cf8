package io.github.panascope.cli;

import io.github.panascope.torch.Device;
import io.github.panascope.torch.TensorScope;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/** Times work on a device, prints what it took, and keeps it under stable names. */
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

    /** What was measured, by name. */
    Map<String, Object> results() {
        return results;
    }

    void put(String name, Object value) {
        results.put(name, value);
    }

    /** Seconds: the median, the least and the most. */
    record Timing(double seconds, double least, double most) {}

    /** Runs work whose tensors are freed after it. */
    static void scoped(Runnable work) {
        try (var _ = TensorScope.open()) {
            work.run();
        }
    }

    /** The seconds that work takes, with what it asks of the device. */
    double seconds(Runnable work) {
        device.synchronize(); // which ends what it was asked to do before
        long start = System.nanoTime();
        work.run();
        device.synchronize();
        return (System.nanoTime() - start) / GIGA;
    }

    /** Times work several times, after a first one that warms up. */
    Timing time(Runnable work) {
        double[] times = new double[repeats];
        scoped(work);
        for (int i = 0; i < repeats; i++) times[i] = seconds(() -> scoped(work));
        Arrays.sort(times);
        return new Timing(times[repeats / 2], times[0], times[repeats - 1]);
    }

    /** Prints and keeps a result. */
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
