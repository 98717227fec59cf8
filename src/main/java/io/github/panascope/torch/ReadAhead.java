package io.github.panascope.torch;

import io.github.panascope.RunInterruptedException;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * Reads what a device makes, each while the device is at work on the next: so it is waited for once each time, and
 * always has something to do. In order, and confined to a thread. Closing it reads the last one, unless something was
 * thrown before.
 */
public final class ReadAhead implements AutoCloseable {
    private final String doing;
    private Transfer running;
    private Consumer<Tensor> reader;
    private boolean failed;

    /**
     * Nothing is asked for yet.
     *
     * @param doing what this is for, such as {@code making dashboards}: for {@link RunInterruptedException}
     */
    public ReadAhead(String doing) {
        this.doing = doing;
    }

    /**
     * Asks the device for a tensor, then reads the one before.
     *
     * @param made   makes the tensor, of any dtype; what else it makes is freed
     * @param reader gets its copy on the CPU, row-major, when the next one is asked for or this is closed; the copy
     *     ends with the call
     * @throws RunInterruptedException if the thread was interrupted; then nothing is asked for
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

    @Override
    public void close() {
        if (!failed) read();
        else if (running != null) running.close();
    }
}
