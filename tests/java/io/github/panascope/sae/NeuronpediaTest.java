package io.github.panascope.sae;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Addresses of lists of features at Neuronpedia. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class NeuronpediaTest {
    private static final Golden GOLDEN = Golden.standardA();
    private static final String RELEASE = "gpt2-small-res-jb/blocks.2.hook_resid_pre";

    private static Sae sae() {
        return Sae.fromPretrained(
                RELEASE, Sae.Options.DEFAULT.device(TestDevice.DEVICE).hub(GOLDEN.hub()));
    }

    @Test
    void theQuickListIsTheSameAddress() {
        try (Sae sae = sae()) {
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
