package io.github.panascope.lens;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** {@link Forward#activation} is the activation that a whole run keeps, and runs no block after it. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class ActivationTest {
    private static final List<String> POINTS = List.of(
            "hook_tokens",
            "hook_embed",
            "blocks.0.hook_resid_pre",
            "blocks.1.hook_resid_pre",
            "blocks.1.attn.hook_z",
            "blocks.2.attn.hook_result",
            "blocks.2.hook_resid_post",
            "ln_final.hook_scale",
            "ln_final.hook_normalized");

    private static Tensor tokens() {
        return Tensor.ofTokens(50256, 11, 22, 33, 44).reshape(1, 5).to(TestDevice.DEVICE);
    }

    @Test
    void everyPointIsWhatAWholeRunKeeps() {
        try (var _ = TensorScope.open();
                HookedTransformer model = Golden.standardA().loadModel()) {
            Hooks hooks = Hooks.at("blocks.1.hook_resid_pre", Edits.scale(2));
            for (String name : POINTS) {
                for (Hooks some : List.of(Hooks.NONE, hooks)) {
                    Forward whole = model.forward(tokens()).hooks(some).caching(name);
                    whole.logits();
                    Tensor expected = whole.cache().get(name);
                    Tensor found = model.forward(tokens()).hooks(some).activation(name);
                    assertEquals(expected.shape(), found.shape(), name);
                    assertArrayEquals(expected.toDoubles(), found.toDoubles(), name);
                }
            }
        }
    }

    @Test
    void noBlockAfterItRuns() {
        try (var _ = TensorScope.open();
                HookedTransformer model = Golden.standardA().loadModel()) {
            List<String> reached = new ArrayList<>();
            Hooks listening = Hooks.where(name -> true, (activation, point) -> {
                reached.add(point.name());
                return null;
            });
            model.forward(tokens()).hooks(listening).activation("blocks.1.hook_resid_pre");
            assertEquals("blocks.1.hook_resid_post", reached.getLast());
            // Without hooks, not even that block.
            Forward run = model.forward(tokens());
            run.activation("blocks.1.hook_resid_pre");
            assertEquals("this Forward has run already", message(run).split(",")[0]);
        }
    }

    private static String message(Forward run) {
        return assertThrows(IllegalStateException.class, run::logits).getMessage();
    }

    @Test
    void pointsOfAnSaeAndOtherCachedActivationsAreThere() {
        try (var _ = TensorScope.open();
                HookedTransformer model = Golden.standardA().loadModel();
                Sae sae = Golden.standardA().loadSae()) {
            String hook = sae.config().hookName();
            Forward run = model.forward(tokens()).attach(sae.attachment(true)).caching("hook_embed");
            Tensor features = run.activation(hook + ".hook_sae_acts_post");
            Tensor expected = sae.encode(model.forward(tokens()).activation(hook));
            assertArrayEquals(expected.toFloats(), features.toFloats());
            assertEquals(
                    List.of("hook_embed", hook + ".hook_sae_acts_post"),
                    run.cache().names());
            IllegalArgumentException e = assertThrows(
                    IllegalArgumentException.class,
                    () -> model.forward(tokens()).activation("blocks.1.resid_pre"));
            assertEquals("the model has no hook point 'blocks.1.resid_pre'.", e.getMessage());
        }
    }

    @Test
    void onlyTheKeptPositionsAreThereAndNoPointBeforeTheStart() {
        try (var _ = TensorScope.open();
                HookedTransformer model = Golden.standardA().loadModel()) {
            String input = "blocks.1.hook_resid_pre";
            Tensor whole = model.forward(tokens()).activation(input);
            Tensor part = model.forward(tokens()).cachingPositions(1, 3).activation(input);
            assertArrayEquals(whole.slice(1, 1, 3).toFloats(), part.toFloats());
            Forward late = model.forward(tokens()).startAtLayer(1, whole);
            IllegalArgumentException e =
                    assertThrows(IllegalArgumentException.class, () -> late.activation("blocks.0.hook_mlp_out"));
            assertEquals(
                    "a run that starts at layer 1 does not reach blocks.0.hook_mlp_out, which is before it",
                    e.getMessage());
        }
    }
}
