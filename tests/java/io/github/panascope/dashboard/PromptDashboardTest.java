package io.github.panascope.dashboard;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.dashboard.FeatureDashboard.Entry;
import io.github.panascope.dashboard.FeatureDashboard.Sequence;
import io.github.panascope.dashboard.PromptDashboard.Metric;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.AfterParameterizedClassInvocation;
import org.junit.jupiter.params.BeforeParameterizedClassInvocation;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Features at a prompt against SAEDashboard's parse_prompt_data: see tests/peers/make_prompt.py. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class PromptDashboardTest {
    /** With the features, tokens and numbers that SAEDashboard wrote for a case. */
    @Nested
    @ParameterizedClass
    @ValueSource(strings = {"standard_a", "gated_b"})
    class AgainstSaeDashboard {
        @Parameter
        private String name;

        private static JsonNode expected;
        private static int[] features, tokens;
        private static TensorScope scope;
        private static HookedTransformer model;
        private static Sae loaded, sae;
        private static PromptDashboard prompt, ablated;

        @BeforeParameterizedClassInvocation
        static void load(String name, @TempDir Path folder) throws IOException {
            Golden golden = Golden.of(name);
            expected = JsonMapper.shared()
                    .readTree(Files.readString(golden.folder().resolve("prompt.json")));
            JsonNode summary = golden.expected().get("dashboard");
            features = summary.get("features")
                    .valueStream()
                    .mapToInt(JsonNode::intValue)
                    .sorted()
                    .toArray();
            tokens = expected.get("tokens")
                    .valueStream()
                    .mapToInt(JsonNode::intValue)
                    .toArray();
            int rows = summary.get("rows").intValue();
            int context = golden.expected().get("args").get("context_size").intValue();
            scope = TensorScope.open();
            model = HookedTransformer.fromPretrained(golden.model().toString(), TestDevice.OPTIONS.hub(golden.hub()));
            loaded = golden.loadSae();
            sae = loaded.foldWDecNorm();
            TokenDataset dataset = golden.tokens(model, context);
            prompt = PromptDashboard.of(model, sae, tokens, DashboardConfig.DEFAULT);
            try (FeatureStore store = FeatureStore.open(
                    folder.resolve("features"),
                    StoreIdentity.of(model, sae, name, context),
                    features,
                    sae.config().dIn())) {
                collect(model, sae, store, dataset, rows);
                Dashboards.of(model, sae, store, DashboardConfig.DEFAULT).forEach(features, 2, prompt);
            }
            ablated = PromptDashboard.of(
                    model,
                    sae,
                    tokens,
                    DashboardConfig.builder().performAblationExperiments(true).build());
        }

        @AfterParameterizedClassInvocation
        static void close() {
            sae.close();
            loaded.close();
            model.close();
            scope.close();
        }

        @Test
        void nothingIsKnownOfFeaturesBeforeTheirDashboardsAre() {
            PromptDashboard early = PromptDashboard.of(model, sae, tokens, DashboardConfig.DEFAULT);
            assertEquals(List.of(), early.top(Metric.ACT_SIZE, 3, 10));
        }

        @Test
        void theScoresAtEachTokenAreTheirs() {
            List<String> text;
            try (var _ = TensorScope.open()) {
                text = model.toStrTokens(model.toTokens(expected.get("prompt").stringValue(), true));
            }
            int compared = 0;
            for (Metric metric : Metric.values())
                for (int position = 0; position < tokens.length; position++)
                    compared += scores(
                            expected.get("scores")
                                    .path(metric.title() + "|'" + text.get(position) + "' (" + position + ")"),
                            prompt.top(metric, position, 10),
                            metric,
                            name + " " + metric + " " + position);
            assertEquals(expected.get("scores").size(), compared);
        }

        @Test
        void theSequenceOfEachFeatureIsTheirs() {
            for (int feature : features)
                sequence(expected.get("sequences").get(Integer.toString(feature)), prompt, feature);
        }

        @Test
        void theLensIsThereBesideExactEffects() {
            assertArrayEquals(prompt.features(), ablated.features());
            for (int feature : Arrays.stream(ablated.features()).limit(20).toArray()) {
                assertArrayEquals(
                        prompt.sequence(feature).ablation().lensLossEffect(),
                        ablated.sequence(feature).ablation().lensLossEffect(),
                        1e-4f);
                assertEquals(tokens.length, ablated.sequence(feature).ablation().lossEffect().length);
            }
        }

        @Test
        void aFeatureChangesNothingBeforeItFires() {
            for (int feature : Arrays.stream(ablated.features()).limit(20).toArray()) {
                int first = IntStream.range(0, tokens.length)
                        .filter(i -> prompt.sequence(feature).activations()[i] != 0)
                        .findFirst()
                        .orElseThrow();
                for (int i = 0; i <= first; i++)
                    assertEquals(0, ablated.sequence(feature).ablation().lossEffect()[i], 1e-5f, "feature " + feature);
            }
        }

        @Test
        void ignoredTokensAndPositionsCountAsZero() {
            PromptDashboard without = PromptDashboard.of(
                    model,
                    sae,
                    tokens,
                    DashboardConfig.builder()
                            .ignoreTokens(Set.of(50256))
                            .ignorePositions(Set.of(2))
                            .ignoreHighActivationNormMultiple(Double.POSITIVE_INFINITY)
                            .build());
            for (int feature : without.features()) {
                assertEquals(0, without.sequence(feature).activations()[0]);
                assertEquals(0, without.sequence(feature).activations()[2]);
            }
        }

        @Test
        void positionsOfHighNormsHaveNoFeatures() {
            PromptDashboard without = PromptDashboard.of(
                    model,
                    sae,
                    tokens,
                    DashboardConfig.builder()
                            .ignoreTokens(Set.of())
                            .ignorePositions(Set.of())
                            .ignoreHighActivationNormMultiple(1e-9)
                            .build());
            assertEquals(0, without.features().length);
        }

        @Test
        void anEmptyPromptIsRefused() {
            assertThrows(
                    IllegalArgumentException.class,
                    () -> PromptDashboard.of(model, sae, new int[0], DashboardConfig.DEFAULT));
        }
    }

    @Test
    void anSaeThatPutsAScaleBackHasNoLens() {
        Golden golden = Golden.of("topk_d"); // layer_norm
        try (var _ = TensorScope.open();
                HookedTransformer model = HookedTransformer.fromPretrained(
                        golden.model().toString(), TestDevice.OPTIONS.hub(golden.hub()));
                Sae sae = golden.loadSae()) {
            int[] tokens = Arrays.stream(model.toTokens("When John and Mary went to the shops", true)
                            .toLongs())
                    .mapToInt(token -> (int) token)
                    .toArray();
            Sequence plain = first(PromptDashboard.of(model, sae, tokens, DashboardConfig.DEFAULT));
            Sequence exact = first(PromptDashboard.of(
                    model,
                    sae,
                    tokens,
                    DashboardConfig.builder().performAblationExperiments(true).build()));
            assertEquals(0, plain.ablation().lensLossEffect().length);
            assertEquals(0, exact.ablation().lensLossEffect().length);
            assertEquals(tokens.length, exact.ablation().lossEffect().length);
        }
    }

    private static Sequence first(PromptDashboard prompt) {
        return prompt.sequence(prompt.features()[0]);
    }

    private static int scores(JsonNode expected, List<Entry> found, Metric metric, String what) {
        if (expected.isMissingNode()) {
            assertTrue(found.isEmpty(), what + ": " + found);
            return 0;
        }
        assertEquals(expected.get(0).size(), found.size(), what);
        Set<Integer> theirs = new HashSet<>();
        Set<Integer> ours = new HashSet<>();
        for (int i = 0; i < found.size(); i++) {
            theirs.add(expected.get(0).get(i).intValue());
            ours.add(found.get(i).index());
            String text = expected.get(1).get(i).stringValue();
            // <|endoftext|> has the same activation in every row: whether it is above or below its equals depends on
            // the last bit of SAEDashboard's value.
            if (metric == Metric.ACT_QUANTILE && what.endsWith(" 0")) continue;
            if (metric == Metric.ACT_QUANTILE) {
                // Written to the digit of its levels; one level apart at most, where a value is at one.
                double step = Math.pow(
                        10,
                        -text.substring(text.indexOf('.') + 1, text.length() - 1)
                                .length());
                assertEquals(
                        Double.parseDouble(text.replace("%", "")),
                        100 * found.get(i).value(),
                        1.01 * step,
                        what);
            } else assertEquals(Double.parseDouble(text), found.get(i).value(), 6e-4, what);
        }
        assertEquals(theirs, ours, what);
        return 1;
    }

    private static void sequence(JsonNode expected, PromptDashboard prompt, int feature) {
        if (Arrays.stream(prompt.features()).noneMatch(active -> active == feature)) {
            assertTrue(
                    expected.get("feat_acts").valueStream().allMatch(value -> value.doubleValue() == 0),
                    "feature " + feature);
            assertThrows(IllegalArgumentException.class, () -> prompt.sequence(feature));
            return;
        }
        Sequence sequence = prompt.sequence(feature);
        for (int i = 0; i < sequence.tokenIds().length; i++) {
            assertEquals(
                    expected.get("feat_acts").get(i).doubleValue(),
                    sequence.activations()[i],
                    1e-4,
                    "feature " + feature);
            assertEquals(
                    expected.get("token_logits").get(i).doubleValue(),
                    sequence.tokenLogits()[i],
                    1e-4,
                    "feature " + feature);
            assertEquals(
                    expected.get("loss_contribution").get(i).doubleValue(),
                    sequence.ablation().lensLossEffect()[i],
                    1e-4,
                    "feature " + feature);
        }
    }

    private static void collect(HookedTransformer model, Sae sae, FeatureStore store, TokenDataset tokens, int rows) {
        FeatureCollector.into(store, model, sae)
                .shardRows(50)
                .threads(2)
                .collect(row -> tokens.row((int) row), 0, rows);
    }
}
