package io.github.panascope.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Work that is repeated many times takes no more memory than once. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class SoakTest {
    /**
     * Far below what one leaked activation a run would come to: 150 runs of 2 x 64 x 48 floats, and logits of 25 MB
     * each.
     */
    private static final long ALLOWED_KB = 24 * 1024;

    @Test
    void twoHundredRunsLeaveResidentMemoryFlat() throws IOException {
        Golden golden = Golden.standardA();
        try (var _ = TensorScope.open();
                HookedTransformer model = golden.loadModel();
                Sae sae = golden.loadSae()) {
            Tensor tokens = Tensor.ofTokens(
                            IntStream.range(0, 128).map(i -> i * 31 % 50257).toArray())
                    .reshape(2, 64);
            double first = TutorialMetrics.run(model, sae, tokens).loss().reconstructed();
            long before = 0;
            for (int run = 0; run < 200; run++) {
                assertEquals(
                        first, TutorialMetrics.run(model, sae, tokens).loss().reconstructed());
                if (run == 50) before = residentKb();
            }
            long grown = residentKb() - before;
            assertTrue(grown < ALLOWED_KB, "resident memory grew by " + grown + " kB over 150 runs");
        }
    }

    private static long residentKb() throws IOException {
        System.gc(); // the Java heap is not what is measured
        return Files.readAllLines(Path.of("/proc/self/status")).stream()
                .filter(line -> line.startsWith("VmRSS"))
                .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", "")))
                .findFirst()
                .orElseThrow();
    }
}
