package io.github.panascope.lens;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.OnEachDevice;
import io.github.panascope.SurfaceFixture;
import org.junit.jupiter.api.Test;

/** What a cache finds under short names. */
@OnEachDevice
class ActivationCacheTest extends SurfaceFixture {
    private ActivationCache cache() {
        return model.runWithCache(model.toTokens("a b"), name -> true).cache();
    }

    @Test
    void shortNamesAndLayersFindActivations() {
        ActivationCache cache = cache();
        assertTrue(cache.get("resid_pre", -1).sameElements(cache.get("blocks.2.hook_resid_pre")));
        assertTrue(cache.get("k1").sameElements(cache.get("blocks.1.attn.hook_k")));
    }

    @Test
    void aNameThatIsNoneIsRefused() {
        ActivationCache cache = cache();
        assertThrows(IllegalArgumentException.class, () -> cache.get("nonsense"));
    }
}
