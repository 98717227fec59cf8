package io.github.panascope.cli;

import io.github.panascope.InputException;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.model.WeightProcessing;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Supplier;

/**
 * A measurement of loading: its time beside that of reading the same file into memory, and its memory beyond the pages
 * of the file. The files have the shapes of published models; they are written before and deleted afterwards. Reading
 * and loading alternate, and both find the file in the page cache.
 */
final class LoadBench {
    private static final int ROUNDS = 5;
    private static final double MB = 1e6;

    /** The number of layers and the width of each model. */
    private static final Map<String, int[]> SIZES = Map.of(
            "gpt2-small",
            new int[] {12, 768},
            "gpt2-medium",
            new int[] {24, 1024},
            "gpt2-large",
            new int[] {36, 1280},
            "gpt2-xl",
            new int[] {48, 1600});

    private LoadBench() {}

    /** Prints a line for each way of loading a model of a size, and for an SAE of 24,576 features. */
    static void run(String model) {
        int[] size = SIZES.get(model);
        if (size == null)
            throw new InputException(
                    "--bench should be gpt2-small, gpt2-medium, gpt2-large or gpt2-xl, not '" + model + "'.");
        Path folder = null;
        try {
            folder = Files.createTempDirectory("panascope-bench");
            long bytes = BenchCase.writeModel(folder, size[0], size[1]);
            String path = folder.toString();
            System.out.printf(
                    Locale.ROOT, "%n%s-sized weights, %.0f MB in float32; medians of %d%n", model, bytes / MB, ROUNDS);
            for (WeightProcessing processing : List.of(WeightProcessing.NONE, WeightProcessing.DEFAULT)) {
                var options = HookedTransformer.Options.DEFAULT.processing(processing);
                compare(
                        processing == WeightProcessing.NONE ? "mapped, as they are" : "processed",
                        folder.resolve("model.safetensors"),
                        bytes,
                        () -> HookedTransformer.fromPretrained(path, options));
            }
            bytes = BenchCase.writeSae(folder, size[1], 0);
            System.out.printf(Locale.ROOT, "an SAE of %d features on it, %.0f MB%n", BenchCase.FEATURES, bytes / MB);
            compare("mapped", folder.resolve("sae_weights.safetensors"), bytes, () -> Sae.fromPretrained(path));
        } catch (IOException e) {
            throw new UncheckedIOException("the files for --bench cannot be written: " + e.getMessage(), e);
        } finally {
            if (folder != null) BenchCase.delete(folder);
        }
    }

    private static void compare(String label, Path file, long bytes, Supplier<AutoCloseable> load) throws IOException {
        double[] reading = new double[ROUNDS];
        double[] loading = new double[ROUNDS];
        long most = 0;
        for (int round = -1; round < ROUNDS; round++) { // the first round warms up
            double read = read(file);
            try (PeakMemory memory = new PeakMemory()) {
                long start = System.nanoTime();
                AutoCloseable loaded = load.get();
                double seconds = (System.nanoTime() - start) / 1e9;
                most = Math.max(most, memory.stop());
                loaded.close();
                if (round < 0) continue;
                reading[round] = read;
                loading[round] = seconds;
            } catch (IOException | RuntimeException e) {
                throw e;
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        }
        Arrays.sort(reading);
        Arrays.sort(loading);
        double read = reading[ROUNDS / 2];
        double loaded = loading[ROUNDS / 2];
        System.out.printf(
                Locale.ROOT,
                "  %-20s read %.3f s, load %.3f s: %.2f times; at most %.0f MB beside the file's pages (%.2f of its"
                        + " size)%n",
                label,
                read,
                loaded,
                loaded / read,
                most / MB,
                (double) most / bytes);
    }

    /**
     * Measures the seconds to read a file into memory, as a loader without memory mapping does. The memory comes from
     * libtorch, which does not clear it first.
     */
    private static double read(Path file) throws IOException {
        long start = System.nanoTime();
        try (var _ = TensorScope.open();
                FileChannel channel = FileChannel.open(file)) {
            Tensor.empty(DType.UINT8, Shape.of(channel.size()), Device.CPU).readFrom(channel);
        }
        return (System.nanoTime() - start) / 1e9;
    }

    /**
     * The peak of this process's memory that is not mapped from files, above its value at the start. It is sampled
     * every 2 ms.
     */
    private static final class PeakMemory implements AutoCloseable {
        private final AtomicBoolean stopped = new AtomicBoolean();
        private final long before = anonymous();
        private volatile long most = before;
        private final Thread watch = Thread.ofPlatform().daemon().start(() -> {
            while (!stopped.get()) {
                most = Math.max(most, anonymous());
                LockSupport.parkNanos(2_000_000);
            }
        });

        long stop() {
            close();
            return Math.max(most, anonymous()) - before;
        }

        private static long anonymous() {
            try {
                return Files.readAllLines(Path.of("/proc/self/status")).stream()
                        .filter(line -> line.startsWith("RssAnon:"))
                        .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) << 10)
                        .findFirst()
                        .orElse(0);
            } catch (IOException e) {
                return 0; // the file exists only on Linux
            }
        }

        @Override
        public void close() {
            stopped.set(true);
            try {
                watch.join();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
