package io.github.panascope.lens;

import io.github.panascope.torch.Device;

/**
 * The number of rows of tokens that run together on a device. A CPU works best on what its caches hold. A GPU needs
 * many positions at once: below some ten thousand it spends more time waiting for kernel launches than computing.
 */
public final class RowsAtOnce {
    private static final int ON_CPU = 8;
    private static final int POSITIONS_ON_DEVICE = 32_768;

    private RowsAtOnce() {}

    /**
     * Computes how many rows run together: 8 on the CPU, elsewhere as many as make 32,768 positions, and at least 1.
     *
     * @param device  the device of the model
     * @param context the number of tokens in a row
     * @return the number of rows
     */
    public static int on(Device device, long context) {
        return device.isCpu() ? ON_CPU : (int) Math.max(1, POSITIONS_ON_DEVICE / Math.max(1, context));
    }
}
