package io.github.panascope.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.panascope.demo.DemoBundle;
import io.github.panascope.tokens.ChunkingStrategy;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

@Tag("spark")
@ExtendWith(Cluster.class)
class FeatureJobTest {
    @TempDir
    Path folder;

    @Test
    void featuresAreCollectedOnceAndASecondJobFindsThem() {
        Documents documents =
                Documents.of(Cluster.session().read().parquet(DemoBundle.find().dataset()), "text");
        try (TokenRows rows = TokenRows.of(documents, ModelAndSae.DEMO, ChunkingStrategy.CHARACTER_CHUNKS, 64, true)) {
            CollectedFeatures found = FeatureJob.of(ModelAndSae.DEMO).collect(rows, "demo", folder.toString());
            assertEquals(2, found.shares().size());
            CollectedFeatures again = FeatureJob.of(ModelAndSae.DEMO).collect(rows, "demo", folder.toString());
            assertEquals(0, again.shares().size());
        }
    }
}
