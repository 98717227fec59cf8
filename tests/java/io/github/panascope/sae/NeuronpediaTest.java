package io.github.panascope.sae;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Addresses of lists of features at Neuronpedia. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class NeuronpediaTest {
    private static final Golden GOLDEN = Golden.standardA();

    @Test
    void theQuickListIsTheSameAddress() {
        try (Sae sae = GOLDEN.loadPublishedSae()) {
            List<Integer> features = Arrays.stream(GOLDEN.expected()
                            .get("args")
                            .get("features")
                            .stringValue()
                            .split(","))
                    .map(Integer::valueOf)
                    .toList();
            assertEquals(
                    GOLDEN.text("neuronpedia_quick_list"),
                    Neuronpedia.quickList(sae.config(), features, "temporary_list")
                            .orElseThrow());
        }
    }
}
