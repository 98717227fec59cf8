package io.github.panascope.dashboard;

import io.github.panascope.RunInterruptedException;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.ReadAhead;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * One call of {@link Dashboards#forEach}: the distribution of features over threads, and the memory of each thread. On
 * the CPU, a worker takes one group of neighbouring features at a time. On a device, the calling thread requests the
 * logits of many features, while workers summarize the features of the previous copy. The calling thread runs the
 * prepared tasks of the sink, in ascending order of features.
 */
final class DashboardRun implements AutoCloseable {
    /**
     * The most activations that are held in memory, 8 bytes each; a batch has as many features as fit. A single feature
     * may have more.
     */
    private static final int ENTRIES_AT_ONCE = 32 << 20;

    private static final int FEATURES_AT_ONCE = 4096;
    /** The number of features whose logits are copied from a device together: 51 MB. */
    private static final int FEATURES_IN_COPY = 256;

    private final Dashboards dashboards;
    private final int[] wanted;
    private final NeuronTables neurons;
    private final int threads;
    private final DashboardSink sink;
    private final boolean onCpu;
    /** The features among which correlated features are chosen; null for all. */
    private final int[] among;

    private final TensorScope scope = TensorScope.shared();
    private final Queue<WorkerBuffers> idle = new ConcurrentLinkedQueue<>();
    private final ExecutorService pool;

    /**
     * @param wanted  the features, ascending
     * @param chosen  the features whose dashboards are made by this run and others, ascending
     * @param neurons the tables of neurons of the wanted features
     */
    DashboardRun(
            Dashboards dashboards, int[] wanted, int[] chosen, NeuronTables neurons, int threads, DashboardSink sink) {
        this.dashboards = dashboards;
        this.wanted = wanted;
        this.neurons = neurons;
        this.threads = threads;
        this.sink = sink;
        this.onCpu = dashboards.sae.device().isCpu();
        this.among = dashboards.config.correlatedFeatures() == DashboardConfig.CorrelationScope.ALL ? null : chosen;
        this.pool = Workers.pool(threads, "panascope-dashboard");
    }

    /** The scratch buffers of one thread, reused from group to group. */
    private final class WorkerBuffers {
        final CorrelatedFeatures.Worker correlations = dashboards.correlated.new Worker();
        final float[] logits = new float[dashboards.directions.vocabulary()];
        /** The logits of a group; null on a device, where one thread computes the logits of all groups. */
        final Tensor logitsOfGroup;

        WorkerBuffers() {
            if (!onCpu) {
                logitsOfGroup = null;
                return;
            }
            try (var _ = TensorScope.open()) {
                logitsOfGroup = scope.adopt(dashboards.directions.logitsMemory());
            }
        }
    }

    void run() {
        // If more than half of the features are wanted, computing each pair of features once is less work than
        // comparing each wanted feature with all features.
        int dSae = dashboards.sae.config().dSae();
        if (among == null && wanted.length > dSae / 2)
            Workers.await(Dashboards.MAKING, () -> {
                dashboards.correlated.findAll(
                        pool, threads, batches(IntStream.range(0, dSae).toArray()));
                return null;
            });
        for (int i = 0; i < threads; i++) idle.add(new WorkerBuffers());
        for (int[] batch : batches(wanted)) {
            FeatureActivations[] columns = dashboards.corpus.columns(batch, dSae);
            if (onCpu) onCpu(columns);
            else onDevice(columns);
        }
    }

    /** Ends the threads; tasks that have not begun are dropped. */
    @Override
    public void close() {
        pool.shutdownNow();
        pool.close();
        scope.close();
    }

    /** Splits features into batches whose activations may be held in memory together. */
    private int[][] batches(int[] features) {
        int[] counts = dashboards.corpus.counts;
        List<int[]> batches = new ArrayList<>();
        for (int start = 0, end; start < features.length; start = end) {
            long entries = counts[features[start]];
            end = start + 1;
            while (end < features.length
                    && end - start < FEATURES_AT_ONCE
                    && (entries += counts[features[end]]) <= ENTRIES_AT_ONCE) end++;
            batches.add(Arrays.copyOfRange(features, start, end));
        }
        return batches.toArray(int[][]::new);
    }

    // ------------------------------------------------------------------------------------------------- on the CPU

    private void onCpu(FeatureActivations[] columns) {
        List<Future<List<Callable<Runnable>>>> running = new ArrayList<>();
        for (int start = 0, end; start < columns.length; start = end) {
            end = endOfGroup(columns, start);
            FeatureActivations[] group = Arrays.copyOfRange(columns, start, end);
            running.add(pool.submit(() -> withBuffers(buffers -> group(buffers, group))));
        }
        Workers.await(Dashboards.MAKING, () -> {
            for (int i = 0; i < running.size(); i++) {
                List<Future<Runnable>> prepared = new ArrayList<>();
                for (Callable<Runnable> rest : running.set(i, null).get()) // set(i, null) frees the result
                prepared.add(
                            dashboards.ablations == null
                                    ? CompletableFuture.completedFuture(call(rest))
                                    : pool.submit(rest));
                runInOrder(prepared);
            }
            return null;
        });
    }

    /**
     * Summarizes the features of a group.
     *
     * @return for each feature a task that prepares it for the sink. Without ablations the work is already done;
     *     ablations take long, so their tasks do the work and run on all threads
     */
    private List<Callable<Runnable>> group(WorkerBuffers buffers, FeatureActivations[] columns) {
        List<Callable<Runnable>> found = new ArrayList<>();
        int group = group(columns[0]);
        try (var _ = TensorScope.open()) {
            Tensor decoder = dashboards.directions.decoder(group).to(DType.FLOAT32);
            Tensor logits = dashboards.directions.logits(group, buffers.logitsOfGroup);
            for (FeatureActivations column : columns) {
                RunInterruptedException.check(Dashboards.MAKING); // shutting the pool down interrupts the workers
                try (var _ = TensorScope.open()) {
                    int inGroup = column.feature - group * DecoderDirections.GROUP;
                    float[] direction = decoder.select(0, inGroup).toFloats();
                    float[] own = logits == null ? null : buffers.logits;
                    if (own != null) logits.select(0, inGroup).toFloats(own);
                    FeatureDashboard dashboard = dashboards.dashboard(
                            column, neurons, buffers.correlations.of(column, among), direction, own);
                    if (dashboards.ablations != null) {
                        found.add(() -> sink.prepare(dashboards.ablations.of(dashboard, column, dashboards.corpus)));
                        continue;
                    }
                    Runnable prepared = sink.prepare(dashboard);
                    found.add(() -> prepared);
                }
            }
        }
        return found;
    }

    // ------------------------------------------------------------------------------------------------- on a device

    /**
     * Makes dashboards with as many features at a time as fit into one copy from the device. Workers summarize the
     * features of one copy while the device computes the next.
     */
    private void onDevice(FeatureActivations[] columns) {
        try (ReadAhead ahead = new ReadAhead(Dashboards.MAKING);
                TensorScope copies = TensorScope.open()) {
            Tensor memory = copies.adopt(dashboards.directions.logitsMemory());
            for (int start = 0; start < columns.length; start += FEATURES_IN_COPY) {
                FeatureActivations[] some =
                        Arrays.copyOfRange(columns, start, Math.min(columns.length, start + FEATURES_IN_COPY));
                ahead.next(() -> decoderAndLogits(some, memory), found -> summarize(some, found.toFloats()));
            }
        }
    }

    /**
     * Makes the dashboards of some features and passes them to the sink.
     *
     * @param rows the result of {@link #decoderAndLogits} for the columns
     */
    private void summarize(FeatureActivations[] columns, float[] rows) {
        int dOut = dashboards.sae.config().dOut();
        int vocabulary = dashboards.directions.exist() ? dashboards.directions.vocabulary() : 0;
        List<Future<FeatureDashboard>> running = new ArrayList<>();
        for (int i = 0; i < columns.length; i++) {
            FeatureActivations column = columns[i];
            int at = i * (dOut + vocabulary);
            running.add(pool.submit(() -> withBuffers(buffers -> {
                float[] direction = Arrays.copyOfRange(rows, at, at + dOut);
                float[] logits = vocabulary == 0 ? null : buffers.logits;
                if (logits != null) System.arraycopy(rows, at + dOut, logits, 0, vocabulary);
                return dashboards.dashboard(column, neurons, buffers.correlations.of(column, among), direction, logits);
            })));
        }
        Workers.await(Dashboards.MAKING, () -> {
            List<Future<Runnable>> prepared = new ArrayList<>();
            for (int i = 0; i < columns.length; i++) {
                RunInterruptedException.check(Dashboards.MAKING);
                FeatureDashboard dashboard = running.set(i, null).get();
                FeatureDashboard whole = dashboards.ablations == null
                        ? dashboard
                        : dashboards.ablations.of(dashboard, columns[i], dashboards.corpus);
                prepared.add(pool.submit(() -> sink.prepare(whole)));
            }
            runInOrder(prepared);
            return null;
        });
    }

    /**
     * Computes, for features in ascending order, the row of W_dec and the logits side by side: float32 [features, d_out
     * + d_vocab] on the device, or [features, d_out] for features without logits.
     */
    private Tensor decoderAndLogits(FeatureActivations[] columns, Tensor memory) {
        List<Tensor> decoders = new ArrayList<>();
        List<Tensor> logits = new ArrayList<>();
        for (int start = 0, end; start < columns.length; start = end) {
            int group = group(columns[start]);
            end = endOfGroup(columns, start);
            long[] inGroup = Arrays.stream(columns, start, end)
                    .mapToLong(column -> column.feature - (long) group * DecoderDirections.GROUP)
                    .toArray();
            Tensor wanted = Tensor.of(inGroup, Shape.of(inGroup.length), dashboards.sae.device());
            decoders.add(
                    dashboards.directions.decoder(group).indexSelect(0, wanted).to(DType.FLOAT32));
            Tensor ofGroup = dashboards.directions.logits(group, memory);
            if (ofGroup != null) logits.add(ofGroup.indexSelect(0, wanted).to(DType.FLOAT32));
        }
        Tensor all = Tensor.cat(0, decoders.toArray(Tensor[]::new));
        return logits.isEmpty() ? all : Tensor.cat(1, all, Tensor.cat(0, logits.toArray(Tensor[]::new)));
    }

    private static int group(FeatureActivations column) {
        return column.feature / DecoderDirections.GROUP;
    }

    /** {@return the index after the last column of the group that begins at {@code start}} */
    private static int endOfGroup(FeatureActivations[] columns, int start) {
        int end = start;
        while (end < columns.length && group(columns[end]) == group(columns[start])) end++;
        return end;
    }

    private <T> T withBuffers(Function<WorkerBuffers, T> work) {
        WorkerBuffers buffers = idle.remove();
        try {
            return work.apply(buffers);
        } finally {
            idle.add(buffers);
        }
    }

    private static void runInOrder(List<Future<Runnable>> prepared) throws ExecutionException, InterruptedException {
        for (Future<Runnable> each : prepared) {
            RunInterruptedException.check(Dashboards.MAKING);
            each.get().run();
        }
    }

    private static <T> T call(Callable<T> rest) {
        try {
            return rest.call();
        } catch (RuntimeException e) {
            throw e;
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }
}
