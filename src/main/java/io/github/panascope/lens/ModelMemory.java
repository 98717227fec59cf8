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
        for (String limit : new String[] {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
            String bytes = text(limit).strip();
            if (bytes.matches("\\d{1,18}")) available = Math.min(available, Long.parseLong(bytes));
        }
        return OptionalLong.of(available);
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
