package io.github.panascope.torch;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.github.panascope.bindings.Psc;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Where a tensor's memory lies.
 *
 * @param type  kind of device
 * @param index which one of its kind, from 0; always 0 on the CPU
 */
public record Device(Type type, int index) {
    /** Kinds of devices. */
    public enum Type {
        CPU,
        CUDA,
        MPS
    }

    /** The CPU. */
    public static final Device CPU = new Device(Type.CPU, 0);
    /** The first CUDA device; that it can be used is for {@link #count} to say. */
    public static final Device CUDA = new Device(Type.CUDA, 0);
    /** Apple's GPU; that it can be used is for {@link #count} to say. */
    public static final Device MPS = new Device(Type.MPS, 0);

    private static final Pattern NAME = Pattern.compile("(cpu|cuda|mps)(?::(\\d{1,3}))?");

    /** Checks that the index is not negative. */
    public Device {
        Objects.requireNonNull(type, "a device has a type: CPU, CUDA or MPS");
        if (index < 0) throw new IllegalArgumentException("a device index must not be negative: " + index);
    }

    /**
     * The device of a name as PyTorch writes it: {@code cpu}, {@code cuda}, {@code cuda:1}, {@code mps}; upper or lower
     * case. That it can be used is for {@link #requireUsable} to say.
     *
     * @throws IllegalArgumentException if it is no such name
     */
    public static Device parse(String name) {
        Matcher matcher = NAME.matcher(name.strip().toLowerCase(Locale.ROOT));
        if (!matcher.matches())
            throw new IllegalArgumentException(
                    "a device is cpu, cuda, cuda:1 (or another number) or mps, not '" + name + "'");
        Type type = Type.valueOf(matcher.group(1).toUpperCase(Locale.ROOT));
        return new Device(type, matcher.group(2) == null ? 0 : Integer.parseInt(matcher.group(2)));
    }

    /** How many devices of a kind can be used now. */
    public static int count(Type type) {
        NativeLibrary.load();
        try (Scratch scratch = Scratch.open()) {
            MemorySegment count = scratch.ints(1);
            Native.check(Psc.psc_device_count(code(type), count), "looking for " + type + " devices");
            return count.get(JAVA_INT, 0);
        }
    }

    /** The devices of a kind that can be used now, by index. */
    public static List<Device> all(Type type) {
        return IntStream.range(0, count(type))
                .mapToObj(index -> new Device(type, index))
                .toList();
    }

    /**
     * What a device is.
     *
     * @param name       as its driver calls it; empty where nothing says, and for the CPU
     * @param totalBytes of its memory; 0 where nothing says, and for the CPU
     */
    public record Description(String name, long totalBytes) {}

    /**
     * Asks the driver what this device is.
     *
     * @throws IndexOutOfBoundsException if there is no such device
     */
    public Description describe() {
        NativeLibrary.load();
        try (Scratch scratch = Scratch.open()) {
            MemorySegment name = scratch.pointer();
            MemorySegment bytes = scratch.longs(0);
            Native.check(Psc.psc_device_describe(code(), index, name, bytes), "describing " + this);
            return new Description(Native.text(name.get(ADDRESS, 0)), bytes.get(JAVA_LONG, 0));
        }
    }

    /**
     * How much of a device's memory libtorch uses, for the whole process; all 0 on the CPU, whose memory libtorch does
     * not count.
     *
     * @param allocatedBytes that tensors use
     * @param reservedBytes  that libtorch's allocator holds for them and for later ones; {@link #trim} gives back what
     *     no tensor uses
     * @param totalBytes     that the device has; 0 where nothing says
     */
    public record Memory(long allocatedBytes, long reservedBytes, long totalBytes) {}

    /**
     * Asks libtorch's allocator for its totals on this device.
     *
     * @throws IndexOutOfBoundsException if there is no such device
     */
    public Memory memory() {
        long total = describe().totalBytes();
        try (Scratch scratch = Scratch.open()) {
            MemorySegment allocated = scratch.longs(0);
            MemorySegment reserved = scratch.longs(0);
            Native.check(Psc.psc_device_memory(code(), index, allocated, reserved), "asking for the memory of " + this);
            return new Memory(allocated.get(JAVA_LONG, 0), reserved.get(JAVA_LONG, 0), total);
        }
    }

    /**
     * Gives back to the device, for other processes, what libtorch's allocator holds and no tensor uses; does nothing
     * on the CPU. Waits for the device.
     */
    public void trim() {
        NativeLibrary.load();
        Native.check(Psc.psc_device_trim(code(), index), "trimming the memory of " + this);
    }

    /**
     * Waits until this device has done all that it was asked to; does nothing on the CPU. For measuring: nothing else
     * needs it.
     */
    public void synchronize() {
        NativeLibrary.load();
        Native.check(Psc.psc_device_synchronize(code(), index), "waiting for " + this);
    }

    /** Whether this is the processor, whose memory Java sees. */
    public boolean isCpu() {
        return type == Type.CPU;
    }

    /** The best device that can be used: MPS, else CUDA, else the CPU. */
    public static Device best() {
        return count(Type.MPS) > 0 ? MPS : count(Type.CUDA) > 0 ? CUDA : CPU;
    }

    /** This device, if it can be used now. Nothing ever falls back to another one in silence. */
    public Device requireUsable() {
        int count = count(type);
        if (index < count) return this;
        String reason = switch (type) {
            case CPU -> "there is only one, cpu";
            case CUDA ->
                count > 0
                        ? "there " + (count == 1 ? "is " : "are ")
                                + all(type).stream().map(Device::named).collect(Collectors.joining(", "))
                        : !Torch.description().contains("USE_CUDA=ON")
                                        && !Torch.description().contains("USE_CUDA=1")
                                ? "this libtorch is built without CUDA (point LIBTORCH at one that has it)"
                                : "no CUDA device is visible; check the NVIDIA driver and CUDA_VISIBLE_DEVICES";
            case MPS -> "MPS exists only in libtorch for macOS";
        };
        throw new IllegalArgumentException("device " + this + " cannot be used: " + reason);
    }

    /** For messages: cuda:0 (its name). */
    private String named() {
        String name = describe().name();
        return name.isEmpty() ? toString() : this + " (" + name + ")";
    }

    int code() {
        return code(type);
    }

    static Device ofCode(int type, int index) {
        return type == Psc.PSC_DEVICE_CPU()
                ? CPU
                : new Device(type == Psc.PSC_DEVICE_CUDA() ? Type.CUDA : Type.MPS, index);
    }

    private static int code(Type type) {
        return switch (type) {
            case CPU -> Psc.PSC_DEVICE_CPU();
            case CUDA -> Psc.PSC_DEVICE_CUDA();
            case MPS -> Psc.PSC_DEVICE_MPS();
        };
    }

    /** As PyTorch writes it: {@code cpu}, {@code cuda:0}. */
    @Override
    public String toString() {
        return type == Type.CUDA || index > 0
                ? type.name().toLowerCase(Locale.ROOT) + ":" + index
                : type.name().toLowerCase(Locale.ROOT);
    }
}
