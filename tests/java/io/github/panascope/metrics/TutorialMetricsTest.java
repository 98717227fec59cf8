package io.github.panascope.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.Arrays;
import java.util.List;
import java.util.function.ToDoubleFunction;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.BeforeParameterizedClassInvocation;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** L0 and the losses of the tutorial, against SAELens and TransformerLens. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class TutorialMetricsTest {
    private static final Golden GOLDEN = Golden.standardA();
    private static final String RELEASE = "gpt2-small-res-jb/blocks.2.hook_resid_pre";
    private static final String PROMPT = "When John and Mary went to the shops, John gave the bag to";

    private static Sae sae() {
        return Sae.fromPretrained(
                RELEASE, Sae.Options.DEFAULT.device(TestDevice.DEVICE).hub(GOLDEN.hub()));
    }

    /** On 32 rows of text, for SAEs of each architecture. */
    @Nested
    @ParameterizedClass
    @ValueSource(strings = {"standard_a", "gated_b", "jumprelu_c", "topk_d"})
    class OnRowsOfText {
        private static final int ROWS = 32;

        @Parameter
        private String name;

        private static Golden golden;
        private static long rows;
        private static TutorialMetrics evaluation, exact;

        @BeforeParameterizedClassInvocation
        static void evaluate(String name) {
            golden = Golden.of(name);
            try (var _ = TensorScope.open();
                    HookedTransformer model = golden.loadModel();
                    Sae sae = golden.loadSae()) {
                TokenDataset tokens = golden.tokens(model, 64);
                rows = tokens.rows();
                evaluation = TutorialMetrics.run(model, sae, tokens.batch(0, ROWS));
                exact = TutorialMetrics.run(model.exact(), sae.exact(), tokens.batch(0, ROWS));
            }
        }

        @Test
        void theTextHasTheirRows() {
            assertEquals(golden.number("n_rows_total"), rows);
        }

        @Test
        void shortcutsChangeNothing() {
            assertEquals(exact.l0().mean(), evaluation.l0().mean(), 0.02);
            for (var loss : List.<ToDoubleFunction<DownstreamLoss>>of(
                    DownstreamLoss::original, DownstreamLoss::reconstructed, DownstreamLoss::zero)) {
                assertEquals(
                        loss.applyAsDouble(exact.loss()),
                        loss.applyAsDouble(evaluation.loss()),
                        2e-6 * loss.applyAsDouble(exact.loss()));
            }
        }

        @Test
        void l0IsTheirs() {
            assertEquals(golden.number("l0_mean"), evaluation.l0().mean(), 0.02);
        }

        @Test
        void theHistogramOfL0IsTheirs() {
            long[] histogram = golden.expected()
                    .get("l0_histogram")
                    .valueStream()
                    .mapToLong(JsonNode::longValue)
                    .toArray();
            long moved = 0;
            long[] ours = evaluation.l0().histogram();
            for (int i = 0; i < Math.max(histogram.length, ours.length); i++) {
                moved += Math.abs((i < ours.length ? ours[i] : 0) - (i < histogram.length ? histogram[i] : 0));
            }
            assertTrue(moved <= 0.01 * ROWS * 63, moved + " positions differ");
        }

        @Test
        void theThreeLossesAreTheirs() {
            assertEquals(golden.number("ce_orig"), evaluation.loss().original(), 1e-4);
            assertEquals(golden.number("ce_reconstr"), evaluation.loss().reconstructed(), 1e-4);
            assertEquals(golden.number("ce_zero"), evaluation.loss().zero(), 1e-4);
        }
    }

    @Test
    void thePromptsLossesEqualThePeers() {
        try (var _ = TensorScope.open();
                HookedTransformer model = GOLDEN.loadModel();
                Sae sae = sae()) {
            JsonNode expected = GOLDEN.expected().get("prompt");
            Tensor tokens = model.toTokens(PROMPT);
            assertEquals(
                    StreamSupport.stream(expected.get("tokens").get(0).spliterator(), false)
                            .map(JsonNode::longValue)
                            .toList(),
                    Arrays.stream(tokens.toLongs()).boxed().toList());
            DownstreamLoss loss = TutorialMetrics.run(model, sae, tokens).loss();
            assertEquals(expected.get("ce_orig").doubleValue(), loss.original(), 1e-4);
            assertEquals(expected.get("ce_reconstr").doubleValue(), loss.reconstructed(), 1e-4);
            assertEquals(expected.get("ce_zero").doubleValue(), loss.zero(), 1e-4);
        }
    }
}
