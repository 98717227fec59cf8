package io.github.panascope.model;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.github.panascope.Golden;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;

/** Short names of hook points, as TransformerLens has them: see tests/peers/make_surface.py. */
class ActNameTest {
    @Test
    void shortNamesAreTransformerLenss() {
        for (JsonNode pair : Golden.of("surface").expected().get("names")) {
            JsonNode asked = pair.get(0);
            String name = asked.get(0).stringValue();
            String type = asked.get(2).isNull() ? "" : asked.get(2).stringValue();
            assertEquals(
                    pair.get(1).stringValue(),
                    asked.get(1).isNull()
                            ? ActName.of(name)
                            : ActName.of(name, asked.get(1).intValue(), type),
                    asked.toString());
        }
    }
}
