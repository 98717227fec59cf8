package io.github.panascope.metrics;

import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Transfer;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * Reads what batches come to, each while the device is at work on the next one: so it is waited for once a batch, and has always something to do. In order; confined
 * to a thread. Closing waits for the last one, unless something was thrown.
 */
final class Readings implements AutoCloseable {
    private Transfer running;
    private Consumer<double[]> reader;
    private boolean failed = true;

    /**
     * Asks the device for a batch, then reads the one before.
     *
     * @param batch  makes a tensor on the device; what else it makes is freed
     * @param reader gets its elements, when the next batch is asked for
     */
    void next(Supplier<Tensor> batch, Consumer<double[]> reader) {
        failed = true;
        Transfer next;
        try (var _ = TensorScope.open()) {
            next = batch.get().transferToHost();
        }
        try {
            read();
        } catch (RuntimeException | Error e) {
            next.close();
            throw e;
        }
        this.running = next;
        this.reader = reader;
        failed = false;
    }

    private void read() {
        if (running == null) return;
        double[] found;
        try (Transfer arriving = running; var _ = TensorScope.open()) {
            running = null;
            found = arriving.await().toDoubles();
        }
        reader.accept(found);
    }

    @Override
    public void close() {
        if (failed) {
            if (running != null) running.close();
        } else {
            read();
        }
    }
}
