package io.github.panascope.torch;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Thrown when the host or a device has no memory left for a tensor. Existing tensors stay valid: work can continue once
 * tensors are freed, or with fewer rows at once.
 */
public final class TorchOutOfMemoryException extends TorchException {
    private static final long serialVersionUID = 1L;
    /**
     * Matches the amount in libtorch's message, which alone contains it: bytes on the host, a rounded amount on a
     * device.
     */
    private static final Pattern ASKED = Pattern.compile("(?:[Tt]ried to allocate) ([0-9.]+) (bytes|KiB|MiB|GiB)");

    private static final Pattern GPU = Pattern.compile("GPU (\\d+)");
    private static final Pattern RESIDENT = Pattern.compile("VmRSS:\\s+(\\d+) kB");

    /** The device whose memory is used up. */
    private final transient Device device;
    /** The bytes that were requested; 0 if unknown. */
    private final long requestedBytes;
    /** The bytes that were in use; 0 if unknown. */
    private final long usedBytes;

    private TorchOutOfMemoryException(String message, Device device, long requestedBytes, long usedBytes) {
        super(message);
        this.device = device;
        this.requestedBytes = requestedBytes;
        this.usedBytes = usedBytes;
    }

    /** Makes the exception from the operation that failed and from libtorch's message. */
    static TorchOutOfMemoryException of(String what, String words) {
        Matcher gpu = GPU.matcher(words);
        Device device = words.contains("CUDA")
                ? new Device(Device.Type.CUDA, gpu.find() ? Integer.parseInt(gpu.group(1)) : 0)
                : Device.CPU;
        long requested = requested(words);
        long used = 0;
        String state;
        if (device.isCpu()) {
            used = resident();
            state = used == 0 ? "" : "; this process uses " + amount(used);
        } else {
            Device.Memory memory = device.memory();
            used = memory.allocatedBytes();
            state = "; tensors use " + amount(used)
                    + (memory.totalBytes() == 0 ? "" : " of " + amount(memory.totalBytes()));
        }
        String asked = requested == 0 ? " (" + words + ")" : ": " + amount(requested) + " more were asked for";
        String message = what + ": " + (device.isCpu() ? "the host" : device) + " is out of memory" + asked + state
                + ". Fewer rows at once need less, and bfloat16 needs half";
        return new TorchOutOfMemoryException(message, device, requested, used);
    }

    private static long requested(String words) {
        Matcher asked = ASKED.matcher(words);
        if (!asked.find()) return 0;
        double number = Double.parseDouble(asked.group(1));
        return Math.round(
                switch (asked.group(2)) {
                    case "KiB" -> number * (1L << 10);
                    case "MiB" -> number * (1L << 20);
                    case "GiB" -> number * (1L << 30);
                    default -> number;
                });
    }

    private static long resident() {
        try {
            Matcher found = RESIDENT.matcher(Files.readString(Path.of("/proc/self/status")));
            return found.find() ? Long.parseLong(found.group(1)) << 10 : 0;
        } catch (IOException e) {
            return 0; // no such file on this system
        }
    }

    private static String amount(long bytes) {
        if (bytes < 1 << 20) return bytes + " bytes";
        return bytes < 1 << 30
                ? String.format(Locale.ROOT, "%.1f MiB", bytes / 0x1p20)
                : String.format(Locale.ROOT, "%.2f GiB", bytes / 0x1p30);
    }

    /** {@return the device whose memory is used up; the CPU for the host} */
    public Device device() {
        return device;
    }

    /**
     * Returns how much memory was requested.
     *
     * @return bytes, to the three digits that libtorch gives for a device; 0 if unknown
     */
    public long requestedBytes() {
        return requestedBytes;
    }

    /**
     * Returns how much memory was in use: by tensors on a device, by this process on the host.
     *
     * @return bytes; 0 if unknown
     */
    public long usedBytes() {
        return usedBytes;
    }
}
