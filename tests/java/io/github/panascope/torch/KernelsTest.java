package io.github.panascope.torch;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.LeakCheck;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The shim's own operators on bfloat16 beside libtorch's, in float32 on the same values: at every width of vectors, at
 * sizes that fill vectors and at ones that do not, and where they hand the work over. A kernel rounds once, so it may
 * be off by half of bfloat16's spacing and a little for float32's own rounding.
 */
@ExtendWith(LeakCheck.class)
class KernelsTest {
    /** Around the widths of vectors (4, 8, 16), and the model's own. */
    private static final int[] WIDTHS = {1, 3, 4, 5, 8, 15, 16, 17, 31, 33, 768, 3072};
    /** Around the block in which the loss goes through a row, and the vocabulary. */
    private static final int[] VOCABULARIES = {1, 7, 16, 4095, 4096, 4097, 8200, 50257};
    /** bfloat16 keeps 8 bits of a number: rounding is off by 2^-8 of it at most. */
    private static final double HALF_SPACING = 1.0 / 256;
    private static final double FLOAT32 = 2e-6;
    private static final float[] ODD =
            {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, 0f, -0f, 3e38f, -3e38f, 1e-38f};

    private static final Op LIMIT = Op.of("lens::limit_kernels", "");
    private static final Op LAYER_NORM = Op.of("aten::layer_norm", "");
    private static final Op GELU = Op.of("aten::gelu", "");
    private final Random random = new Random(3);

    @AfterEach
    void theNewestAgain() {
        try (var _ = TensorScope.open()) {
            LIMIT.call(2);
        }
    }

    /** Whether this processor has the vectors. */
    private static boolean limit(int newest) {
        return LIMIT.call(newest)[0].equals((long) newest);
    }

    private Tensor random(double scale, long... sizes) {
        Shape shape = Shape.of(sizes);
        float[] values = new float[(int) shape.elements()];
        for (int i = 0; i < values.length; i++) values[i] = (float) (scale * random.nextGaussian());
        return Tensor.of(values, shape).to(DType.BFLOAT16);
    }

    private static Tensor wide(Tensor tensor) {
        return tensor.to(DType.FLOAT32);
    }

    private static Tensor op(String name, Object... arguments) {
        return Op.of("lens::" + name, "").tensor(arguments);
    }

    private static Tensor normalized(Tensor x) {
        return LAYER_NORM.tensor(x, new long[] {x.size(-1)}, null, null, 1e-5);
    }

    private static void assertNear(Tensor expected, Tensor found, double relative, double absolute, String what) {
        assertEquals(expected.shape(), found.shape(), what);
        float[] wanted = wide(expected).toFloats();
        float[] got = wide(found).toFloats();
        for (int i = 0; i < wanted.length; i++) {
            boolean near = Math.abs(got[i] - wanted[i]) <= relative * Math.abs(wanted[i]) + absolute;
            boolean same = Float.isFinite(wanted[i]) ? near : Float.compare(got[i], wanted[i]) == 0;
            String where = what + " at " + i + " of " + expected.shape();
            assertTrue(same, where + ": " + got[i] + " instead of " + wanted[i]);
        }
    }

    private static void assertRounded(Tensor expected, Tensor found, String what) {
        assertEquals(DType.BFLOAT16, found.dtype(), what);
        assertNear(expected, found, HALF_SPACING + FLOAT32, FLOAT32, what);
    }

    /** All that write to x, of rows [n, d]. */
    private static void elementwise(Tensor x, Tensor bias, Tensor threshold, String what) {
        Tensor h = wide(x).add(wide(bias));
        assertRounded(GELU.tensor(h, "tanh"), op("bias_gelu_", x.copy(), bias), what + " bias_gelu_");
        assertRounded(h.relu(), op("bias_relu_", x.copy(), bias), what + " bias_relu_");
        Tensor above = h.relu().mul(h.gt(wide(threshold)));
        assertRounded(above, op("bias_threshold_", x.copy(), bias, threshold), what + " bias_threshold_");
    }

    private void rows(Tensor x, Tensor update, Tensor bias, String what) {
        Tensor sum = wide(x).add(wide(update).add(wide(bias)));
        assertRounded(sum, op("add_update", x, update, bias), what + " add_update");
        assertRounded(normalized(wide(x)), op("norm", x, 1e-5), what + " norm");
        Tensor[] both = Op.of("lens::add_norm", "").tensors(2, x, update, bias, 1e-5);
        assertRounded(sum, both[0], what + " add_norm, sum");
        assertRounded(normalized(sum), both[1], what + " add_norm");
    }

    /** The same, not one row behind the other. */
    private static Tensor strided(Tensor x) {
        return Tensor.cat(1, x, x).slice(1, 0, x.size(1));
    }

    private static Tensor logProb(Tensor logits, Tensor bias, Tensor targets) {
        return wide(logits).add(wide(bias)).logSoftmax(-1).gather(-1, targets);
    }

    private Tensor targets(int rows, int classes) {
        long[] targets = new long[rows];
        for (int i = 0; i < rows; i++) targets[i] = i == 0 ? classes - 1 : random.nextInt(classes);
        return Tensor.of(targets, Shape.of(rows, 1));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2})
    void kernelsDoWhatLibtorchDoesInFloat32(int vectors) {
        try (var _ = TensorScope.open()) {
            if (!limit(vectors)) return;
            for (int width : WIDTHS) {
                String what = "vectors " + vectors + ", width " + width;
                Tensor bias = random(1, width);
                elementwise(random(2, 5, width), bias, random(1, width), what);
                rows(random(2, 2, 3, width), random(2, 2, 3, width), bias, what);
            }
            elementwise(random(30, 300, 768), random(1, 768), random(1, 768), "many rows"); // in several threads
            rows(random(30, 300, 768).add(100), random(30, 300, 768), random(1, 768), "far from zero");
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2})
    void logProbabilitiesAreThoseOfFloat32(int vectors) {
        try (var _ = TensorScope.open()) {
            if (!limit(vectors)) return;
            for (int width : VOCABULARIES) {
                Tensor logits = random(8, 11, width);
                Tensor bias = random(1, width);
                Tensor targets = targets(11, width);
                Tensor found = op("log_prob", logits, bias, targets);
                assertEquals(DType.FLOAT32, found.dtype());
                String what = "vectors " + vectors + ", vocabulary " + width;
                assertNear(logProb(logits, bias, targets), found, 3e-6, 1e-5, what);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2})
    void oddValuesGoThroughAsInLibtorch(int vectors) {
        try (var _ = TensorScope.open()) {
            if (!limit(vectors)) return;
            for (float odd : ODD) {
                for (int place : new int[] {0, 18}) { // in a vector, and behind the last whole one
                    float[] values = new float[19];
                    for (int i = 0; i < values.length; i++) values[i] = i - 9;
                    values[place] = odd;
                    Tensor x = Tensor.of(values, Shape.of(1, 19)).to(DType.BFLOAT16);
                    Tensor zero = Tensor.zeros(DType.BFLOAT16, Shape.of(19));
                    String what = "vectors " + vectors + ", " + odd + " at " + place;
                    elementwise(x, zero, zero, what);
                    Tensor targets = Tensor.of(new long[] {4}, Shape.of(1, 1));
                    Tensor found = op("log_prob", x, zero, targets);
                    assertNear(logProb(x, zero, targets), found, 3e-6, 1e-5, what + " log_prob");
                    boolean overflows = Math.abs(odd) > 1e38 && Float.isFinite(odd); // when it is squared
                    if (!overflows) assertRounded(normalized(wide(x)), op("norm", x, 1e-5), what + " norm");
                }
            }
            minusInfinityInFront(vectors);
        }
    }

    /** A whole block without a finite logit, and a row with none at all. */
    private void minusInfinityInFront(int vectors) {
        float[] values = new float[2 * 5000];
        for (int i = 0; i < values.length; i++) {
            boolean finite = i >= 4500 && i < 5000;
            values[i] = finite ? (float) random.nextGaussian() : Float.NEGATIVE_INFINITY;
        }
        Tensor logits = Tensor.of(values, Shape.of(2, 5000)).to(DType.BFLOAT16);
        Tensor zero = Tensor.zeros(DType.BFLOAT16, Shape.of(5000));
        Tensor targets = Tensor.of(new long[] {4600, 7}, Shape.of(2, 1));
        Tensor found = op("log_prob", logits, zero, targets);
        assertNear(logProb(logits, zero, targets), found, 3e-6, 1e-5, "vectors " + vectors + ", -infinity in front");
    }

    @Test
    void nothingIsDoneToNothing() {
        try (var _ = TensorScope.open()) {
            Tensor none = Tensor.zeros(DType.BFLOAT16, Shape.of(0, 768));
            Tensor bias = random(1, 768);
            elementwise(none, bias, bias, "no rows");
            rows(none, none, bias, "no rows");
            assertEquals(Shape.of(0, 1), op("log_prob", none, bias, Tensor.zeros(DType.INT64, Shape.of(0, 1))).shape());
        }
    }

    @Test
    void whatTheKernelsAreNotMadeForIsHandedOver() {
        try (var _ = TensorScope.open()) {
            Tensor x = random(1, 6, 20);
            Tensor bias = random(1, 20);
            Tensor targets = targets(6, 20);
            Tensor strided = strided(x);
            assertTrue(!strided.isContiguous());
            Tensor expected = GELU.tensor(wide(x).add(wide(bias)), "tanh");
            // libtorch's operators round in between, too
            assertNear(expected, op("bias_gelu_", strided, bias), 4 * HALF_SPACING, 4 * HALF_SPACING, "strided");
            assertRounded(normalized(wide(x)), op("norm", strided(x), 1e-5), "strided norm");
            assertNear(expected, op("bias_gelu_", wide(x).copy(), wide(bias)), 1e-6, 1e-6, "float32");
            Tensor found = op("log_prob", strided(x), bias, targets);
            assertNear(logProb(x, bias, targets), found, 1e-6, 1e-6, "strided logits");
            for (long outside : new long[] {20, -1}) {
                Tensor wrong = Tensor.of(new long[] {0, 1, 2, 3, 4, outside}, Shape.of(6, 1));
                assertThrows(RuntimeException.class, () -> op("log_prob", x, bias, wrong));
            }
        }
    }

    @Test
    void gradientsAreKept() {
        try (var _ = TensorScope.open(); var _ = GradMode.enable()) {
            Tensor leaf = GradMode.leaf(Tensor.of(new float[] {-2, 1, 3}, Shape.of(1, 3)).to(DType.BFLOAT16));
            Tensor bias = Tensor.zeros(DType.BFLOAT16, Shape.of(3));
            Tensor relu = op("bias_relu_", leaf.mul(2), bias);
            assertTrue(GradMode.flowsThrough(relu));
            float[] found = wide(GradMode.gradients(relu.sum(DType.FLOAT32), leaf)[0]).toFloats();
            assertEquals(0, found[0]);
            assertEquals(2, found[1]);
            assertEquals(2, found[2]);
            Tensor leafAgain = GradMode.leaf(leaf.detach());
            assertTrue(GradMode.flowsThrough(op("norm", leafAgain, 1e-5)));
            Tensor row = bias.unsqueeze(0);
            assertTrue(GradMode.flowsThrough(op("add_update", row, row, leafAgain.reshape(3))));
        }
    }
}
