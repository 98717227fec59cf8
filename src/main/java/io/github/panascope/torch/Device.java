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
 * A device whose memory holds tensors: the CPU or a GPU.
 *
 * <pre>{@code
 * try (TensorScope scope = TensorScope.open()) {
 *     Device device = Device.best(); // a GPU if there is one, else the CPU
 *     Tensor weights = Tensor.zeros(DType.FLOAT32, Shape.of(768, 768), device);
 *     System.out.println(weights.device() + " of " + Device.all(device.type()));
 *     Device.Memory memory = device.memory();
 *     System.out.println(memory.allocatedBytes() + " bytes in use"); // 0 on the CPU
 * }
 * }</pre>
 *
 * @param type  the kind of device
 * @param index the number of the device among those of its kind, from 0; always 0 on the CPU
 */
public record Device(Type type, int index) {
    /** Kinds of devices. */
    public enum Type {
        /** The processor, with the host's memory. */
        CPU,
        /** A GPU of NVIDIA. */
        CUDA,
        /** Apple's GPU. */
        MPS
    }

    /** The CPU. */
    public static final Device CPU = new Device(Type.CPU, 0);
    /** The first CUDA device, whether or not it can be used: see {@link #count}. */
    public static final Device CUDA = new Device(Type.CUDA, 0);
    /** Apple's GPU, whether or not it can be used: see {@link #count}. */
    public static final Device MPS = new Device(Type.MPS, 0);

    private static final Pattern NAME = Pattern.compile("(cpu|cuda|mps)(?::(\\d{1,3}))?");

    /**
     * Makes a device, whether or not it can be used.
     *
     * @throws NullPointerException if there is no type
     * @throws IllegalArgumentException if the index is negative
     */
    public Device {
        Objects.requireNonNull(type, "a device has a type: CPU, CUDA or MPS");
        if (index < 0) throw new IllegalArgumentException("a device index must not be negative: " + index);
    }

    /**
     * Reads a device's name as PyTorch writes it, in upper or lower case. Does not check that the device can be used:
     * {@link #requireUsable} does.
     *
     * @param name {@code cpu}, {@code cuda}, {@code cuda:1} or {@code mps}
     * @return the device; of index 0 if the name has none
     * @throws IllegalArgumentException if the name is not one of these
     */
    public static Device parse(String name) {
        Matcher matcher = NAME.matcher(name.strip().toLowerCase(Locale.ROOT));
        if (!matcher.matches())
            throw new IllegalArgumentException(
                    "a device is cpu, cuda, cuda:1 (or another number) or mps, not '" + name + "'");
        Type type = Type.valueOf(matcher.group(1).toUpperCase(Locale.ROOT));
        return new Device(type, matcher.group(2) == null ? 0 : Integer.parseInt(matcher.group(2)));
    }

    /**
     * Counts the devices of a kind that can be used now.
     *
     * @param type the kind of device
     * @return the number of devices
     */
    public static int count(Type type) {
        NativeLibrary.load();
        try (Scratch scratch = Scratch.open()) {
            MemorySegment count = scratch.ints(1);
            Native.check(Psc.psc_device_count(code(type), count), "looking for " + type + " devices");
            return count.get(JAVA_INT, 0);
        }
    }

    /**
     * Lists the devices of a kind that can be used now.
     *
     * @param type the kind of device
     * @return the devices, by index
     */
    public static List<Device> all(Type type) {
        return IntStream.range(0, count(type))
                .mapToObj(index -> new Device(type, index))
                .toList();
    }

    /**
     * The driver's description of a device.
     *
     * @param name       the name that the driver gives it; empty where it is unknown, and for the CPU
     * @param totalBytes the size of its memory, in bytes; 0 where it is unknown, and for the CPU
     */
    public record Description(String name, long totalBytes) {}

    /**
     * Asks the driver for this device's name and memory size.
     *
     * @return the description
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
     * The memory of a device that libtorch uses for the whole process; all 0 on the CPU, whose memory libtorch does not
     * count.
     *
     * @param allocatedBytes bytes that tensors use
     * @param reservedBytes  bytes that libtorch's allocator holds for present and later tensors; {@link #trim} gives
     *     back those that no tensor uses
     * @param totalBytes     bytes that the device has; 0 where the number is unknown
     */
    public record Memory(long allocatedBytes, long reservedBytes, long totalBytes) {}

    /**
     * Asks libtorch's allocator for its totals on this device.
     *
     * @return the totals now
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
     * Gives the memory that libtorch's allocator holds and no tensor uses back to the device, for other processes.
     * Waits for the device. Does nothing on the CPU.
     */
    public void trim() {
        NativeLibrary.load();
        Native.check(Psc.psc_device_trim(code(), index), "trimming the memory of " + this);
    }

    /**
     * Waits until this device has finished all work queued on it; does nothing on the CPU. Only time measurements need
     * it.
     */
    public void synchronize() {
        NativeLibrary.load();
        Native.check(Psc.psc_device_synchronize(code(), index), "waiting for " + this);
    }

    /** {@return whether this is the CPU, whose memory Java can read} */
    public boolean isCpu() {
        return type == Type.CPU;
    }

    /**
     * Chooses a device that can be used: MPS if there is one, else CUDA, else the CPU.
     *
     * @return the device, of index 0
     */
    public static Device best() {
        return count(Type.MPS) > 0 ? MPS : count(Type.CUDA) > 0 ? CUDA : CPU;
    }

    /**
     * Checks that this device can be used now. Panascope never falls back to another device silently.
     *
     * @return this device
     * @throws IllegalArgumentException if it cannot be used; the message says why
     */
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

    /** Returns index and driver's name for messages, such as {@code cuda:0 (NAME)}. */
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

    /** {@return the name as PyTorch writes it: {@code cpu}, {@code cuda:0}} */
    @Override
    public String toString() {
        return type == Type.CUDA || index > 0
                ? type.name().toLowerCase(Locale.ROOT) + ":" + index
                : type.name().toLowerCase(Locale.ROOT);
    }
}
