package io.github.panascope.sae;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.OnEachDevice;
import io.github.panascope.SurfaceFixture;
import io.github.panascope.lens.Attachment;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

/** What each feature of an SAE adds to a metric, against SAELens. */
@OnEachDevice
class FeatureAttributionTest extends SurfaceFixture {
    private Sae sae;
    private List<FeatureAttribution.Attribution> exact;

    @BeforeAll
    void attribute() {
        sae = CASE.loadSae();
        try (var _ = TensorScope.open()) {
            exact = FeatureAttribution.byAblation(
                    model, sae, prompt, logits -> metric().apply(logits).item());
        }
    }

    @AfterAll
    void closeSae() {
        sae.close();
    }

    @Test
    void gradientTimesActivationIsTheirs() {
        Golden.assertClose(
                expected.tensor("attribution"),
                FeatureAttribution.byGradient(model, sae, prompt, metric()),
                "activation times gradient");
    }

    @Test
    void exactEffectsAreTheirs() {
        assertEquals(GOLDEN.expected().get("active").intValue(), exact.size());
        for (JsonNode one : GOLDEN.expected().get("ablation")) {
            var found = exact.stream()
                    .filter(each -> each.position() == one.get(0).intValue()
                            && each.feature() == one.get(1).intValue())
                    .findFirst()
                    .orElseThrow();
            assertEquals(
                    one.get(2).doubleValue(),
                    found.effect(),
                    1e-4,
                    one.toString()); // a difference of two logits of about 20, each within 1e-5
        }
    }

    @Test
    void theLargestEffectsComeFirst() {
        for (int i = 1; i < exact.size(); i++)
            assertTrue(
                    Math.abs(exact.get(i - 1).effect()) >= Math.abs(exact.get(i).effect()));
    }

    @Test
    void onePositionCanBeAskedFor() {
        assertTrue(
                FeatureAttribution.byAblation(
                                model,
                                sae,
                                prompt,
                                logits -> metric().apply(logits).item(),
                                3)
                        .stream()
                        .allMatch(each -> each.position() == 3));
    }

    @Test
    void theTopFeaturesAreAsManyAsAskedFor() {
        List<FeatureAttribution.Attribution> top = FeatureAttribution.topByGradient(model, sae, prompt, metric(), 5);
        assertEquals(5, top.size());
    }

    @Test
    void ablatedFeaturesGiveTheirMetric() {
        JsonNode both = GOLDEN.expected().get("ablated_features");
        int[] features =
                both.get("features").valueStream().mapToInt(JsonNode::intValue).toArray();
        Tensor without = model.with(sae.attachment(true)).runWithHooks(prompt, sae.ablation(features));
        assertEquals(both.get("metric").doubleValue(), metric().apply(without).item(), 1e-4);
    }

    @Test
    void aFeatureThatIsNoneIsRefused() {
        assertThrows(IndexOutOfBoundsException.class, () -> sae.ablation(384));
    }

    @Test
    void aBatchOfSeveralTextsIsRefused() {
        assertThrows(
                IllegalArgumentException.class,
                () -> FeatureAttribution.byAblation(model, sae, model.toTokens(texts(), true), logits -> 0));
    }

    @Test
    void anAttachmentThatSpansTheLayerIsNoObstacle() {
        Attachment spans = new Attachment(
                "blocks.0.hook_resid_mid",
                "blocks.2.hook_mlp_out",
                List.of(),
                (read, there, ids, hooks) -> there.add(read.mul(0.1)));
        assertTrue(FeatureAttribution.byAblation(
                                model.with(spans),
                                sae,
                                prompt,
                                logits -> metric().apply(logits).item(),
                                3)
                        .size()
                > 0);
    }
}
