package io.github.panascope;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.abort;

import io.github.panascope.data.TextDataset;
import io.github.panascope.hub.Hub;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.lens.TestPrompt;
import io.github.panascope.metrics.TutorialMetrics;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.ChunkingStrategy;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.TensorScope;
import java.io.IOException;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * The tutorial's own figures, for the real weights, about 700 MB from the hub: {@code mvn -B test -Phub}. Skipped, with
 * a message, where the hub is out of reach. The figures are those in the notebook as it was published, from another
 * machine's float32.
 */
@Tag("hub")
class RealHubTest {
    private static final String SAE = "gpt2-small-res-jb/blocks.8.hook_resid_pre";

    @Test
    void theNotebooksFiguresComeOut() {
        Hub hub = Hub.fromEnvironment();
        TextDataset pile;
        try {
            HookedTransformer.fetch("gpt2-small", hub);
            Sae.fetch(SAE, hub, SaeRegistry.bundled());
            pile = TextDataset.of("NeelNanda/pile-10k", hub);
        } catch (InputException e) {
            if (!(e.getCause() instanceof IOException) && !e.getMessage().contains("HF_HUB_OFFLINE")) throw e;
            System.err.println("RealHubTest is skipped: " + e.getMessage());
            abort(e.getMessage());
            return;
        }
        try (var _ = TensorScope.open();
                HookedTransformer model = HookedTransformer.fromPretrained("gpt2-small");
                Sae sae = Sae.fromPretrained(SAE)) {
            TokenDataset tokens = TokenDataset.tokenizeAndConcatenate(
                    pile::forEach,
                    model.tokenizer(),
                    ChunkingStrategy.CHARACTER_CHUNKS,
                    sae.config().contextSize(),
                    true,
                    32);
            TutorialMetrics evaluation = TutorialMetrics.run(model, sae, tokens.batch(0, 32));
            assertEquals(68.78986, evaluation.l0().mean(), 0.02);
            assertEquals(3.5622, evaluation.loss().original(), 1e-3);
            assertEquals(3.7642, evaluation.loss().reconstructed(), 1e-3);
            assertEquals(11.1466, evaluation.loss().zero(), 1e-3);
            var top = TestPrompt.run(
                            model,
                            "When John and Mary went to the shops, John gave the bag to",
                            List.of(" Mary"),
                            Hooks.NONE,
                            10)
                    .positions()
                    .getFirst()
                    .top();
            assertEquals(
                    List.of(
                            " Mary 18.19 69.93",
                            " them 15.82 6.49",
                            " the 15.48 4.66",
                            " his 14.93 2.66",
                            " John 14.86 2.49",
                            " her 14.12 1.19",
                            " their 13.99 1.04",
                            " a 13.70 0.78",
                            " him 13.53 0.66",
                            " Mrs 13.39 0.57"),
                    top.stream()
                            .map(each -> String.format(
                                    Locale.ROOT, "%s %.2f %.2f", each.token(), each.logit(), 100 * each.prob()))
                            .toList());
        }
    }
}
