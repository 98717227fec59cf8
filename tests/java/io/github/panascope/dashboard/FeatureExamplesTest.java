package io.github.panascope.dashboard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.OnEachDevice;
import io.github.panascope.RunInterruptedException;
import io.github.panascope.TestDevice;
import io.github.panascope.dashboard.FeatureExamples.Example;
import io.github.panascope.data.TextDataset;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** The top examples of features: against SAEDashboard's positions, and against plain runs of the model. */
@OnEachDevice
class FeatureExamplesTest extends UsesDashboardFixture {
    /** Tokens of a row, of 200 and more tokens in the long text. */
    private static final int CONTEXT = 24;

    private static final List<String> TEXTS = List.of(
            "When John and Mary went to the shops, John gave the bag to Mary",
            "",
            "def f(x):\n    return x + 1\n".repeat(12),
            "The cat sat on the mat. ".repeat(30),
            "One<|endoftext|>Two<|endoftext|>Three");

    private FeatureExamples.Search search() {
        return FeatureExamples.search(fixture.model, fixture.sae).context(CONTEXT);
    }

    private TokenDataset firstRows(int rows) {
        int vocabulary = fixture.model.config().dVocab();
        return TokenDataset.ofTokens(
                consumer ->
                        IntStream.range(0, rows).mapToObj(fixture.tokens::row).forEach(consumer),
                vocabulary,
                DashboardFixture.CONTEXT,
                rows);
    }

    /** Their positions are sorted by activation, so the rows come in the order in which they first appear. */
    @Test
    void theRowsAreThoseOfSaeDashboard() {
        JsonNode golden = Golden.standardA().expected().get("dashboard");
        int[] features = golden.get("features")
                .valueStream()
                .mapToInt(JsonNode::intValue)
                .toArray();
        Map<Integer, FeatureExamples> found = FeatureExamples.search(fixture.model, fixture.sae)
                .top(firstRows(golden.get("rows").intValue()), features, 3);
        int compared = 0;
        for (int f = 0; f < features.length; f++) {
            List<Example> examples = found.get(features[f]).examples();
            assertEquals(
                    golden.get("max").get(f).doubleValue(), examples.getFirst().activation(), 1e-4);
            Map<Integer, Integer> expected = new LinkedHashMap<>();
            golden.get("top_positions")
                    .get(f)
                    .forEach(place -> expected.putIfAbsent(
                            place.get(0).intValue(), place.get(1).intValue()));
            int e = 0;
            for (var place : expected.entrySet()) {
                if (e == examples.size()) break;
                Example example = examples.get(e++);
                assertEquals((long) place.getKey(), example.text(), "feature " + features[f]);
                assertEquals((int) place.getValue(), example.position(), "feature " + features[f]);
                compared++;
            }
        }
        assertTrue(compared > 2 * features.length, compared + " places");
    }

    /** Every row by itself, without a batch, and all of its positions. */
    @Test
    void textsAreCutIntoRowsAndSearched() {
        int bos = fixture.sae.config().prependBos() ? 1 : 0;
        int longest = CONTEXT - bos;
        int[] features = IntStream.range(0, fixture.sae.config().dSae()).toArray();
        int endOfText = fixture.model.tokenizer().eos();
        List<Place> places = new ArrayList<>();
        for (int text = 0; text < TEXTS.size(); text++) {
            int[] ids = fixture.model.tokenizer().encode(TEXTS.get(text));
            for (int first = 0; first < ids.length; first += longest) {
                int[] row = Arrays.copyOfRange(ids, first, Math.min(ids.length, first + longest));
                float[][] values = encoded(row, bos, endOfText);
                for (int feature : features) places.add(highest(text, first, row, values, bos, endOfText, feature));
            }
        }
        List<Integer> rows = new ArrayList<>();
        Map<Integer, FeatureExamples> found =
                search().rowsInBatch(4).progress(rows::add).top(TEXTS::forEach, features, 5);
        assertEquals(IntStream.range(0, features.length).boxed().toList(), List.copyOf(found.keySet()));
        int all = places.size() / features.length;
        assertEquals(all, rows.getLast());
        assertEquals((all + 3) / 4, rows.size());
        int examples = 0;
        for (int feature : features) {
            List<Place> expected = places.stream()
                    .filter(place -> place.feature == feature && place.value > 0)
                    .sorted((a, b) -> Float.compare(b.value, a.value))
                    .limit(5)
                    .toList();
            List<Example> own = found.get(feature).examples();
            assertEquals(expected.size(), own.size(), "feature " + feature);
            for (int e = 0; e < own.size(); e++, examples++)
                assertEquals(expected.get(e).value, own.get(e).activation(), 1e-4, "feature " + feature);
        }
        assertTrue(examples > features.length, examples + " examples");
    }

    private record Place(int feature, int text, int position, float value) {}

    private static Place highest(
            int text, int first, int[] row, float[][] values, int bos, int endOfText, int feature) {
        Place highest = new Place(feature, text, -1, 0);
        for (int i = 0; i < row.length; i++)
            if (row[i] != endOfText && values[bos + i][feature] > highest.value)
                highest = new Place(feature, text, first + i, values[bos + i][feature]);
        return highest;
    }

    /** The features of one row [position][feature], by a run with a cache. */
    private float[][] encoded(int[] row, int bos, int endOfText) {
        int[] ids = new int[bos + row.length];
        if (bos > 0) ids[0] = endOfText;
        System.arraycopy(row, 0, ids, bos, row.length);
        String hook = fixture.sae.config().hookName();
        try (var _ = TensorScope.open()) {
            Tensor tokens = TestDevice.on(Tensor.ofTokens(ids));
            Tensor activation =
                    fixture.model.runWithCache(tokens, hook::equals).cache().get(hook);
            float[] all = fixture.sae.encode(activation).toFloats();
            int width = all.length / ids.length;
            return IntStream.range(0, ids.length)
                    .mapToObj(i -> Arrays.copyOfRange(all, i * width, (i + 1) * width))
                    .toArray(float[][]::new);
        }
    }

    @Test
    void contextGoesOnBeyondTheRow() {
        String text = TEXTS.get(3);
        List<String> whole =
                fixture.model.tokenizer().tokens(fixture.model.tokenizer().encode(text));
        int seen = 0;
        for (FeatureExamples each : search().buffer(7)
                .top(TEXTS::forEach, IntStream.range(0, 384).toArray(), 8)
                .values()) {
            for (Example example : each.examples()) {
                assertEquals(example.tokens().size(), example.activations().length);
                if (example.text() != 3) continue;
                for (float activation : example.activations()) assertTrue(activation <= example.activation());
                int from = Math.max(0, example.position() - 7);
                int to = Math.min(whole.size(), example.position() + 8);
                assertEquals(
                        String.join("", whole.subList(from, to)),
                        example.before() + String.join("", example.tokens()) + example.after());
                assertEquals(whole.get(example.position()), example.token());
                if (!example.before().isEmpty() || !example.after().isEmpty()) seen++;
            }
        }
        assertTrue(seen > 10, seen + " examples at the edge of a row");
    }

    @Test
    void examplesPrintInOneLine() {
        Example example = new Example(3, 5, 4, List.of(" a", " b\n", " c"), new float[] {0, 2.5f, 1}, "..", "!");
        assertEquals("2.5000  text 3, position 5: .. a[[ b\\n]] c!", example.toString());
        assertEquals(
                "feature 7, 1 example\n  2.5000  text 3, position 5: .. a[[ b\\n]] c!",
                new FeatureExamples(7, List.of(example)).toString());
        assertEquals("feature 7, 0 examples", new FeatureExamples(7, List.of()).toString());
        example.activations()[1] = 9;
        assertEquals(2.5f, example.activation());
        assertThrows(UnsupportedOperationException.class, () -> example.tokens().clear());
    }

    @Test
    void examplesOfEqualContentAreEqual() {
        float[] values = {0, 2.5f, 1};
        List<String> tokens = List.of("a", "b", "c");
        Example example = new Example(3, 5, 4, tokens, values, "..", "!");
        Example same = new Example(3, 5, 4, List.copyOf(tokens), values.clone(), "..", "!");
        assertEquals(example, same);
        assertEquals(example.hashCode(), same.hashCode());
        assertEquals(new FeatureExamples(7, List.of(example)), new FeatureExamples(7, List.of(same)));
        assertNotEquals(example, new Example(3, 5, 4, tokens, new float[] {0, 2.5f, 2}, "..", "!"));
        assertNotEquals(example, new Example(2, 5, 4, tokens, values, "..", "!"));
        assertNotEquals(example, new Example(3, 5, 4, tokens, values, "..", ""));
    }

    @Test
    void aDatasetIsSearchedAsItsTexts() throws IOException {
        StringBuilder lines = new StringBuilder("{\"text\": null}\n");
        for (String text : TEXTS)
            lines.append("{\"text\": ")
                    .append(JsonMapper.shared().writeValueAsString(text))
                    .append("}\n");
        TextDataset dataset = TextDataset.of(
                Files.writeString(folder.resolve("texts.jsonl"), lines).toString());
        int[] all = IntStream.range(0, fixture.sae.config().dSae()).toArray();
        Map<Integer, FeatureExamples> expected = FeatureExamples.top(fixture.model, fixture.sae, TEXTS, all, 3);
        FeatureExamples active = expected.values().stream()
                .filter(each -> each.examples().size() == 3)
                .findFirst()
                .orElseThrow();
        assertEquals(expected, FeatureExamples.top(fixture.model, fixture.sae, dataset, all, 3));
        assertEquals(
                active.examples().stream().map(Example::position).toList(),
                FeatureExamples.top(fixture.model, fixture.sae, dataset, active.feature(), 3).examples().stream()
                        .map(Example::position)
                        .toList());
    }

    @Test
    void oneFeatureIsOneCall() {
        int[] all = IntStream.range(0, fixture.sae.config().dSae()).toArray();
        FeatureExamples expected = FeatureExamples.top(fixture.model, fixture.sae, TEXTS, all, 2).values().stream()
                .filter(each -> each.examples().size() == 2)
                .findFirst()
                .orElseThrow();
        int feature = expected.feature();
        Iterable<String> stream = TEXTS.stream()::iterator;
        for (Iterable<String> texts : List.of(TEXTS, stream))
            assertEquals(expected, FeatureExamples.top(fixture.model, fixture.sae, texts, feature, 2));
        assertEquals(
                List.of(57, 3),
                List.copyOf(FeatureExamples.top(fixture.model, fixture.sae, TEXTS, new int[] {57, 3, 57}, 2)
                        .keySet()));
        assertEquals(
                List.of(),
                FeatureExamples.top(fixture.model, fixture.sae, List.of(), feature, 2)
                        .examples());
    }

    @Test
    void wrongRequestsAreRefused() {
        assertThrows(
                IndexOutOfBoundsException.class, () -> FeatureExamples.top(fixture.model, fixture.sae, TEXTS, 384, 1));
        assertThrows(
                IllegalArgumentException.class, () -> FeatureExamples.top(fixture.model, fixture.sae, TEXTS, 0, 0));
        assertThrows(IllegalArgumentException.class, () -> search().context(1));
        assertThrows(IllegalArgumentException.class, () -> search().context(129));
        assertThrows(IllegalArgumentException.class, () -> search().buffer(-1));
        assertThrows(IllegalArgumentException.class, () -> search().rowsInBatch(0));
    }

    @Test
    void aSearchStopsWhereItIs() {
        List<Integer> rows = new ArrayList<>();
        Stream<String> endless = Stream.generate(() -> TEXTS.get(0));
        FeatureExamples.Search search = search().rowsInBatch(2).progress(done -> {
            rows.add(done);
            if (done == 6) Thread.currentThread().interrupt();
        });
        assertThrows(RunInterruptedException.class, () -> search.top(endless::forEachOrdered, new int[] {3}, 1));
        assertTrue(Thread.interrupted());
        assertEquals(List.of(2, 4, 6), rows);
    }
}
