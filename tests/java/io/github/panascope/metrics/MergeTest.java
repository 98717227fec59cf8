package io.github.panascope.metrics;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.InputException;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.Travel;
import io.github.panascope.internal.CompactForm;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeSet;
import java.util.function.BiConsumer;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Parts of a run that are merged in any order and grouping, on the way as bytes, are the run. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class MergeTest {
    private static final int WIDTH = 5;
    private static final int ROWS = 12;
    private static final int BATCH = 2;
    private static final int CONTEXT = 12;

    private static final Travel<L0> L0S = new Travel<>(L0::writeTo, L0::readFrom);
    private static final Travel<ExplainedVariance> VARIANCES =
            new Travel<>(ExplainedVariance::writeTo, ExplainedVariance::readFrom);
    private static final Travel<DownstreamLoss> LOSSES =
            new Travel<>(DownstreamLoss::writeTo, DownstreamLoss::readFrom);
    private static final Travel<TutorialMetrics> METRICS =
            new Travel<>(TutorialMetrics::writeTo, TutorialMetrics::readFrom);
    private static final Travel<SaeEvals> EVALS = new Travel<>(SaeEvals::writeTo, SaeEvals::readFrom);

    private HookedTransformer model;
    private Sae sae;
    private TensorScope scope;
    private TensorScope ofTest;
    private Tensor tokens;

    @BeforeAll
    void load() {
        scope = TensorScope.open();
        model = Golden.standardA().loadModel();
        sae = Golden.standardA().loadSae();
        tokens = Golden.standardA().tokens(model, CONTEXT).batch(0, ROWS);
    }

    @BeforeEach
    void openScope() {
        ofTest = TensorScope.open();
    }

    @AfterEach
    void closeScope() {
        ofTest.close();
    }

    @AfterAll
    void close() {
        sae.close();
        model.close();
        scope.close();
    }

    /**
     * A class of results.
     *
     * @param empty makes a result without terms
     * @param term  adds a random term
     */
    private record Kind<T>(Travel<T> travel, Supplier<T> empty, BiConsumer<T, Random> term, BiConsumer<T, T> merge) {
        T merged(T first, T second) {
            merge.accept(first, second);
            return first;
        }
    }

    private static double number(Random random) {
        return random.nextInt(50) == 0 ? Double.NaN : random.nextGaussian() * Math.pow(10, random.nextInt(-9, 9));
    }

    private static void addTo(ExplainedVariance variance, Random random) {
        double[] found = random.doubles(4 + WIDTH).map(x -> number(random)).toArray();
        found[1] = random.nextInt(1000);
        variance.add(found, 1, WIDTH);
    }

    private static void addTo(DownstreamLoss loss, Random random) {
        loss.add(random.nextInt(1000), number(random), number(random), number(random));
    }

    private static int active(Random random) {
        return (int) Math.abs(random.nextGaussian() * (random.nextInt(20) == 0 ? 900 : 30));
    }

    static Stream<Arguments> kinds() {
        return Stream.of(
                        new Kind<>(L0S, L0::new, (l0, random) -> l0.add(active(random)), L0::merge),
                        new Kind<>(VARIANCES, ExplainedVariance::new, MergeTest::addTo, ExplainedVariance::merge),
                        new Kind<>(LOSSES, DownstreamLoss::new, MergeTest::addTo, DownstreamLoss::merge),
                        new Kind<>(
                                METRICS,
                                TutorialMetrics::new,
                                (metrics, random) -> {
                                    metrics.l0().add(active(random));
                                    addTo(metrics.explainedVariance(), random);
                                    addTo(metrics.loss(), random);
                                },
                                TutorialMetrics::merge))
                .map(Arguments::of);
    }

    @ParameterizedTest
    @MethodSource("kinds")
    <T> void anyTreeGivesTheBytesOfTheWhole(Kind<T> kind) throws IOException {
        Random random = new Random(1);
        for (int round = 0; round < 60; round++) {
            int terms = random.nextInt(1, 40);
            List<T> parts = new ArrayList<>();
            for (int i = random.nextInt(1, 9); i > 0; i--) parts.add(kind.empty.get());
            T whole = kind.empty.get();
            for (int term = 0; term < terms; term++) {
                int seed = random.nextInt();
                kind.term.accept(whole, new Random(seed));
                kind.term.accept(parts.get(random.nextInt(parts.size())), new Random(seed));
            }
            T merged = kind.travel.tree(parts, random, kind::merged);
            assertArrayEquals(kind.travel.bytes(whole), kind.travel.bytes(merged));
            assertEquals(whole.toString(), merged.toString());
        }
    }

    @ParameterizedTest
    @MethodSource("kinds")
    <T> void resultsTravel(Kind<T> kind) throws IOException, ClassNotFoundException {
        Random random = new Random(2);
        T result = kind.empty.get();
        kind.travel.assertComesBack(result);
        for (int term = 0; term < 30; term++) kind.term.accept(result, random);
        kind.travel.assertComesBack(result);
        kind.travel.assertDamageIsRefused(result);
        kind.travel.assertForgeriesDoNoHarm(result);
    }

    @Test
    void bytesOfOtherResultsAreRefused() throws IOException {
        byte[] bytes = L0S.bytes(new L0());
        InputException e = assertThrows(InputException.class, () -> LOSSES.read(bytes));
        assertTrue(e.getMessage().contains("not those of DownstreamLoss"), e.getMessage());
    }

    @Test
    void aHistogramEndsWithTheLargestL0() throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        new CompactForm("L0", 'L', 1)
                .write(new DataOutputStream(out), content -> CompactForm.writeCounts(content, new long[] {1, 0}));
        InputException e = assertThrows(InputException.class, () -> L0S.read(out.toByteArray()));
        assertTrue(e.getMessage().contains("ends with 0"), e.getMessage());
    }

    @Test
    void notANumberStays() throws IOException {
        DownstreamLoss loss = new DownstreamLoss();
        loss.add(1, Double.NaN, 1, Double.NEGATIVE_INFINITY);
        DownstreamLoss other = new DownstreamLoss();
        other.add(1, 2, 2, 2);
        other.merge(LOSSES.read(LOSSES.bytes(loss)));
        assertEquals("DownstreamLoss[original=NaN, reconstructed=1.5, zero=-Infinity]", other.toString());
        assertTrue(Double.isNaN(new DownstreamLoss().original()));
        assertThrows(IllegalArgumentException.class, () -> other.add(-1, 0, 0, 0));
    }

    @Test
    void activationsOfAnotherWidthAreNotAdded() throws IOException {
        TutorialMetrics metrics = new TutorialMetrics();
        metrics.explainedVariance().add(new double[] {1, 1, 1, 1}, 0, 1);
        byte[] before = METRICS.bytes(metrics);
        TutorialMetrics other = new TutorialMetrics();
        other.l0().add(3);
        other.explainedVariance().add(new double[] {1, 1, 1, 1, 1}, 0, 2);
        assertThrows(IllegalArgumentException.class, () -> metrics.merge(other));
        assertArrayEquals(before, METRICS.bytes(metrics));
    }

    /** Cuts rows into parts of whole batches, and merges what is made of them in random trees. */
    private <T> void assertPartsAreTheWhole(Travel<T> travel, Function<Tensor, T> run, T empty, Travel.Merge<T> merge)
            throws IOException {
        byte[] whole = travel.bytes(run.apply(tokens));
        Random random = new Random(5);
        for (int round = 0; round < 2; round++) {
            TreeSet<Integer> cuts = new TreeSet<>(List.of(0, ROWS));
            for (int cut = 1; cut < ROWS / BATCH; cut++) if (random.nextBoolean()) cuts.add(cut * BATCH);
            List<T> parts = new ArrayList<>(List.of(empty));
            for (int start : cuts.headSet(ROWS)) parts.add(run.apply(tokens.slice(0, start, cuts.higher(start))));
            for (int tree = 0; tree < 10; tree++)
                assertArrayEquals(whole, travel.bytes(travel.tree(parts, random, merge)));
        }
    }

    @Test
    void metricsOfPartsAreThoseOfOneRun() throws IOException, ClassNotFoundException {
        Function<Tensor, TutorialMetrics> run = rows -> TutorialMetrics.run(model, sae, rows, BATCH, done -> {});
        assertPartsAreTheWhole(METRICS, run, new TutorialMetrics(), (first, second) -> {
            first.merge(second);
            return first;
        });
        METRICS.assertComesBack(run.apply(tokens));
    }

    private SaeEvals evals(Tensor rows, int batch, boolean exclude) {
        return SaeEvals.run(model, sae, rows, batch, ROWS, exclude, done -> {});
    }

    @Test
    void evaluationsOfPartsAreThoseOfOneRun() throws IOException, ClassNotFoundException {
        assertPartsAreTheWhole(EVALS, rows -> evals(rows, BATCH, true), new SaeEvals(), (first, second) -> {
            first.merge(second);
            return first;
        });
        SaeEvals whole = evals(tokens, BATCH, true);
        EVALS.assertComesBack(whole);
        EVALS.assertComesBack(new SaeEvals());
        SaeEvals back = EVALS.read(EVALS.bytes(whole));
        assertEquals(whole.metrics(), back.metrics());
        for (Map.Entry<String, double[]> metric : whole.featureMetrics(sae).entrySet())
            assertArrayEquals(metric.getValue(), back.featureMetrics(sae).get(metric.getKey()), metric.getKey());
    }

    /** Float64 sums of few rows are often exact, so that the sums alone would not tell. */
    @Test
    void rowsThatRunTogetherAreOfOneBatch() throws IOException {
        List<Integer> done = new ArrayList<>();
        SaeEvals whole = SaeEvals.run(model, sae, tokens, 3, ROWS, true, done::add);
        assertTrue(done.containsAll(List.of(3, 6, 9, 12)), done.toString());
        SaeEvals parts = evals(tokens.slice(0, 0, 3), 3, true);
        parts.merge(evals(tokens.slice(0, 3, ROWS), 3, true));
        assertArrayEquals(EVALS.bytes(whole), EVALS.bytes(parts));
    }

    @Test
    void damagedEvaluationsAreRefused() throws IOException {
        SaeEvals evals = evals(tokens.slice(0, 0, 1), BATCH, true);
        EVALS.assertDamageIsRefused(evals);
        EVALS.assertForgeriesDoNoHarm(evals);
    }

    @Test
    void evaluationsOfAnotherKindAreNotMerged() throws IOException {
        Tensor rows = tokens.slice(0, 0, 2);
        SaeEvals evals = evals(rows, BATCH, true);
        byte[] before = EVALS.bytes(evals);
        assertThrows(IllegalArgumentException.class, () -> evals.merge(evals(rows, 1, true)));
        assertThrows(IllegalArgumentException.class, () -> evals.merge(evals(rows, BATCH, false)));
        try (Sae other = Golden.of("gated_b").loadSae()) {
            assertThrows(IllegalArgumentException.class, () -> evals.featureMetrics(other));
        }
        assertArrayEquals(before, EVALS.bytes(evals));
        SaeEvals empty = new SaeEvals();
        assertEquals(0, empty.batchSizePrompts());
        assertTrue(Double.isNaN(empty.metrics().get("sparsity").get("l0")));
        assertTrue(Double.isNaN(empty.featureMetrics(sae).get("feature_density")[0]));
    }
}
