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
 * For each feature of an SAE, the others that go along with it most. Where most features are wanted, each pair is
 * looked at once, with the sums that each of the two would have found: products of two floats are exact as doubles, and
 * positions come in the same order.
 */
final class CorrelatedFeatures {
    private final StoredActivations corpus;
    private final double[] spreads;
    private final int wanted;
    /** Of every feature; null until they are known. */
    private Lists known;

    /**
     * @param spreads of every feature, √(nΣx² − (Σx)²)
     * @param wanted  how many others
     */
    CorrelatedFeatures(StoredActivations corpus, double[] spreads, int wanted) {
        this.corpus = corpus;
        this.spreads = spreads;
        this.wanted = wanted;
    }

    /** The best of every feature, sorted: by falling correlation, of equal ones those that come first. */
    private final class Lists {
        final int[] size = new int[spreads.length];
        final int[] other = new int[spreads.length * wanted];
        final double[] pearson = new double[other.length];
        final double[] xy = new double[other.length];
        /** What a correlation has to reach to come in. */
        final double[] least = new double[spreads.length];

        Lists() {
            Arrays.fill(least, wanted == 0 ? Double.POSITIVE_INFINITY : Double.NEGATIVE_INFINITY);
        }

        void offer(int feature, int candidate, double r, double products) {
            if (!(r >= least[feature]) || r == Double.NEGATIVE_INFINITY) return;
            int first = feature * wanted;
            int at = first + size[feature];
            if (size[feature] == wanted) {
                at--;
                if (r == pearson[at] && candidate > other[at]) return;
            } else {
                size[feature]++;
            }
            for (; at > first && (pearson[at - 1] < r || pearson[at - 1] == r && other[at - 1] > candidate); at--) {
                pearson[at] = pearson[at - 1];
                other[at] = other[at - 1];
                xy[at] = xy[at - 1];
            }
            pearson[at] = r;
            other[at] = candidate;
            xy[at] = products;
            if (size[feature] == wanted) least[feature] = pearson[first + wanted - 1];
        }
    }

    /** What one thread needs for one feature after the other. */
    final class Worker {
        private final double[] products = new double[spreads.length];
        private final double[] pearson = new double[spreads.length];
        private final Lists lists = new Lists();

        /** Of one feature, among some others (null: all). */
        List<Entry> of(FeatureActivations column, int[] among) {
            if (column.size == 0 || known != null) return known == null ? List.of() : entries(known, column.feature);
            Arrays.fill(products, 0);
            corpus.addProducts(column, products, 0);
            if (among == null) correlate(column.feature, 0);
            else for (int other : among) pearson[other] = pearson(column.feature, other);
            lists.size[column.feature] = 0;
            lists.least[column.feature] = wanted == 0 ? Double.POSITIVE_INFINITY : Double.NEGATIVE_INFINITY;
            for (int i = 0, count = among == null ? pearson.length : among.length; i < count; i++) {
                int other = among == null ? i : among[i];
                if (pearson[other] >= lists.least[column.feature] && counts(column.feature, other))
                    lists.offer(column.feature, other, pearson[other], products[other]);
            }
            return entries(lists, column.feature);
        }

        private void pairs(FeatureActivations column) {
            int feature = column.feature;
            int next = feature + 1;
            if (column.size == 0) return;
            Arrays.fill(products, next, products.length, 0);
            corpus.addProducts(column, products, next);
            correlate(feature, next);
            double[] least = lists.least;
            for (int other = next; other < pearson.length; other++) {
                if (!(pearson[other] >= least[other] || pearson[other] >= least[feature]) || !counts(feature, other))
                    continue;
                lists.offer(feature, other, pearson[other], products[other]);
                lists.offer(other, feature, pearson[other], products[other]);
            }
        }

        /** With all from the first one on, as {@link #pearson}: by itself, so that it is done on many at once. */
        private void correlate(int feature, int first) {
            double n = corpus.positions;
            double x = corpus.sums[feature];
            double spread = spreads[feature];
            double[] sums = corpus.sums;
            for (int other = first; other < pearson.length; other++)
                pearson[other] =
                        (n * products[other] - x * sums[other]) / (spread * spreads[other] + Dashboards.SMALLEST);
        }

        /** (nΣxy − ΣxΣy) / (the product of spreads + 1e-6), SAEDashboard's, over all positions. */
        private double pearson(int feature, int other) {
            return (corpus.positions * products[other] - corpus.sums[feature] * corpus.sums[other])
                    / (spreads[feature] * spreads[other] + Dashboards.SMALLEST);
        }
    }

    /** One that never fires, or the feature itself, goes along with nothing. */
    private boolean counts(int feature, int other) {
        return other != feature && corpus.counts[other] != 0;
    }

    private List<Entry> entries(Lists lists, int feature) {
        double xx = corpus.squares[feature];
        return IntStream.range(feature * wanted, feature * wanted + lists.size[feature])
                .mapToObj(i -> new Entry(
                        lists.other[i],
                        lists.pearson[i],
                        lists.xy[i] / (Math.sqrt(xx * corpus.squares[lists.other[i]]) + Dashboards.SMALLEST)))
                .toList();
    }

    /** Works out those of all features among all, so many features' activations at a time. */
    void findAll(ExecutorService pool, int threads, int[][] batches) throws InterruptedException, ExecutionException {
        if (known != null) return;
        List<Worker> workers =
                IntStream.range(0, threads).mapToObj(_ -> new Worker()).toList();
        for (int[] batch : batches) {
            FeatureActivations[] columns = corpus.columns(batch, spreads.length);
            AtomicInteger next = new AtomicInteger();
            List<Future<?>> running = new ArrayList<>();
            for (Worker worker : workers) {
                running.add(pool.submit(() -> {
                    for (int i;
                            (i = next.getAndIncrement()) < columns.length
                                    && !Thread.currentThread().isInterrupted(); ) worker.pairs(columns[i]);
                }));
            }
            for (Future<?> each : running) each.get();
        }
        Lists all = workers.getFirst().lists;
        for (Worker worker : workers.subList(1, threads)) {
            for (int feature = 0; feature < spreads.length; feature++) {
                for (int i = feature * wanted, end = i + worker.lists.size[feature]; i < end; i++)
                    all.offer(feature, worker.lists.other[i], worker.lists.pearson[i], worker.lists.xy[i]);
            }
        }
        known = all;
    }
}
