package io.github.panascope.torch;

import io.github.panascope.bindings.Psc;

/**
 * Where a tensor's memory lies.
 *
 * @param type  kind of device
 * @param index which one of its kind, from 0; always 0 on the CPU
 */
public record Device(Type type, int index) {
    /** Kinds of devices. */
    public enum Type { CPU, CUDA, MPS }

    /** The CPU. */
    public static final Device CPU = new Device(Type.CPU, 0);
    /** The first CUDA device; that it can be used is for {@link #count} to say. */
    public static final Device CUDA = new Device(Type.CUDA, 0);
    /** Apple's GPU; that it can be used is for {@link #count} to say. */
    public static final Device MPS = new Device(Type.MPS, 0);

    /** Checks that the index is not negative. */
    public Device {
        if (index < 0) throw new IllegalArgumentException("a device index must not be negative: " + index);
    }

    /** How many devices of a kind can be used now. */
    public static int count(Type type) {
        NativeLibrary.load();
        try (Scratch scratch = Scratch.open()) {
            var count = scratch.ints(1);
            Native.check(Psc.psc_device_count(code(type), count), "looking for " + type + " devices");
            return count.get(java.lang.foreign.ValueLayout.JAVA_INT, 0);
        }
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
            case CPU -> "the CPU has index 0 only";
            case CUDA -> !Torch.description().contains("USE_CUDA=ON") && !Torch.description().contains("USE_CUDA=1")
                    ? "this libtorch is built without CUDA (point LIBTORCH at one that has it)"
                    : count + " CUDA devices are visible; check the NVIDIA driver and CUDA_VISIBLE_DEVICES";
            case MPS -> "MPS exists only in libtorch for macOS";
        };
        throw new IllegalArgumentException("device " + this + " cannot be used: " + reason);
    }

    int code() {
        return code(type);
    }

    static Device ofCode(int type, int index) {
        return type == Psc.PSC_DEVICE_CPU() ? CPU : new Device(type == Psc.PSC_DEVICE_CUDA() ? Type.CUDA : Type.MPS, index);
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
        return type == Type.CUDA ? "cuda:" + index : type.name().toLowerCase(java.util.Locale.ROOT);
    }
}
