package io.github.panascope.torch;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The host or a device has no memory left for a tensor. Nothing that was there before is lost: once tensors are freed,
 * or with fewer rows at once, work can go on.
 */
public final class TorchOutOfMemoryException extends TorchException {
    private static final long serialVersionUID = 1L;
    /** libtorch says it only in words: bytes on the host, a rounded amount on a device. */
    private static final Pattern ASKED = Pattern.compile("(?:[Tt]ried to allocate) ([0-9.]+) (bytes|KiB|MiB|GiB)");

    private static final Pattern GPU = Pattern.compile("GPU (\\d+)");
    private static final Pattern RESIDENT = Pattern.compile("VmRSS:\\s+(\\d+) kB");

    private final transient Device device;
    private final long requestedBytes;
    private final long usedBytes;

    private TorchOutOfMemoryException(String message, Device device, long requestedBytes, long usedBytes) {
        super(message);
        this.device = device;
        this.requestedBytes = requestedBytes;
        this.usedBytes = usedBytes;
    }

    /** From what was being done, and from libtorch's words. */
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

    /** Whose memory is used up. */
    public Device device() {
        return device;
    }

    /** How much was asked for, in bytes, to the three digits that libtorch gives for a device; 0 if it does not say. */
    public long requestedBytes() {
        return requestedBytes;
    }

    /** How much was in use, in bytes: of a device by tensors, of the host by this process. 0 if nothing says. */
    public long usedBytes() {
        return usedBytes;
    }
}
