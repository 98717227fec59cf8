package io.github.panascope.spark;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import io.github.panascope.dashboard.DashboardConfig;
import io.github.panascope.dashboard.DashboardConfig.CorrelationScope;
import io.github.panascope.dashboard.DashboardFacts;
import io.github.panascope.dashboard.DashboardPage;
import io.github.panascope.dashboard.DashboardSinks;
import io.github.panascope.dashboard.Dashboards;
import io.github.panascope.dashboard.FeatureCollector;
import io.github.panascope.dashboard.FeatureStore;
import io.github.panascope.dashboard.FeatureTable;
import io.github.panascope.dashboard.NeuronpediaBatches;
import io.github.panascope.dashboard.SaeDashboardJson;
import io.github.panascope.data.TextDataset;
import io.github.panascope.demo.DemoBundle;
import io.github.panascope.sae.Neuronpedia;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.ChunkingStrategy;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.spark.sql.functions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** Features and dashboards that a cluster makes are, byte for byte, those that one machine makes. */
@Tag("spark")
@ExtendWith(Cluster.class)
class FeatureJobTest {
    private static final int CONTEXT = 128;
    private static final ChunkingStrategy CHUNKING = ChunkingStrategy.CHARACTER_CHUNKS;

    @TempDir
    Path folder;

    private static TokenRows rows() {
        return rows(4);
    }

    private static TokenRows rows(int partitions) {
        return TokenRows.of(
                Documents.of(
                                Cluster.session()
                                        .read()
                                        .parquet(DemoBundle.find().dataset())
                                        .withColumn("n", functions.monotonically_increasing_id())
                                        .repartition(partitions),
                                "text")
                        .orderedBy("n"),
                ModelAndSae.DEMO,
                CHUNKING,
                CONTEXT,
                true);
    }

    /** Writes all outputs as one machine does, without the classes of this package but for the loaded weights. */
    private static void oneMachine(Path folder, int[] features, DashboardConfig config) {
        Executor.Loaded loaded = Executor.onDriver(ModelAndSae.DEMO);
        Sae sae = loaded.shown();
        TextDataset texts = TextDataset.of(DemoBundle.find().dataset());
        TokenDataset tokens = TokenDataset.tokenizeAndConcatenate(
                texts::forEach, loaded.model().tokenizer(), CHUNKING, CONTEXT);
        var identity = loaded.identity("demo", CONTEXT, 8);
        if (config.correlatedFeatures() == CorrelationScope.CHOSEN) identity = identity.ofChosen(features);
        DashboardFacts facts = new DashboardFacts("demo", "demo", sae.config(), "demo", true, config);
        try (var _ = TensorScope.open();
                FeatureStore store = FeatureStore.open(
                        folder.resolve("store"),
                        identity,
                        features,
                        sae.config().dIn());
                DashboardSinks sinks = new DashboardSinks()) {
            FeatureCollector.into(store, loaded.model(), sae).collect(row -> tokens.row((int) row), 0, tokens.rows());
            Dashboards dashboards = Dashboards.of(loaded.model(), sae, store, config);
            Map<String, String> head = facts.of(dashboards.rows(), dashboards.context(), dashboards.excluded());
            var tokenizer = loaded.model().tokenizer();
            sinks.add(FeatureTable.open(folder.resolve("table.parquet"), tokenizer, head));
            sinks.add(SaeDashboardJson.open(folder.resolve("features.json")));
            sinks.add(NeuronpediaBatches.open(
                    folder.resolve("neuronpedia"), sae.config(), tokenizer, dashboards, "demo"));
            sinks.add(DashboardPage.open(
                    folder.resolve("page.html"),
                    new DashboardPage.Header(
                            facts.title(),
                            head,
                            Neuronpedia.featurePages(sae.config()).orElse(null)),
                    tokenizer));
            dashboards.forEach(features, 2, sinks);
        }
    }

    private static void write(CollectedFeatures found, Path folder, DashboardConfig config) {
        DashboardJob.of(found)
                .config(config)
                .page(folder.resolve("page.html").toString())
                .json(folder.resolve("features.json").toString())
                .neuronpedia(folder.resolve("neuronpedia").toString())
                .table(folder.resolve("table.parquet").toString())
                .write();
    }

    private static Map<String, byte[]> outputs(Path folder) throws IOException {
        Map<String, byte[]> found = new TreeMap<>();
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.filter(Files::isRegularFile).toList())
                if (!file.startsWith(folder.resolve("store")))
                    found.put(folder.relativize(file).toString(), Files.readAllBytes(file));
        }
        return found;
    }

    private static void assertSame(Path one, Path many) throws IOException {
        Map<String, byte[]> expected = outputs(one);
        Map<String, byte[]> found = outputs(many);
        assertEquals(expected.keySet(), found.keySet());
        assertTrue(expected.size() >= 4);
        expected.forEach((name, bytes) -> assertArrayEquals(bytes, found.get(name), name));
    }

    private static void assertRefused(String sentence, Executable action) {
        String message = assertThrows(InputException.class, action).getMessage();
        assertTrue(message.contains(sentence), message);
    }

    @Test
    void allFeaturesOfTheDemoAreThoseOfOneMachine() throws IOException {
        Executor.Loaded loaded = Executor.onDriver(ModelAndSae.DEMO);
        int[] all = IntStream.range(0, loaded.sae().config().dSae()).toArray();
        oneMachine(folder.resolve("one"), all, DashboardConfig.DEFAULT);
        String features = folder.resolve("features").toString();
        CollectedFeatures found;
        try (TokenRows rows = rows()) {
            found = FeatureJob.of(ModelAndSae.DEMO).unitRows(100).collect(rows, "demo", features);
        }
        assertEquals(2, found.shares().size());
        CollectedFeatures opened = CollectedFeatures.open(Cluster.session(), ModelAndSae.DEMO, features);
        assertArrayEquals(all, opened.features());
        write(opened, folder.resolve("many"), DashboardConfig.DEFAULT);
        assertSame(folder.resolve("one"), folder.resolve("many"));
        assertRefused("there is nothing to write", () -> DashboardJob.of(opened).write());
        ModelAndSae other = ModelAndSae.of("other");
        assertRefused(
                "holds features of the SAE demo, not of other",
                () -> CollectedFeatures.open(Cluster.session(), other, features));
        assertRefused("2147483648 positions", () -> DashboardJob.requirePositions(1 << 24, 128));
        try (TokenRows rows = rows(7)) { // other partitions: nothing is collected again
            CollectedFeatures again = FeatureJob.of(ModelAndSae.DEMO).collect(rows, "demo", features);
            assertEquals(Map.of(), again.shares());
            assertEquals(found.rows(), again.rows());
            assertEquals(
                    features
                            + " holds features of something else: text is demo there and pile here. Use another folder,"
                            + " or delete it.",
                    assertThrows(
                                    InputException.class,
                                    () -> FeatureJob.of(ModelAndSae.DEMO).collect(rows, "pile", features))
                            .getMessage()
                            .replace("file:", ""));
        }
    }

    @Test
    void chosenFeaturesWithExclusionsAndAblationsAreThoseOfOneMachine() throws IOException {
        int[] chosen = {3, 17, 18, 200, 401};
        DashboardConfig config = DashboardConfig.builder()
                .correlatedFeatures(CorrelationScope.CHOSEN)
                .performAblationExperiments(true)
                .topActsGroupSize(3)
                .quantileGroupSize(1)
                .ignorePositions(Set.of(0, 1))
                .build();
        oneMachine(folder.resolve("one"), chosen, config);
        try (TokenRows rows = rows()) {
            CollectedFeatures found = FeatureJob.of(ModelAndSae.DEMO)
                    .features(chosen, CorrelationScope.CHOSEN)
                    .collect(rows, "demo", folder.resolve("features").toString());
            write(found, folder.resolve("many"), config);
            String page = folder.resolve("none").toString();
            assertRefused(
                    "keeps no sums of feature 4",
                    () -> DashboardJob.of(found)
                            .config(config)
                            .features(4)
                            .page(page)
                            .write());
            assertRefused(
                    "keeps the chosen features alone",
                    () -> DashboardJob.of(found).page(page).write());
            FeatureJob outside = FeatureJob.of(ModelAndSae.DEMO).features(new int[] {0, 1024}, CorrelationScope.ALL);
            assertRefused(
                    "features 0 to 1024 are not all among the SAE's features 0 to 1023",
                    () -> outside.collect(
                            rows, "demo", folder.resolve("outside").toString()));
        }
        assertSame(folder.resolve("one"), folder.resolve("many"));
    }
}
