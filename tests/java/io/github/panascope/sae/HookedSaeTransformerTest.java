package io.github.panascope.sae;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.OnEachDevice;
import io.github.panascope.SurfaceFixture;
import io.github.panascope.TestDevice;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.torch.Tensor;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** SAEs in a model, added and taken away as values. */
@OnEachDevice
class HookedSaeTransformerTest extends SurfaceFixture {
    private Sae sae;
    private String hook;
    private HookedSaeTransformer plain, with;

    @BeforeAll
    void addSae() {
        sae = CASE.loadSae();
        hook = sae.config().hookName();
        plain = HookedSaeTransformer.of(model);
        with = plain.addSae(sae);
    }

    @AfterAll
    void closeSae() {
        sae.close();
    }

    @Test
    void addingAnSaeGivesAnotherModel() {
        assertEquals(Map.of(hook, sae), with.actsToSaes());
        assertTrue(plain.runWithSaes(prompt).sameElements(model.run(prompt)));
    }

    @Test
    void anSaeForOneRunActsAsOneThatWasAdded() {
        Tensor replaced = plain.runWithSaes(prompt, sae);
        assertTrue(replaced.sameElements(with.model().run(prompt)) && !replaced.sameElements(model.run(prompt)));
    }

    @Test
    void theErrorTermChangesNothing() {
        HookedSaeTransformer error = plain.addSae(sae, HookedSaeTransformer.Splice.DEFAULT.useErrorTerm(true));
        Golden.assertClose(model.run(prompt), error.model().run(prompt), "with the error term");
    }

    @Test
    void aRunWithAnSaeCachesItsActivations() {
        HookedTransformer.RunWithCache cached =
                plain.runWithCacheWithSaes(prompt, name -> name.startsWith(hook + "."), sae);
        assertEquals(5, cached.cache().names().size());
    }

    @Test
    void hooksMayAblateFeatures() {
        Tensor replaced = plain.runWithSaes(prompt, sae);
        assertTrue(
                with.runWithHooksWithSaes(prompt, sae.ablation(1, 2, 3)).shape().equals(replaced.shape()));
    }

    @Test
    void anSaeIsTakenAwayByItsHookPoint() {
        assertTrue(with.addSae(sae, HookedSaeTransformer.Splice.DEFAULT.useErrorTerm(true))
                .resetSaes(hook)
                .actsToSaes()
                .isEmpty());
    }

    @Test
    void aHookPointWithoutAnSaeIsRefused() {
        assertThrows(IllegalArgumentException.class, () -> plain.resetSaes(hook));
    }

    @Test
    void itsDescriptionNamesTheHookPoint() {
        assertTrue(with.toString().contains(hook), with.toString());
    }

    @Test
    void twoThatReadOnePointAndWriteOthersAreBothThere() {
        try (Sae transcoder = TestDevice.sae(Path.of("tests/resources/golden/attached/transcoder"))) {
            assertEquals(2, with.addSae(transcoder).actsToSaes().size());
        }
    }
}
