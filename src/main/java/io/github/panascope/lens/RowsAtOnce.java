package io.github.panascope.lens;

import io.github.panascope.torch.Device;

/**
 * How many rows of tokens run together on a device. A processor is best served by what its caches hold. A GPU needs
 * many positions at once: below some ten thousand it waits for the next kernel to be launched more than it computes.
 */
public final class RowsAtOnce {
    private static final int ON_CPU = 8;
    private static final int POSITIONS_ON_DEVICE = 32_768;

    private RowsAtOnce() {}

    /** Rows of {@code context} tokens that run together: 8 on the CPU, elsewhere as many as make 32,768 positions. */
    public static int on(Device device, long context) {
        return device.isCpu() ? ON_CPU : (int) Math.max(1, POSITIONS_ON_DEVICE / Math.max(1, context));
    }
}
