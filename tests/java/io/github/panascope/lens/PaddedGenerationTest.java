package io.github.panascope.lens;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import io.github.panascope.OnEachDevice;
import io.github.panascope.SurfaceFixture;
import io.github.panascope.torch.Tensor;
import java.util.Arrays;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Texts of any lengths, generated together. TransformerLens does not mask what it fills in while it generates; here
 * each row is what its text alone gives.
 */
@OnEachDevice
class PaddedGenerationTest extends SurfaceFixture {
    private static void assertEnds(long[] alone, Tensor row, String text) {
        long[] found = row.toLongs();
        assertArrayEquals(alone, Arrays.copyOfRange(found, found.length - alone.length, found.length), text);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void eachRowIsWhatItsTextAloneGives(boolean cache) {
        Tensor together =
                model.generate(texts()).maxNewTokens(8).usePastKvCache(cache).run();
        for (int row = 0; row < texts().size(); row++) {
            String text = texts().get(row);
            assertEnds(model.generate(text).maxNewTokens(8).run().toLongs(), together.select(0, row), text);
        }
    }

    /** What fills a row up is not text of which a penalty could be for. */
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void aPenaltyIsForTheTextAlone(boolean cache) {
        Sampling penalized = new Sampling(1, 1, 1, 0.5);
        Hooks ending = Hooks.at(
                "ln_final.hook_normalized",
                (x, name) -> x.add(
                        model.weight("unembed.W_U").slice(1, 50256, 50257).t().mul(2)));
        Tensor favoured = model.generate(texts())
                .sampling(penalized)
                .stopAtEos(false)
                .hooks(ending)
                .maxNewTokens(6)
                .usePastKvCache(cache)
                .run();
        for (int row = 0; row < texts().size(); row++) {
            String text = texts().get(row);
            long[] alone = model.generate(text)
                    .sampling(penalized)
                    .stopAtEos(false)
                    .hooks(ending)
                    .maxNewTokens(6)
                    .run()
                    .toLongs();
            assertEnds(alone, favoured.select(0, row), text);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void theFirstRowDrawsWhatItWouldAlone(boolean cache) {
        Sampling drawn = new Sampling(1, 0, 1, 0.5);
        assertArrayEquals(
                model.generate(texts().getFirst())
                        .sampling(drawn)
                        .seed(3)
                        .maxNewTokens(6)
                        .run()
                        .toLongs(),
                model.generate(texts())
                        .sampling(drawn)
                        .seed(3)
                        .maxNewTokens(6)
                        .usePastKvCache(cache)
                        .run()
                        .select(0, 0)
                        .toLongs());
    }
}
