package io.github.panascope.dashboard;

import io.github.panascope.dashboard.FeatureDashboard.Entry;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;

/**
 * The features that correlate most with each feature of an SAE. If most features are wanted, {@link #findAll} computes
 * each pair once. The sums are then equal to those of the computation for a single feature, because products of two
 * floats are exact as doubles and positions are added in the same order.
 */
final class CorrelatedFeatures {
    private final StoredActivations corpus;
    private final double[] spreads;
    private final int wanted;
    /** The most correlated features of every feature, among all features; null before {@link #findAll}. */
    private volatile TopK[] known;

    /** @param wanted the number of correlated features that are listed for a feature */
    CorrelatedFeatures(StoredActivations corpus, int wanted) {
        this.corpus = corpus;
        this.spreads = corpus.spreads;
        this.wanted = wanted;
    }

    /** Scratch buffers of one thread, reused from feature to feature. */
    final class Worker {
        private final double[] products = new double[spreads.length];
        private final double[] pearson = new double[spreads.length];
        private final TopK best = new TopK(wanted);

        /**
         * Returns the features that correlate most with a feature: number, Pearson's correlation and cosine.
         *
         * @param among the features to choose from; null for all
         */
        List<Entry> of(FeatureActivations column, int[] among) {
            TopK[] found = known;
            if (found != null) return entries(found[column.feature], column.feature);
            if (column.size == 0) return List.of();
            Arrays.fill(products, 0);
            corpus.addProducts(column, products, 0);
            if (among == null) correlate(column.feature, 0);
            else for (int other : among) pearson[other] = pearson(column.feature, other);
            best.clear();
            for (int i = 0, count = among == null ? pearson.length : among.length; i < count; i++) {
                int other = among == null ? i : among[i];
                if (pearson[other] >= best.least() && counts(column.feature, other))
                    best.offer(other, pearson[other], products[other]);
            }
            return entries(best, column.feature);
        }

        /**
         * Offers each pair of a feature and a later feature to the lists of both.
         *
         * @param lists the most correlated features of every feature so far
         * @param least {@link TopK#least} of every list in one array, because each pair is compared with two of them
         */
        private void pairs(FeatureActivations column, TopK[] lists, double[] least) {
            int feature = column.feature;
            int next = feature + 1;
            if (column.size == 0) return;
            Arrays.fill(products, next, products.length, 0);
            corpus.addProducts(column, products, next);
            correlate(feature, next);
            for (int other = next; other < pearson.length; other++) {
                if (!(pearson[other] >= least[other] || pearson[other] >= least[feature]) || !counts(feature, other))
                    continue;
                lists[feature].offer(other, pearson[other], products[other]);
                lists[other].offer(feature, pearson[other], products[other]);
                least[feature] = lists[feature].least();
                least[other] = lists[other].least();
            }
        }

        /**
         * Computes Pearson's correlation with all features from {@code first} on, as {@link #pearson(int, int)} does.
         * The loop is separate so that the compiler vectorizes it.
         */
        private void correlate(int feature, int first) {
            double n = corpus.positions;
            double x = corpus.sums[feature];
            double spread = spreads[feature];
            double[] sums = corpus.sums;
            for (int other = first; other < pearson.length; other++)
                pearson[other] =
                        (n * products[other] - x * sums[other]) / (spread * spreads[other] + StoredActivations.EPSILON);
        }

        /**
         * Computes SAEDashboard's correlation over all positions: (nΣxy − ΣxΣy) / (the product of the spreads + 1e-6).
         */
        private double pearson(int feature, int other) {
            return (corpus.positions * products[other] - corpus.sums[feature] * corpus.sums[other])
                    / (spreads[feature] * spreads[other] + StoredActivations.EPSILON);
        }
    }

    /** {@return whether a feature may be listed: it is another feature, and it fires at least once} */
    private boolean counts(int feature, int other) {
        return other != feature && corpus.counts[other] != 0;
    }

    private List<Entry> entries(TopK best, int feature) {
        double xx = corpus.squares[feature];
        return IntStream.range(0, best.size())
                .mapToObj(i -> new Entry(
                        best.index(i),
                        best.value(i),
                        best.attached(i) / (Math.sqrt(xx * corpus.squares[best.index(i)]) + StoredActivations.EPSILON)))
                .toList();
    }

    /**
     * Computes the most correlated features of all features, among all features. This happens once; other threads wait
     * for it.
     *
     * @param batches all features, in groups whose activations fit into memory together
     */
    synchronized void findAll(ExecutorService pool, int threads, int[][] batches)
            throws InterruptedException, ExecutionException {
        if (known != null) return;
        TopK[][] lists = new TopK[threads][spreads.length];
        double[][] least = new double[threads][spreads.length];
        List<Worker> workers =
                IntStream.range(0, threads).mapToObj(_ -> new Worker()).toList();
        for (int w = 0; w < threads; w++) {
            Arrays.setAll(lists[w], _ -> new TopK(wanted));
            Arrays.fill(least[w], new TopK(wanted).least());
        }
        for (int[] batch : batches) {
            FeatureActivations[] columns = corpus.columns(batch, spreads.length);
            AtomicInteger next = new AtomicInteger();
            List<Future<?>> running = new ArrayList<>();
            for (int w = 0; w < threads; w++) {
                int own = w;
                running.add(pool.submit(() -> {
                    for (int i = next.getAndIncrement();
                            i < columns.length && !Thread.currentThread().isInterrupted();
                            i = next.getAndIncrement()) workers.get(own).pairs(columns[i], lists[own], least[own]);
                }));
            }
            for (Future<?> each : running) each.get();
        }
        for (int w = 1; w < threads; w++)
            for (int feature = 0; feature < spreads.length; feature++) lists[0][feature].offerAll(lists[w][feature]);
        known = lists[0];
    }
}
