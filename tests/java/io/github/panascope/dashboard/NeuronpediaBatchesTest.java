package io.github.panascope.dashboard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.TensorScope;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Batches against NeuronpediaRunner's own, field by field: see tests/peers/make_neuronpedia.py. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class NeuronpediaBatchesTest {
    /** Both are rounded to 3 decimals, so that the last of them may differ. */
    private static final double ROUNDED = 1.001e-3;

    private static final int END_OF_TEXT = 50256;

    @TempDir
    private Path folder;

    @ParameterizedTest
    @ValueSource(strings = {"standard_a", "jumprelu_c"})
    void equalsTheRunners(String name) throws Exception {
        Golden golden = Golden.of(name);
        JsonNode expected =
                JsonMapper.shared().readTree(Files.readString(golden.folder().resolve("neuronpedia.json")));
        JsonNode first = expected.get("features").get(0);
        int[] features = expected.get("features")
                .valueStream()
                .mapToInt(feature -> feature.get("feature_index").intValue())
                .toArray();
        int rows = first.get("n_prompts_total").intValue();
        int context = first.get("n_tokens_in_prompt").intValue();
        Path file = folder.resolve("batch-0.json");
        try (var _ = TensorScope.open();
                HookedTransformer model = golden.loadModel();
                Sae loaded = golden.loadSae();
                Sae sae = loaded.foldWDecNorm()) {
            TokenDataset tokens = golden.tokens(model, context);
            try (FeatureStore store = FeatureStore.open(
                    folder.resolve("features"),
                    StoreIdentity.of(model, sae, name, context),
                    features,
                    sae.config().dIn())) {
                collect(model, sae, store, tokens, rows);
                DashboardConfig config = DashboardConfig.builder()
                        .correlatedFeatures(DashboardConfig.CorrelationScope.CHOSEN)
                        .buffer(-1)
                        .nQuantiles(5)
                        .topActsGroupSize(20)
                        .quantileGroupSize(5)
                        .ignoreTokens(Set.of(END_OF_TEXT))
                        .ignorePositions(Set.of())
                        .ignoreHighActivationNormMultiple(Double.POSITIVE_INFINITY)
                        .build();
                Dashboards dashboards = Dashboards.of(model, sae, store, config);
                try (NeuronpediaBatches batches = NeuronpediaBatches.open(
                        folder,
                        sae.config(),
                        model.tokenizer(),
                        dashboards,
                        first.get("dataset").stringValue())) {
                    dashboards.forEach(features, 2, batches);
                }
            }
        }
        JsonNode ours = JsonMapper.shared().readTree(Files.readString(file));
        assertEquals(List.copyOf(expected.propertyNames()), List.copyOf(ours.propertyNames()));
        for (String field : List.of("model_id", "layer", "sae_set", "sae_id_suffix"))
            assertEquals(expected.get(field), ours.get(field), field);
        assertEquals(features.length, ours.get("features").size());
        for (int i = 0; i < features.length; i++)
            feature(expected.get("features").get(i), ours.get("features").get(i), name + " feature " + features[i]);
    }

    private static void feature(JsonNode expected, JsonNode ours, String what) {
        assertEquals(List.copyOf(expected.propertyNames()), List.copyOf(ours.propertyNames()), what);
        for (String field : expected.propertyNames()) {
            if (field.equals("activations")) continue;
            if (field.startsWith("correlated") && ours.get(field).isEmpty())
                assertEquals(
                        0,
                        expected.get("frac_nonzero").doubleValue(),
                        what + ": one that never fires correlates with nothing"); // theirs lists something all the same
            else if (field.startsWith("correlated_features")) correlated(expected, ours, field, what);
            else if (field.equals("frac_nonzero"))
                assertEquals(expected.get(field).doubleValue(), ours.get(field).doubleValue(), 1.001e-5, what);
            else if (field.equals("freq_hist_data_bar_heights") || field.equals("logits_hist_data_bar_heights"))
                heights(expected.get(field), ours.get(field), what + " " + field);
            else same(expected.get(field), ours.get(field), what + " " + field);
        }
        activations(expected.get("activations"), ours.get("activations"), what);
    }

    /** A value at a bar's edge may fall on either side by its last bit. */
    private static void heights(JsonNode expected, JsonNode ours, String what) {
        assertEquals(expected.size(), ours.size(), what);
        int moved = 0;
        for (int i = 0; i < expected.size(); i++)
            moved += Math.abs(expected.get(i).intValue() - ours.get(i).intValue());
        assertTrue(moved <= 4, what + ": " + moved);
    }

    /** A feature that correlates with too few others lists itself there, with zero. */
    private static void correlated(JsonNode expected, JsonNode ours, String field, String what) {
        JsonNode indices = expected.get("correlated_features_indices");
        for (int i = 0; i < indices.size(); i++) {
            if (indices.get(i).intValue() == expected.get("feature_index").intValue()) return;
            same(expected.get(field).get(i), ours.get(field).get(i), what + " " + field + " " + i);
        }
    }

    private static void same(JsonNode expected, JsonNode ours, String what) {
        assertEquals(expected.getNodeType(), ours.getNodeType(), what);
        if (expected.isNumber()) assertEquals(expected.doubleValue(), ours.doubleValue(), ROUNDED, what);
        else if (expected.isArray()) {
            assertEquals(expected.size(), ours.size(), what);
            for (int i = 0; i < expected.size(); i++) same(expected.get(i), ours.get(i), what + " " + i);
        } else if (!expected.equals(ours)
                && ours.isString()
                && ours.stringValue().contains("\uFFFD"))
            assertTrue(expected.stringValue().chars().anyMatch(c -> c > 127), what); // a piece of a character
        else if (!expected.equals(ours) && ours.isString())
            assertEquals(expected.stringValue(), vocabularyLetters(ours.stringValue()), what);
        else assertEquals(expected, ours, what);
    }

    /** What stands outside ASCII is there in the letters that GPT-2's vocabulary has for its bytes, not decoded. */
    private static String vocabularyLetters(String text) {
        StringBuilder letters = new StringBuilder();
        for (byte signed : text.getBytes(StandardCharsets.UTF_8)) {
            int value = signed & 0xFF;
            letters.append((char)
                    (value < 32 && value != '\n'
                            ? 256 + value
                            : value < 127 || value > 160 && value != 173
                                    ? value
                                    : value == 173 ? 256 + 67 : 256 + 33 + value - 127));
        }
        return letters.toString();
    }

    private static String bin(JsonNode activation) {
        return activation.get("bin_min").doubleValue() + " "
                + activation.get("bin_max").doubleValue() + " "
                + activation.get("bin_contains").doubleValue();
    }

    /**
     * The highest ones one by one; of the intervals, whose members they draw at random, the intervals and how many they
     * show.
     */
    private static void activations(JsonNode expected, JsonNode ours, String what) {
        List<JsonNode> theirTop = top(expected);
        List<JsonNode> ourTop = top(ours);
        Set<String> values = new HashSet<>();
        int compared = 0;
        for (int i = 0; i < ourTop.size(); i++) {
            JsonNode there = theirTop.get(i);
            JsonNode here = ourTop.get(i);
            assertEquals(List.copyOf(there.propertyNames()), List.copyOf(here.propertyNames()), what);
            double value = at(there);
            double next = i + 1 < theirTop.size() ? at(theirTop.get(i + 1)) : value;
            assertEquals(value, at(here), ROUNDED, what + " top " + i);
            if (!values.add(Double.toString(value)) || next == value)
                continue; // the same words again: which comes first is for the last bit to say
            for (String field : there.propertyNames())
                same(there.get(field), here.get(field), what + " top " + i + " " + field);
            compared++;
        }
        assertTrue(
                ourTop.isEmpty() || compared > ourTop.size() / 4,
                what + ": " + compared + " of " + ourTop.size() + " are compared");
        for (JsonNode there :
                ours.isEmpty() ? expected.valueStream().toList() : theirTop.subList(ourTop.size(), theirTop.size()))
            assertEquals(0, at(there), what + ": where they show zeros, we show nothing");
        if (ours.isEmpty()) return;
        List<String> theirBins = expected.valueStream()
                .skip(theirTop.size())
                .map(NeuronpediaBatchesTest::bin)
                .toList();
        List<String> ourBins = ours.valueStream()
                .skip(ourTop.size())
                .map(NeuronpediaBatchesTest::bin)
                .toList();
        assertEquals(theirBins.size(), ourBins.size(), what);
        for (int i = 0; i < theirBins.size(); i++) {
            String[] there = theirBins.get(i).split(" ");
            String[] here = ourBins.get(i).split(" ");
            for (int k = 0; k < there.length; k++)
                assertEquals(Double.parseDouble(there[k]), Double.parseDouble(here[k]), ROUNDED, what + " bin " + i);
        }
    }

    private static List<JsonNode> top(JsonNode activations) {
        return activations
                .valueStream()
                .filter(activation -> activation.get("bin_contains").doubleValue() == -1)
                .toList();
    }

    private static double at(JsonNode activation) {
        return activation
                .get("values")
                .path(activation.get("qualifying_token_index").intValue())
                .doubleValue(0); // they may point behind the last
    }

    private static void collect(HookedTransformer model, Sae sae, FeatureStore store, TokenDataset tokens, int rows) {
        FeatureCollector.into(store, model, sae)
                .shardRows(64)
                .threads(2)
                .collect(row -> tokens.row((int) row), 0, rows);
    }
}
