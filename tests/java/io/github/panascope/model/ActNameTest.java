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

    /** Where TransformerLens's get_act_name names a point that its models do not have, the models' name counts. */
    @Test
    void partsThatGpt2DoesNotHaveHaveShortNames() {
        assertEquals("blocks.3.attn.hook_rot_q", ActName.of("rot_q", 3));
        assertEquals("blocks.3.attn.hook_rot_k", ActName.of("rot_k3"));
        assertEquals("blocks.3.mlp.hook_pre_linear", ActName.of("pre_linear3"));
        assertEquals("blocks.3.ln1_post.hook_scale", ActName.of("scale", 3, "ln1_post"));
        assertEquals("blocks.3.attn.q_norm.hook_normalized", ActName.of("normalized", 3, "q_norm"));
        assertEquals("blocks.3.attn.k_norm.hook_scale", ActName.of("scale3k_norm"));
    }
}
