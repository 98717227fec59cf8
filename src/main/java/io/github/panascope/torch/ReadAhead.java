package io.github.panascope.torch;

import io.github.panascope.RunInterruptedException;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * Reads the results of a device one step behind: each result is read while the device computes the next one, so that
 * the device always has work, and each step waits for it once. Results are read in order. Confined to a thread. Closing
 * it reads the last result, unless an exception was thrown before.
 *
 * <pre>{@code
 * try (TensorScope scope = TensorScope.open();
 *         ReadAhead results = new ReadAhead("squaring numbers")) {
 *     for (int i = 1; i <= 3; i++) {
 *         Tensor x = Tensor.of(new float[] {i}, Shape.of(1), Device.best());
 *         results.next(() -> x.mul(x), square -> System.out.println(square.item())); // 1.0 4.0 9.0
 *     }
 * }
 * }</pre>
 */
public final class ReadAhead implements AutoCloseable {
    private final String doing;
    private Transfer running;
    private Consumer<Tensor> reader;
    private boolean failed;

    /**
     * Makes an empty pipeline.
     *
     * @param doing what the work is, such as {@code making dashboards}, for the message of
     *     {@link RunInterruptedException}
     */
    public ReadAhead(String doing) {
        this.doing = doing;
    }

    /**
     * Starts the computation of a result, then reads the one before it.
     *
     * @param made   computes the result, of any dtype; other tensors that it makes are freed
     * @param reader called with a row-major copy of the result on the CPU, in the next call of this method or when this
     *     is closed; the copy is freed after the reader returns
     * @throws RunInterruptedException if the thread was interrupted; then nothing is computed
     */
    public void next(Supplier<Tensor> made, Consumer<Tensor> reader) {
        boolean before = failed;
        failed = true;
        RunInterruptedException.check(doing);
        Transfer next;
        try (var _ = TensorScope.open()) {
            next = made.get().transferToHost();
        }
        try {
            read();
        } catch (RuntimeException | Error e) {
            next.close();
            throw e;
        }
        this.running = next;
        this.reader = reader;
        failed = before;
    }

    private void read() {
        if (running == null) return;
        try (Transfer arriving = running;
                var _ = TensorScope.open()) {
            running = null;
            reader.accept(arriving.await());
        }
    }

    /** Reads the last result, or discards it if an exception was thrown before. */
    @Override
    public void close() {
        if (!failed) read();
        else if (running != null) running.close();
    }
}
