package io.github.panascope.lens;

import io.github.panascope.InputException;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The memory that a model needs, and the check that it is there before any weight is read. */
final class ModelMemory {
    private static final Pattern AVAILABLE = Pattern.compile("MemAvailable:\\s+(\\d+) kB");

    /** What a control group's memory holds of files that are mapped or were read. */
    private static final Pattern CACHED = Pattern.compile("(?m)^file (\\d{1,18})$");

    private ModelMemory() {}

    /**
     * Checks that a device has memory for a model.
     *
     * @param name    name of the model, for the message
     * @param weights number of the model's weights
     * @throws InputException if it has not
     */
    static void require(String name, long weights, DType dtype, Device device) {
        OptionalLong available = device.isCpu() ? ofHost() : ofDevice(device);
        if (available.isPresent()) require(name, weights, dtype, device, available.getAsLong());
    }

    static void require(String name, long weights, DType dtype, Device device, long available) {
        long needed = weights * dtype.bytes();
        if (needed <= available) return;
        boolean half = dtype == DType.FLOAT32 && needed / 2 <= available;
        throw new InputException("model " + name + " needs " + gigabytes(needed) + " in " + dtype + ", and " + device
                + " has " + gigabytes(available) + " of memory for it: "
                + (half
                        ? "bfloat16 needs half of that (--dtype bfloat16)."
                        : "take a smaller model, or a machine with more memory."));
    }

    private static String gigabytes(long bytes) {
        return String.format(Locale.ROOT, "%.1f GB", bytes / 1e9);
    }

    private static OptionalLong ofDevice(Device device) {
        long total = device.describe().totalBytes();
        return total == 0
                ? OptionalLong.empty()
                : OptionalLong.of(total - device.memory().allocatedBytes());
    }

    /**
     * Returns how many bytes the system can give without swapping, within the limit of the control group; empty where
     * the system does not tell. What only caches files counts as available.
     */
    private static OptionalLong ofHost() {
        Matcher system = AVAILABLE.matcher(text("/proc/meminfo"));
        if (!system.find()) return OptionalLong.empty();
        long available = Long.parseLong(system.group(1)) * 1024;
        long limit = number("/sys/fs/cgroup/memory.max");
        if (limit < 0) return OptionalLong.of(available);
        Matcher cached = CACHED.matcher(text("/sys/fs/cgroup/memory.stat"));
        long files = cached.find() ? Long.parseLong(cached.group(1)) : 0;
        return OptionalLong.of(Math.min(available, limit - number("/sys/fs/cgroup/memory.current") + files));
    }

    /** Returns the number in a file of the system; -1 if there is none. */
    private static long number(String file) {
        String bytes = text(file).strip();
        return bytes.matches("\\d{1,18}") ? Long.parseLong(bytes) : -1;
    }

    /** Returns the content of a file of the system; empty if there is none. */
    private static String text(String file) {
        try {
            return Files.readString(Path.of(file));
        } catch (IOException e) {
            return "";
        }
    }
}
