package io.github.panascope.sae;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.internal.ConfigFile;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
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

    /** On Neuronpedia a model has one name, whatever its name in TransformerLens or on the hub. */
    @Test
    void theModelIsTheOneOfTheId() {
        List<SaeRegistry.Entry> pages = SaeRegistry.bundled()
                .entries()
                .filter(sae -> sae.neuronpediaId() != null)
                .toList();
        assertEquals(2441, pages.size());
        for (SaeRegistry.Entry sae : pages) {
            SaeConfig config = SaeConfig.parse(ConfigFile.parse(
                            "cfg.json",
                            "{\"hook_name\": \"h\", \"d_in\": 1, \"d_sae\": 1, \"model_name\": \"" + sae.model()
                                    + "\", \"neuronpedia_id\": \"" + sae.neuronpediaId() + "\"}"))
                    .config();
            String[] id = sae.neuronpediaId().split("/");
            assertEquals(2, id.length, sae.neuronpediaId());
            String list = Neuronpedia.quickList(config, List.of(7), "some").orElseThrow();
            assertTrue(
                    URLDecoder.decode(list, StandardCharsets.UTF_8)
                            .endsWith("[{\"modelId\": \"" + id[0] + "\", \"layer\": \"" + id[1]
                                    + "\", \"index\": \"7\"}]"),
                    list);
            assertEquals(
                    "https://neuronpedia.org/" + sae.neuronpediaId() + "/",
                    Neuronpedia.featurePages(config).orElseThrow());
        }
    }
}
