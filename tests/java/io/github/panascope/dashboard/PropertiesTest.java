package io.github.panascope.dashboard;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.InputException;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.data.Dataset;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.ChunkingStrategy;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.function.LongFunction;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** Outputs do not depend, byte for byte, on the shards, their order, the number of threads or the other features. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class PropertiesTest {
    private static final int CONTEXT = 64;
    private static final int ROWS = 45;
    private static final int[] FEATURES = {0, 3, 57, 128, 200, 383};

    @TempDir
    private Path folder;

    private TensorScope scope;
    private HookedTransformer model;
    private Sae loaded, sae;
    private TokenDataset tokens;

    @BeforeEach
    void load() {
        Golden golden = Golden.standardA();
        scope = TensorScope.open();
        model = HookedTransformer.fromPretrained(golden.model().toString(), TestDevice.OPTIONS.hub(golden.hub()));
        loaded = TestDevice.sae(golden.folder().resolve("sae"));
        sae = loaded.foldWDecNorm();
        tokens = TokenDataset.tokenizeAndConcatenate(
                Dataset.of(golden.dataset().toString(), golden.hub())::forEach,
                model.tokenizer(),
                ChunkingStrategy.WHITESPACE_CHUNKS,
                CONTEXT);
    }

    @AfterEach
    void close() {
        sae.close();
        loaded.close();
        model.close();
        scope.close();
    }

    private FeatureStore open(String name, int... features) {
        return FeatureStore.open(
                folder.resolve(name),
                StoreIdentity.of(model, sae, "test", CONTEXT),
                features,
                sae.config().dIn());
    }

    private LongFunction<int[]> rows() {
        return row -> tokens.row((int) row);
    }

    private void collect(FeatureStore store, int first, int end, int shardRows, int threads) {
        FeatureCollector.into(store, model, sae)
                .shardRows(shardRows)
                .threads(threads)
                .collect(rows(), first, end);
    }

    /** Each feature's own bytes, as SAEDashboard's JSON has them. */
    private Map<Integer, String> dashboards(FeatureStore store, int threads, DashboardConfig config, int... features) {
        Map<Integer, String> found = new HashMap<>();
        Dashboards dashboards = Dashboards.of(model, sae, store, config);
        dashboards.forEach(features, threads, dashboard -> {
            Path file = folder.resolve("one.json");
            try (SaeDashboardJson json = SaeDashboardJson.open(file)) {
                json.accept(dashboard);
                json.complete();
                found.put(dashboard.feature(), Files.readString(file));
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
        return found;
    }

    private Map<Integer, String> whole() {
        try (FeatureStore store = open("whole", FEATURES)) {
            collect(store, 0, ROWS, 1000, 1);
            return dashboards(store, 1, DashboardConfig.DEFAULT, FEATURES);
        }
    }

    private static void assertSame(Map<Integer, String> expected, Map<Integer, String> found, String what) {
        assertEquals(expected.keySet(), found.keySet(), what);
        expected.forEach((feature, text) -> assertEquals(text, found.get(feature), what + ", feature " + feature));
    }

    @Test
    void splitShuffledMergedThreadedAndResumed() {
        Map<Integer, String> expected = whole();
        assertTrue(expected.values().stream()
                        .filter(text -> text.contains("INTERVAL"))
                        .count()
                > 3);
        long seed = new Random().nextLong();
        Random random = new Random(seed);
        for (int round = 0; round < 4; round++) {
            String what = "seed " + seed + ", round " + round;
            // Pieces at random places, each in a folder of its own, by one to three threads, in any order.
            int[] cuts = IntStream.concat(IntStream.of(0, ROWS), random.ints(3, 1, ROWS))
                    .distinct()
                    .sorted()
                    .toArray();
            List<Path> parts = new ArrayList<>();
            for (int i = 0; i + 1 < cuts.length; i++) {
                try (FeatureStore part = open(round + "-" + i, FEATURES)) {
                    collect(part, cuts[i], cuts[i + 1], 1 + random.nextInt(20), 1 + random.nextInt(3));
                }
                parts.add(folder.resolve(round + "-" + i));
            }
            Collections.shuffle(parts, random);
            try (FeatureStore merged = FeatureStore.merged(folder.resolve("merged" + round), parts)) {
                assertEquals(ROWS, merged.rows());
                assertSame(
                        expected,
                        dashboards(merged, 1 + random.nextInt(3), DashboardConfig.DEFAULT, FEATURES),
                        what + ", cut at " + Arrays.toString(cuts));
            }
            // One folder, gone on in several times, with rows in the middle first.
            try (FeatureStore store = open("resumed" + round, FEATURES)) {
                collect(store, 10, 20, 4, 2);
            }
            try (FeatureStore store = open("resumed" + round, FEATURES)) {
                assertEquals(10, store.rows());
                assertThrows(
                        InputException.class,
                        () -> Dashboards.of(model, sae, store, DashboardConfig.DEFAULT),
                        "rows are missing");
                collect(store, 0, ROWS, 7, 2);
                assertSame(expected, dashboards(store, 2, DashboardConfig.DEFAULT, FEATURES), what + ", resumed");
            }
        }
    }

    @Test
    void otherFeaturesChangeNothing() {
        Map<Integer, String> expected = whole();
        int[] all = IntStream.range(0, sae.config().dSae()).toArray();
        try (FeatureStore store = open("all", all)) {
            collect(store, 0, ROWS, 16, 2);
            Map<Integer, String> found = dashboards(store, 2, DashboardConfig.DEFAULT, all);
            assertEquals(sae.config().dSae(), found.size());
            found.keySet().retainAll(expected.keySet());
            assertSame(expected, found, "among all");
            assertSame(
                    expected,
                    dashboards(store, 1, DashboardConfig.DEFAULT, 383, 0, 57, 128, 3, 200, 0),
                    "in another order");
            int[] counts =
                    Dashboards.of(model, sae, store, DashboardConfig.DEFAULT).counts();
            assertTrue(Arrays.stream(counts).sum() > 0);
        }
    }

    @Test
    void moreRowsAddToThoseThatAreThere() {
        try (FeatureStore store = open("grown", FEATURES)) {
            collect(store, 0, 20, 8, 2);
            int[] ran = {0};
            FeatureCollector.into(store, model, sae)
                    .shardRows(8)
                    .threads(2)
                    .progress(done -> ran[0] = Math.max(ran[0], done))
                    .collect(rows(), 0, ROWS);
            assertEquals(ROWS - 20, ran[0], "only the new rows run");
            assertSame(whole(), dashboards(store, 2, DashboardConfig.DEFAULT, FEATURES), "grown");
        }
    }

    @Test
    void whatDoesNotBelongTogetherIsRefused() throws IOException {
        try (FeatureStore store = open("one", FEATURES)) {
            collect(store, 0, 8, 8, 1);
            assertTrue(assertThrows(InputException.class, () -> open("one", FEATURES))
                    .getMessage()
                    .contains("another process"));
        }
        assertTrue(assertThrows(InputException.class, () -> open("one", 0, 1))
                .getMessage()
                .contains("other features"));
        StoreIdentity other = StoreIdentity.of(model, loaded, "another text", CONTEXT);
        String message = assertThrows(
                        InputException.class,
                        () -> FeatureStore.open(
                                folder.resolve("one"),
                                other,
                                FEATURES,
                                sae.config().dIn()))
                .getMessage();
        assertTrue(
                message.contains("text is test there and another text here") && message.contains("weights is"),
                message);
        try (FeatureStore store = open("two", FEATURES)) {
            collect(store, 4, 12, 8, 1);
            assertTrue(assertThrows(InputException.class, () -> store.merge(List.of(folder.resolve("one"))))
                    .getMessage()
                    .contains("are there already"));
            assertEquals(8, store.rows(), "nothing was merged");
            assertTrue(assertThrows(InputException.class, () -> store.requireSameText(row -> new int[CONTEXT], ROWS))
                    .getMessage()
                    .contains("other text: row 4"));
        }
        Path shard;
        try (var files = Files.list(folder.resolve("one"))) {
            shard = files.filter(file -> file.getFileName().toString().startsWith("rows-"))
                    .findFirst()
                    .orElseThrow();
        }
        byte[] bytes = Files.readAllBytes(shard);
        bytes[bytes.length / 2] ^= 1;
        Files.write(shard, bytes);
        try (FeatureStore store = open("one", FEATURES)) {
            assertTrue(
                    assertThrows(InputException.class, () -> Dashboards.of(model, sae, store, DashboardConfig.DEFAULT))
                            .getMessage()
                            .contains("damaged"));
        }
        assertThrows(InputException.class, () -> FeatureStore.read(folder.resolve("none")));
    }

    /** An identity has the fields of records and of records in them, those of components added later included. */
    @Test
    void anIdentityHasEveryFieldOfBothConfigurations() throws Exception {
        Map<String, String> entries =
                StoreIdentity.of(model, sae, "test", CONTEXT).entries();
        assertHasFields("model", model.config(), entries);
        assertHasFields("sae", sae.config(), entries);
        assertTrue(
                entries.keySet()
                        .containsAll(Set.of(
                                "model.eps",
                                "model.nHeads",
                                "model.inverseLayerAttnScale",
                                "sae.k",
                                "sae.metadata.hookName",
                                "sae.dtype",
                                "model.operators",
                                "sae.operators",
                                "weights",
                                "tokenizer",
                                "device",
                                "rows at once",
                                "arithmetic",
                                "context",
                                "text")),
                entries::toString);
        Map<String, String> found = new HashMap<>();
        StoreIdentity.putFields("x", new Later(1, 1e-12, new Later.Inner("y", Map.of("b", 2, "a", 1))), found);
        assertEquals(
                Map.of("x.number", "1", "x.small", "1.0E-12", "x.inner.text", "y", "x.inner.map", "{a=1, b=2}"), found);
    }

    /** A configuration as it may be one day. */
    public record Later(int number, double small, Inner inner) {
        /** Of it. */
        public record Inner(String text, Map<String, Integer> map) {}
    }

    private static void assertHasFields(String prefix, Record fields, Map<String, String> entries)
            throws ReflectiveOperationException {
        for (var component : fields.getClass().getRecordComponents()) {
            String name = prefix + "." + component.getName();
            if (component.getAccessor().invoke(fields) instanceof Record inner) assertHasFields(name, inner, entries);
            else assertTrue(entries.containsKey(name), name);
        }
    }

    /** One number of any weight, exactness, and hooks, which nothing could name. */
    @Test
    void anIdentityTellsModelsAndSaesApart() {
        StoreIdentity identity = StoreIdentity.of(model, sae, "test", CONTEXT);
        assertEquals(identity, StoreIdentity.of(model, sae, "test", CONTEXT), "the same again");
        assertEquals(sae.weightNames().stream().sorted().toList(), sae.weightNames(), "in another process too");
        List<StoreIdentity> others = new ArrayList<>(List.of(
                StoreIdentity.of(model.exact(), sae, "test", CONTEXT),
                StoreIdentity.of(model, sae.exact(), "test", CONTEXT),
                StoreIdentity.of(model, loaded, "test", CONTEXT),
                StoreIdentity.of(model, sae, "test", CONTEXT + 1),
                identity.ofChosen(new int[] {3, 5}),
                identity.ofChosen(new int[] {3, 6})));
        for (String name : List.of("embed.W_E", "blocks.1.mlp.W_in", "blocks.1.attn.b_O", "blocks.1.attn.W_K"))
            others.add(changed(name, model.weight(name)));
        for (String name : sae.weightNames()) others.add(changed(name, sae.weight(name)));
        others.add(identity);
        for (int i = 0; i < others.size(); i++)
            assertEquals(i, others.indexOf(others.get(i)), "number " + i + " is as one before");
        assertThrows(
                IllegalArgumentException.class,
                () -> StoreIdentity.of(
                        model.with(Hooks.at("blocks.0.hook_resid_pre", (x, name) -> null)), sae, "test", CONTEXT));
    }

    /** The identity with another number somewhere in the middle of a weight, which is then as before. */
    private StoreIdentity changed(String name, Tensor weight) {
        try (var _ = TensorScope.open()) {
            var one = weight;
            for (int dimension = 0; dimension < weight.shape().rank(); dimension++)
                one = one.slice(dimension, one.size(dimension) / 2, one.size(dimension) / 2 + 1);
            var before = one.copy();
            one.copy_(before.add(1e-3));
            try {
                return StoreIdentity.of(model, sae, "test", CONTEXT);
            } finally {
                one.copy_(before);
            }
        }
    }

    @Test
    void excludedPositionsCountAsZero() {
        try (FeatureStore store = open("excluded", FEATURES)) {
            collect(store, 0, ROWS, 16, 2);
            DashboardConfig config = DashboardConfig.builder()
                    .ignoreTokens(Set.of(50256))
                    .ignorePositions(Set.of(1, 10))
                    .ignoreHighActivationNormMultiple(3)
                    .build();
            Dashboards all = Dashboards.of(model, sae, store, DashboardConfig.DEFAULT);
            Dashboards some = Dashboards.of(model, sae, store, config);
            assertTrue(some.excluded() >= 3 * ROWS && all.excluded() == 0, some.excluded() + " positions");
            Map<Integer, FeatureDashboard> before = new HashMap<>();
            all.forEach(FEATURES, 1, dashboard -> before.put(dashboard.feature(), dashboard));
            some.forEach(FEATURES, 1, dashboard -> {
                FeatureDashboard whole = before.get(dashboard.feature());
                assertTrue(dashboard.statistics().active() <= whole.statistics().active());
                assertEquals(whole.tables(), dashboard.tables(), "correlations are over all positions");
                for (var group : dashboard.groups())
                    for (var sequence : group.sequences()) assertTrue(sequence.position() != 10);
            });
        }
    }

    /**
     * Against another way to it: the SAE in the model with its error term, and the feature's activations set to zero.
     */
    @Test
    void ablationsAreWhatTakingTheFeatureAwayDoes() {
        try (FeatureStore store = open("ablated", FEATURES)) {
            collect(store, 0, 16, 16, 2);
            DashboardConfig config = DashboardConfig.builder()
                    .performAblationExperiments(true)
                    .nQuantiles(2)
                    .topActsGroupSize(4)
                    .quantileGroupSize(2)
                    .build();
            int[] compared = {0};
            Dashboards.of(model, sae, store, config).forEach(new int[] {3, 57}, 2, dashboard -> {
                for (var group : dashboard.groups())
                    for (var sequence : group.sequences()) {
                        try (var _ = TensorScope.open()) {
                            var row = tokens.batch(sequence.row(), sequence.row() + 1);
                            float[] whole = model.forward(row).lossPerToken().toFloats();
                            float[] without = model.forward(row)
                                    .attach(sae.attachment(true))
                                    .hooks(sae.ablation(dashboard.feature()))
                                    .lossPerToken()
                                    .toFloats();
                            for (int i = 0; i < sequence.tokenIds().length; i++) {
                                int at = sequence.first() + i - 1;
                                assertEquals(
                                        whole[at] - without[at],
                                        sequence.ablation().lossEffect()[i],
                                        2e-4,
                                        "feature " + dashboard.feature() + ", " + sequence.row() + ":"
                                                + at); // losses of about 14, each within 1e-5 relative
                                if (Math.abs(whole[at] - without[at]) > 0.01) compared[0]++;
                            }
                        }
                    }
            });
            assertTrue(compared[0] > 10, compared[0] + " effects are large enough to tell");
        }
    }

    @Test
    void theOrderOfSamplesIsAPermutationAndFair() {
        SampleOrder order = new SampleOrder(5, 77);
        Random random = new Random(3);
        for (int i = 0; i < 1000; i++) {
            int index = random.nextInt();
            assertEquals(index, order.index(order.place(index)));
        }
        int[] first = new int[16];
        for (int feature = 0; feature < 4000; feature++) {
            SampleOrder own = new SampleOrder(0, feature);
            int best = 0;
            for (int index = 1; index < first.length; index++)
                if (Integer.compareUnsigned(own.place(index), own.place(best)) < 0) best = index;
            first[best]++;
        }
        for (int count : first)
            assertEquals(
                    250,
                    count,
                    5 * Math.sqrt(250),
                    Arrays.toString(first)); // each of 16 positions comes first one time in 16
        assertTrue(new SampleOrder(1, 77).place(0) != order.place(0));
    }

    @Test
    void samplesAreTheSameWhicheverWayTheyAreFound() {
        // Many positions are looked through by place, few by position: both ways are taken here over the same few.
        SampleOrder order = new SampleOrder(9, 4);
        int positions = 3000;
        int[] byPosition = IntStream.range(0, positions)
                .boxed()
                .sorted((a, b) -> Integer.compareUnsigned(order.place(a), order.place(b)))
                .limit(2)
                .mapToInt(Integer::intValue)
                .toArray();
        int[] byPlace = LongStream.range(0, 1L << 32)
                .mapToInt(place -> order.index((int) place))
                .filter(index -> index >= 0 && index < positions)
                .limit(2)
                .toArray();
        assertArrayEquals(byPosition, byPlace);
    }

    @Test
    void sumsDoNotDependOnTheirOrder() {
        Random random = new Random(11);
        double[] terms = random.doubles(20_000)
                .map(x -> (x - 0.5) * Math.pow(10, random.nextInt(12) - 6))
                .toArray();
        ExactSums forwards = new ExactSums(1);
        ExactSums backwards = new ExactSums(1);
        ExactSums left = new ExactSums(1);
        ExactSums right = new ExactSums(1);
        for (int i = 0; i < terms.length; i++) {
            forwards.add(0, terms[i]);
            backwards.add(0, terms[terms.length - 1 - i]);
            (i % 3 == 0 ? left : right).add(0, terms[i]);
        }
        right.addAll(left);
        assertEquals(forwards.get(0), backwards.get(0));
        assertEquals(forwards.get(0), right.get(0));
        BigDecimal exact = Arrays.stream(terms).mapToObj(BigDecimal::new).reduce(BigDecimal.ZERO, BigDecimal::add);
        assertEquals(exact.doubleValue(), forwards.get(0), terms.length * 0x1p-40);
    }
}
