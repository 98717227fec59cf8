package io.github.panascope.lens;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.weights.Safetensors;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Activation patching against TransformerLens: see tests/peers/make_patching.py. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class PatchingTest {
    private static final Path EXPECTED = Path.of("tests/resources/golden/patching/expected.safetensors");

    private static HookedTransformer model() {
        return Golden.standardA().loadModel();
    }

    private static double difference(Tensor logits) {
        Tensor last = logits.select(1, logits.size(1) - 1);
        return last.select(1, 5335).sub(last.select(1, 1757)).mean().item();
    }

    @Test
    void everyFamilyEqualsTransformerLens() {
        try (var scope = TensorScope.open();
                HookedTransformer model = model()) {
            Safetensors expected = Safetensors.open(EXPECTED, scope);
            ActivationCache clean =
                    model.runWithCache(expected.tensor("clean"), name -> true).cache();
            Patching patching = Patching.of(model, expected.tensor("corrupted"), clean, PatchingTest::difference);
            for (String point : List.of("hook_resid_pre", "hook_resid_mid", "hook_attn_out", "hook_mlp_out"))
                compare(expected, point, patching.byPosition(point));
            for (String point :
                    List.of("attn.hook_z", "attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_pattern"))
                compare(expected, point + "/all", patching.byHead(point));
            for (String point : List.of("attn.hook_z", "attn.hook_q", "attn.hook_k", "attn.hook_v"))
                compare(expected, point + "/by_pos", patching.byPositionAndHead(point));
            // Theirs is [layer, head, pos] here, and [layer, pos, head] elsewhere.
            compare(
                    expected,
                    "attn.hook_pattern/by_pos",
                    patching.byPositionAndHead("attn.hook_pattern").transpose(1, 2));
        }
    }

    private static void compare(Safetensors expected, String name, Tensor actual) {
        Golden.assertClose(expected.tensor(name), actual.to(DType.FLOAT32), name);
    }

    @Test
    void patchingEverythingMakesTheRunClean() {
        try (var scope = TensorScope.open();
                HookedTransformer model = model()) {
            Safetensors expected = Safetensors.open(EXPECTED, scope);
            ActivationCache clean =
                    model.runWithCache(expected.tensor("clean"), name -> true).cache();
            Patching patching = Patching.of(model, expected.tensor("corrupted"), clean, PatchingTest::difference);
            double wanted = difference(model.run(expected.tensor("clean")));
            Tensor last = patching.byPosition("hook_resid_post")
                    .select(0, 2); // after the last block only the last position counts
            assertEquals(wanted, last.select(0, last.size(0) - 1).item(), 1e-4);
            assertThrows(IllegalArgumentException.class, () -> patching.byHead("hook_mlp_out"));
            assertThrows(IllegalArgumentException.class, () -> patching.byPosition("hook_nowhere"));
            Patching other =
                    Patching.of(model, expected.tensor("corrupted").slice(1, 0, 4), clean, PatchingTest::difference);
            assertThrows(IllegalArgumentException.class, () -> other.byPosition("hook_resid_pre"));
        }
    }
}
