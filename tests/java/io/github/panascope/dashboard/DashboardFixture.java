package io.github.panascope.dashboard;

import io.github.panascope.Golden;
import io.github.panascope.TestDevice;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.TokenDataset;
import java.nio.file.Path;

/** The model, the SAE and the text of the standard case, which a class of tests loads once. */
final class DashboardFixture implements AutoCloseable {
    static final int CONTEXT = 64;
    static final int ROWS = 45;
    static final int[] FEATURES = {0, 3, 57, 128, 200, 383};

    final HookedTransformer model;
    /** The SAE as it is in its files. */
    final Sae loaded;
    /** The SAE with its decoder's norms folded in. */
    final Sae sae;

    final TokenDataset tokens;

    DashboardFixture() {
        Golden golden = Golden.standardA();
        model = HookedTransformer.fromPretrained(golden.model().toString(), TestDevice.OPTIONS.hub(golden.hub()));
        loaded = golden.loadSae();
        sae = loaded.foldWDecNorm();
        tokens = golden.tokens(model, CONTEXT);
    }

    StoreIdentity identity() {
        return StoreIdentity.of(model, sae, "test", CONTEXT);
    }

    /** Opens a store of features of the folded SAE. */
    FeatureStore open(Path folder, int... features) {
        return FeatureStore.open(folder, identity(), features, sae.config().dIn());
    }

    /** Runs rows of the text and adds what they give to a store. */
    void collect(FeatureStore store, int first, int end, int shardRows, int threads) {
        FeatureCollector.into(store, model, sae)
                .shardRows(shardRows)
                .threads(threads)
                .collect(row -> tokens.row((int) row), first, end);
    }

    @Override
    public void close() {
        sae.close();
        loaded.close();
        model.close();
    }
}
