package io.github.panascope.lens;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.OnEachDevice;
import io.github.panascope.SurfaceFixture;
import io.github.panascope.model.HookPoint;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Tensor;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.junit.jupiter.api.Test;

/** Hooks on gradients, which see and change them as in TransformerLens. */
@OnEachDevice
class BackwardHooksTest extends SurfaceFixture {
    @Test
    void hooksSeeAndChangeGradients() {
        Map<String, Tensor> seen = new ConcurrentHashMap<>();
        Hooks keep = Hooks.where(
                name -> name.equals("blocks.1.hook_mlp_out") || name.equals("blocks.0.attn.hook_z"),
                (gradient, name) -> {
                    seen.put(name.name(), scope.adopt(gradient));
                    return null;
                });
        Hooks triple = Hooks.at("blocks.2.hook_resid_pre", (gradient, name) -> {
            seen.put(name.name(), scope.adopt(gradient));
            return gradient.mul(3);
        });
        Forward.Gradients found = model.forward(prompt)
                .backwardHooks(triple)
                .backwardHooks(keep)
                .gradients(metric(), "blocks.0.attn.hook_z");
        assertEquals(3, seen.size());
        seen.forEach((name, gradient) -> Golden.assertClose(expected.tensor("backward/" + name), gradient, name));
        assertEquals(List.of("blocks.0.attn.hook_z"), found.gradients().names());
        assertTrue(found.gradients().get("blocks.0.attn.hook_z").sameElements(seen.get("blocks.0.attn.hook_z")));
    }

    /** It changes what flows on, and nothing that was seen before. */
    @Test
    void aHookMayWriteToAGradient() {
        Map<String, Double> sums = new ConcurrentHashMap<>();
        Hooks inPlace = Hooks.at("blocks.1.hook_mlp_out", (gradient, name) -> {
                    gradient.zero_();
                    return null;
                })
                .and("blocks.1.hook_resid_mid", (gradient, name) -> {
                    sums.put(name.name(), gradient.abs().sum(DType.FLOAT64).item());
                    return null;
                });
        Forward.Gradients zeroed = model.forward(prompt)
                .backwardHooks(inPlace)
                .gradients(metric(), "blocks.1.hook_resid_post", "blocks.1.mlp.hook_post", "blocks.1.hook_resid_mid");
        assertEquals(
                0,
                zeroed.gradients()
                        .get("blocks.1.mlp.hook_post")
                        .abs()
                        .sum(DType.FLOAT64)
                        .item());
        assertTrue(sums.get("blocks.1.hook_resid_mid") > 0
                && zeroed.gradients()
                                .get("blocks.1.hook_resid_post")
                                .abs()
                                .sum(DType.FLOAT64)
                                .item()
                        > 0);
    }

    @Test
    void anExceptionOfAHookReachesTheCaller() {
        Hooks fails = Hooks.at("blocks.1.hook_resid_mid", (gradient, name) -> {
            throw new IOException("mine");
        });
        assertEquals(
                "mine",
                assertThrows(
                                IOException.class,
                                () -> model.forward(prompt).backwardHooks(fails).gradients(metric()))
                        .getMessage());
    }

    @Test
    void aGradientOfAnotherShapeIsRefused() {
        Hooks wrong = Hooks.at("blocks.1.hook_resid_mid", (gradient, name) -> gradient.slice(-1, 0, 3));
        assertThrows(
                IllegalArgumentException.class,
                () -> model.forward(prompt).backwardHooks(wrong).gradients(metric()));
    }

    @Test
    void anErrorOfAHookReachesTheCaller() {
        assertThrows(
                StackOverflowError.class,
                () -> model.forward(prompt)
                        .backwardHooks(Hooks.at("blocks.1.hook_resid_mid", BackwardHooksTest::endless))
                        .gradients(metric()));
    }

    private static Tensor endless(Tensor gradient, HookPoint name) throws Exception {
        return endless(gradient, name);
    }
}
