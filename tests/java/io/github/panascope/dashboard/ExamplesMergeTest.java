package io.github.panascope.dashboard;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.OnEachDevice;
import io.github.panascope.Travel;
import io.github.panascope.dashboard.FeatureExamples.Example;
import io.github.panascope.tokens.TokenDataset;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Examples of parts of a corpus, merged in any order and grouping, are those of the corpus. */
@OnEachDevice
class ExamplesMergeTest extends UsesDashboardFixture {
    private static final Travel<FeatureExamples> EXAMPLES =
            new Travel<>(FeatureExamples::writeTo, FeatureExamples::readFrom);
    private static final int K = 4;
    private static final int BATCH = 3;
    private static final int ROWS = 18;

    private Map<Integer, FeatureExamples> search(int first, int end) {
        TokenDataset rows = TokenDataset.ofTokens(
                consumer -> IntStream.range(first, end)
                        .mapToObj(fixture.tokens::row)
                        .forEach(consumer),
                fixture.model.config().dVocab(),
                DashboardFixture.CONTEXT,
                end - first);
        int[] all = IntStream.range(0, fixture.sae.config().dSae()).toArray();
        return FeatureExamples.search(fixture.model, fixture.sae)
                .rowsInBatch(BATCH)
                .firstText(first)
                .top(rows, all, K);
    }

    @Test
    void partsOfACorpusAreTheCorpus() throws IOException {
        Map<Integer, FeatureExamples> whole = search(0, ROWS);
        Random random = new Random(1);
        int[] cuts = {0, BATCH, 4 * BATCH, ROWS};
        List<Map<Integer, FeatureExamples>> parts = new ArrayList<>();
        for (int i = 1; i < cuts.length; i++) parts.add(search(cuts[i - 1], cuts[i]));
        int full = 0;
        for (int feature : whole.keySet()) {
            List<FeatureExamples> found = new ArrayList<>(List.of(new FeatureExamples(feature, List.of())));
            for (Map<Integer, FeatureExamples> part : parts) found.add(part.get(feature));
            FeatureExamples merged = EXAMPLES.tree(found, random, (a, b) -> a.merge(b, K));
            assertEquals(whole.get(feature), merged);
            assertArrayEquals(EXAMPLES.bytes(whole.get(feature)), EXAMPLES.bytes(merged));
            if (merged.examples().size() == K) full++;
        }
        assertTrue(full > 20, full + " features");
    }

    @Test
    void textsAreNumberedFromTheFirst() {
        List<String> texts = List.of("John gave the bag to Mary", "The cat sat on the mat");
        int[] all = IntStream.range(0, fixture.sae.config().dSae()).toArray();
        Map<Integer, FeatureExamples> here =
                FeatureExamples.search(fixture.model, fixture.sae).top(texts::forEach, all, K);
        Map<Integer, FeatureExamples> there = FeatureExamples.search(fixture.model, fixture.sae)
                .firstText(5_000_000_000L)
                .top(texts::forEach, all, K);
        int compared = 0;
        for (int feature : all) {
            List<Long> moved = here.get(feature).examples().stream()
                    .map(example -> 5_000_000_000L + example.text())
                    .toList();
            assertEquals(
                    moved,
                    there.get(feature).examples().stream().map(Example::text).toList());
            compared += moved.size();
        }
        assertTrue(compared > 20, compared + " examples");
        assertThrows(
                IllegalArgumentException.class,
                () -> FeatureExamples.search(fixture.model, fixture.sae).firstText(-1));
    }

    /** Examples at many places, with few activations, so that many are equal. */
    private static List<Example> examples(Random random, int count) {
        List<Example> examples = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            float[] activations = {random.nextInt(3), 1 + random.nextInt(4) / 2f, 0};
            examples.add(new Example(
                    i / 2, 9 * (i % 2) + 1, 9 * (i % 2), List.of("a", " \u00e9\ud83d", ""), activations, "x", "\n"));
        }
        Collections.shuffle(examples, random);
        return examples;
    }

    @Test
    void equalActivationsAreInTheOrderOfTheTexts() throws IOException {
        Random random = new Random(2);
        for (int round = 0; round < 200; round++) {
            int k = random.nextInt(1, 8);
            FeatureExamples none = new FeatureExamples(7, List.of());
            List<FeatureExamples> parts = new ArrayList<>(List.of(none));
            List<Example> all = examples(random, random.nextInt(1, 30));
            for (Example example : all) parts.add(new FeatureExamples(7, List.of(example)));
            FeatureExamples whole = none.merge(new FeatureExamples(7, all), k);
            FeatureExamples merged = EXAMPLES.tree(parts, random, (a, b) -> a.merge(b, k));
            assertArrayEquals(EXAMPLES.bytes(whole), EXAMPLES.bytes(merged));
            assertEquals(whole, whole.merge(whole, k));
            for (int i = 1; i < whole.examples().size(); i++) {
                Example before = whole.examples().get(i - 1);
                Example example = whole.examples().get(i);
                assertTrue(before.activation() > example.activation()
                        || before.activation() == example.activation()
                                && before.text() * 100 + before.position() < example.text() * 100 + example.position());
            }
        }
        FeatureExamples none = new FeatureExamples(7, List.of());
        assertThrows(IllegalArgumentException.class, () -> none.merge(none, 0));
        assertThrows(IllegalArgumentException.class, () -> none.merge(new FeatureExamples(8, List.of()), 1));
    }

    @Test
    void examplesTravel() throws IOException, ClassNotFoundException {
        EXAMPLES.assertComesBack(new FeatureExamples(0, List.of()));
        FeatureExamples found = new FeatureExamples(24_000, examples(new Random(3), 12));
        EXAMPLES.assertComesBack(found);
        assertEquals(found, EXAMPLES.read(EXAMPLES.bytes(found)));
        EXAMPLES.assertDamageIsRefused(found);
        EXAMPLES.assertForgeriesDoNoHarm(found);
    }
}
