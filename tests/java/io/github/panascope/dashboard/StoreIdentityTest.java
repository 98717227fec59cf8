package io.github.panascope.dashboard;

import static io.github.panascope.dashboard.DashboardFixture.CONTEXT;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.OnEachDevice;
import io.github.panascope.lens.Hooks;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** The identity of a folder of features names all that its numbers depend on. */
@OnEachDevice
class StoreIdentityTest extends UsesDashboardFixture {

    @Test
    void anIdentityHasEveryFieldOfBothConfigurations() throws Exception {
        Map<String, String> entries = fixture.identity().entries();
        assertHasFields("model", fixture.model.config(), entries);
        assertHasFields("sae", fixture.sae.config(), entries);
        assertTrue(
                entries.keySet()
                        .containsAll(Set.of(
                                "model.norm.eps",
                                "model.attention.nHeads",
                                "model.attention.inverseLayerScale",
                                "sae.k",
                                "sae.metadata.hookName",
                                "sae.dtype",
                                "model.operators",
                                "sae.operators",
                                "weights",
                                "tokenizer",
                                "device",
                                "rows at once",
                                "arithmetic",
                                "context",
                                "text")),
                entries::toString);
    }

    /** Fields that a configuration may have one day, records in it among them. */
    @Test
    void fieldsOfAnyRecordArePutUnderTheirNames() {
        Map<String, String> found = new HashMap<>();
        StoreIdentity.putFields("x", new Later(1, 1e-12, new Later.Inner("y", Map.of("b", 2, "a", 1))), found);
        assertEquals(
                Map.of("x.number", "1", "x.small", "1.0E-12", "x.inner.text", "y", "x.inner.map", "{a=1, b=2}"), found);
    }

    /** A configuration as it may be one day. */
    public record Later(int number, double small, Inner inner) {
        /** A record in the configuration. */
        public record Inner(String text, Map<String, Integer> map) {}
    }

    private static void assertHasFields(String prefix, Record fields, Map<String, String> entries)
            throws ReflectiveOperationException {
        for (var component : fields.getClass().getRecordComponents()) {
            String name = prefix + "." + component.getName();
            if (component.getAccessor().invoke(fields) instanceof Record inner) assertHasFields(name, inner, entries);
            else assertTrue(entries.containsKey(name), name);
        }
    }

    @Test
    void theSameModelAndSaeHaveTheSameIdentity() {
        assertEquals(fixture.identity(), fixture.identity());
        assertEquals(
                fixture.sae.weightNames().stream().sorted().toList(),
                fixture.sae.weightNames(),
                "in another process too");
    }

    /** One number of any weight is enough, and so is exact arithmetic. */
    @Test
    void otherModelsAndSaesHaveOtherIdentities() {
        StoreIdentity identity = fixture.identity();
        List<StoreIdentity> others = new ArrayList<>(List.of(
                StoreIdentity.of(fixture.model.exact(), fixture.sae, "test", CONTEXT),
                StoreIdentity.of(fixture.model, fixture.sae.exact(), "test", CONTEXT),
                StoreIdentity.of(fixture.model, fixture.loaded, "test", CONTEXT),
                StoreIdentity.of(fixture.model, fixture.sae, "test", CONTEXT + 1),
                identity.ofChosen(new int[] {3, 5}),
                identity.ofChosen(new int[] {3, 6})));
        for (String name : List.of("embed.W_E", "blocks.1.mlp.W_in", "blocks.1.attn.b_O", "blocks.1.attn.W_K"))
            others.add(changed(name, fixture.model.weight(name)));
        for (String name : fixture.sae.weightNames()) others.add(changed(name, fixture.sae.weight(name)));
        others.add(identity);
        for (int i = 0; i < others.size(); i++)
            assertEquals(i, others.indexOf(others.get(i)), "number " + i + " is as one before");
    }

    /** No identity could name what a hook does. */
    @Test
    void aModelWithHooksHasNoIdentity() {
        assertThrows(
                IllegalArgumentException.class,
                () -> StoreIdentity.of(
                        fixture.model.with(Hooks.at("blocks.0.hook_resid_pre", (x, name) -> null)),
                        fixture.sae,
                        "test",
                        CONTEXT));
    }

    /** The identity with another number somewhere in the middle of a weight, which is then as before. */
    private StoreIdentity changed(String name, Tensor weight) {
        try (var _ = TensorScope.open()) {
            var one = weight;
            for (int dimension = 0; dimension < weight.shape().rank(); dimension++)
                one = one.slice(dimension, one.size(dimension) / 2, one.size(dimension) / 2 + 1);
            var before = one.copy();
            one.copy_(before.add(1e-3));
            try {
                return fixture.identity();
            } finally {
                one.copy_(before);
            }
        }
    }
}
