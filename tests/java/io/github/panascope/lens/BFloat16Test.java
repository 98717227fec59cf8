package io.github.panascope.lens;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.Golden;
import io.github.panascope.LeakCheck;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * A model in bfloat16 beside itself in float32. Which kernels do its work depends on what hooks ask for, so every point
 * is asked for alone.
 */
@ExtendWith(LeakCheck.class)
class BFloat16Test {
    /** As a share, in the mean square: some ten roundings of 2^-8 on the way to any point, and room for processors. */
    private static final double ROUNDING = 0.02;

    private static HookedTransformer wide;
    private static HookedTransformer narrow;

    @BeforeAll
    static void load() {
        wide = model(DType.FLOAT32, true);
        narrow = model(DType.BFLOAT16, false);
    }

    private static HookedTransformer model(DType dtype, boolean exact) {
        var options = HookedTransformer.Options.DEFAULT.dtype(dtype).exact(exact);
        return Golden.standardA().loadModel(options);
    }

    @AfterAll
    static void close() {
        wide.close();
        narrow.close();
    }

    private static Tensor tokens() {
        return wide.toTokens("When John and Mary went to the shops, John gave the bag to");
    }

    private static void assertNear(Tensor expected, Tensor found, String what) {
        assertEquals(expected.shape(), found.shape(), what);
        float[] wanted = expected.to(DType.FLOAT32).toFloats();
        float[] got = found.to(DType.FLOAT32).toFloats();
        double squares = 0;
        double off = 0;
        for (int i = 0; i < wanted.length; i++) {
            if (!Float.isFinite(wanted[i])) { // scores of what comes later
                assertEquals(wanted[i], got[i], what);
                continue;
            }
            squares += (double) wanted[i] * wanted[i];
            off += Math.pow((double) got[i] - wanted[i], 2);
        }
        double share = Math.sqrt(off / squares);
        assertTrue(share <= ROUNDING, what + " is off by " + share);
    }

    /** All blocks share their code, so one of them is enough. */
    private static List<String> points() {
        List<String> points = new ArrayList<>(narrow.hookNames());
        points.addAll(narrow.hookNamesOnRequest());
        points.removeIf(point -> point.startsWith("blocks.") && !point.startsWith("blocks.1."));
        return points;
    }

    @Test
    void everyPointIsThatOfFloat32() {
        try (var _ = TensorScope.open()) {
            for (String point : points()) {
                Tensor[] seen = new Tensor[2];
                TensorScope here = TensorScope.current();
                for (int i = 0; i < 2; i++) {
                    int at = i;
                    (i == 0 ? wide : narrow).runWithHooks(tokens(), Hooks.at(point, (x, name) -> {
                        seen[at] = here.adopt(x.copy());
                        return null;
                    }));
                }
                assertNear(seen[0], seen[1], point);
            }
        }
    }

    @Test
    void whatReplacesAnActivationFlowsOn() {
        try (var _ = TensorScope.open()) {
            for (String point : points()) {
                Hooks halved = Hooks.at(point, (x, name) -> x.dtype() == DType.INT64 ? x : x.mul(0.5));
                Tensor expected = wide.runWithHooks(tokens(), halved);
                assertNear(expected, narrow.runWithHooks(tokens(), halved), "halved " + point);
            }
        }
    }

    @Test
    void lossesAreThoseOfFloat32() {
        try (var _ = TensorScope.open();
                HookedTransformer exact = model(DType.BFLOAT16, true)) {
            Tensor expected = wide.forward(tokens()).lossPerToken();
            assertNear(expected, narrow.forward(tokens()).lossPerToken(), "losses");
            assertNear(expected, exact.forward(tokens()).lossPerToken(), "losses, step by step");
            assertEquals(DType.BFLOAT16, LossWorkspace.of(narrow, 3).logits().dtype());
            assertEquals(DType.FLOAT32, LossWorkspace.of(exact, 3).logits().dtype());
        }
    }
}
