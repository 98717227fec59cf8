package io.github.panascope.dashboard;

import static io.github.panascope.dashboard.DashboardFixture.FEATURES;
import static io.github.panascope.dashboard.DashboardFixture.ROWS;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.OnEachDevice;
import io.github.panascope.torch.TensorScope;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Dashboards with options: excluded positions and ablations. */
@OnEachDevice
class DashboardsTest extends UsesDashboardFixture {

    @Test
    void excludedPositionsCountAsZero() {
        try (FeatureStore store = open("excluded", FEATURES)) {
            fixture.collect(store, 0, ROWS, 16, 2);
            DashboardConfig config = DashboardConfig.builder()
                    .ignoreTokens(Set.of(50256))
                    .ignorePositions(Set.of(1, 10))
                    .ignoreHighActivationNormMultiple(3)
                    .build();
            Dashboards all = Dashboards.of(fixture.model, fixture.sae, store, DashboardConfig.DEFAULT);
            Dashboards some = Dashboards.of(fixture.model, fixture.sae, store, config);
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
            fixture.collect(store, 0, 16, 16, 2);
            DashboardConfig config = DashboardConfig.builder()
                    .performAblationExperiments(true)
                    .nQuantiles(2)
                    .topActsGroupSize(4)
                    .quantileGroupSize(2)
                    .build();
            int[] compared = {0};
            Dashboards.of(fixture.model, fixture.sae, store, config).forEach(new int[] {3, 57}, 2, dashboard -> {
                for (var group : dashboard.groups())
                    for (var sequence : group.sequences()) {
                        try (var _ = TensorScope.open()) {
                            var row = fixture.tokens.batch(sequence.row(), sequence.row() + 1);
                            float[] whole =
                                    fixture.model.forward(row).lossPerToken().toFloats();
                            float[] without = fixture.model
                                    .forward(row)
                                    .attach(fixture.sae.attachment(true))
                                    .hooks(fixture.sae.ablation(dashboard.feature()))
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
}
