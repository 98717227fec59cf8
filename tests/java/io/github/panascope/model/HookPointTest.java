package io.github.panascope.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.model.HookPoint.Axis;
import io.github.panascope.torch.Shape;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is known of a hook point by its name. */
class HookPointTest {
    private static final TransformerConfig SMALL =
            TransformerConfig.gpt2(12, 768, 12, 3072, 50257, 1024, 1e-5, false, true);

    private static HookPoint point(String name) {
        return HookPoint.of(name).orElseThrow();
    }

    @ParameterizedTest
    @CsvSource({
        "hook_embed, -1, -2, 768",
        "blocks.8.hook_resid_pre, 8, -2, 768",
        "blocks.3.attn.hook_z, 3, -3, 768",
        "blocks.3.attn.hook_pattern, 3, -2, -1",
        "blocks.3.attn.hook_result, 3, -3, 768",
        "blocks.11.mlp.hook_post, 11, -2, 3072",
        "blocks.0.ln1.hook_scale, 0, -2, -1",
        "ln_final.hook_normalized, 2147483647, -2, 768",
        "blocks.8.hook_resid_pre.hook_sae_acts_post, 8, -2, -1"
    })
    void aNameSaysBlockPositionsAndWidth(String name, int block, int positions, int width) {
        HookPoint point = point(name);
        assertEquals(block, point.block());
        assertEquals(positions, point.dimension(Axis.POS));
        assertEquals(width, point.width(SMALL));
        assertEquals(name, point.toString());
    }

    @Test
    void headsComeAfterPositionsExceptInScores() {
        assertEquals(-2, point("blocks.0.attn.hook_q").dimension(Axis.HEAD));
        assertEquals(-3, point("blocks.0.attn.hook_attn_scores").dimension(Axis.HEAD));
        assertEquals(
                Shape.of(2, 12, 5, 5), point("blocks.0.attn.hook_attn_scores").shape(SMALL, 2, 5));
        assertEquals(Shape.of(2, 5, 12, 64), point("blocks.0.attn.hook_q").shape(SMALL, 2, 5));
        assertTrue(point("blocks.0.attn.hook_pattern").endsInPositions());
        assertFalse(point("blocks.0.attn.hook_z").endsInPositions());
        assertFalse(point("blocks.0.hook_resid_pre").hasHeads());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "hook", "blocks.0", "blocks.x.hook_resid_pre", "blocks.0.attn.hook_resid_pre", "embed"})
    void otherNamesAreNoHookPoints(String name) {
        assertEquals(Optional.empty(), HookPoint.of(name));
    }

    @Test
    void whatIsAttachedToAPointHasPointsNamedAfterIt() {
        String z = "blocks.2.attn.hook_z.";
        assertEquals(
                List.of(Axis.BATCH, Axis.POS, Axis.FEATURE),
                point(z + "hook_sae_acts_pre").axes());
        assertEquals(
                point("blocks.2.attn.hook_z").axes(),
                point(z + "hook_sae_error").axes());
        assertEquals(
                List.of(Axis.BATCH, Axis.POS, Axis.D_MODEL),
                point(z + "hook_sae_input").axes());
        assertEquals(2, point("blocks.2.hook_resid_pre.my_point").block());
    }

    @Test
    void theLayerIsThatOfABlock() {
        assertEquals(7, point("blocks.7.hook_mlp_out").layer());
        assertThrows(IllegalStateException.class, () -> point("hook_embed").layer());
        assertThrows(IllegalArgumentException.class, () -> point("hook_embed").dimension(Axis.HEAD));
    }

    @Test
    void allThatFollowsComesFromTheResidualStream() {
        assertTrue(point("blocks.3.hook_resid_mid").isBottleneck());
        assertTrue(point("ln_final.hook_normalized").isBottleneck());
        assertFalse(point("blocks.3.hook_attn_out").isBottleneck());
        assertEquals(
                List.of("hook_embed", "hook_pos_embed", "blocks.0.hook_resid_pre"),
                HookPoint.all(SMALL).stream().map(HookPoint::name).limit(3).toList());
    }
}
