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
    /** Around the registers' and the cache's blocks. */
    private static final int[] LENGTHS = {1, 2, 17, 64, 128, 129, 300};

    private static final int[] HEAD_WIDTHS = {1, 8, 20, 64, 80, 130};
    /** bfloat16 keeps 8 bits of a number: rounding is off by 2^-8 of it at most. */
    private static final double HALF_SPACING = 1.0 / 256;

    private static final double FLOAT32 = 2e-6;
    private static final float[] ODD = {
        Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, 0f, -0f, 3e38f, -3e38f, 1e-38f
    };

    private static final Op LIMIT = Op.of("lens::limit_kernels", "");
    private static final Op LAYER_NORM = Op.of("aten::layer_norm", "");
    private static final Op GELU = Op.of("aten::gelu", "");
    private static final Op ATTENTION = Op.of("aten::scaled_dot_product_attention", "");
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

    /** Returns equal elements whose rows do not lie one behind the other in memory. */
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

    /** Queries, keys and values [batch, head, pos, d_head], of one product's [batch, pos, 3, head, d_head]. */
    private static Tensor[] heads(Tensor qkv) {
        Tensor[] heads = new Tensor[3];
        for (int i = 0; i < 3; i++) heads[i] = qkv.select(2, i).transpose(1, 2);
        return heads;
    }

    private static Tensor attention(Tensor[] heads, double scale) {
        return op("causal_attention", heads[0], heads[1], heads[2], scale);
    }

    private static Tensor libtorchAttention(DType dtype, Tensor[] heads, double scale) {
        Tensor q = heads[0].to(dtype);
        return ATTENTION.tensor(q, heads[1].to(dtype), heads[2].to(dtype), null, 0.0, true, scale, false);
    }

    private static Tensor[] positions(Tensor[] heads, long start, long end) {
        Tensor[] some = new Tensor[3];
        for (int i = 0; i < 3; i++) some[i] = heads[i].slice(2, start, end);
        return some;
    }

    private static void assertAttention(Tensor[] heads, double scale, String what) {
        Tensor found = attention(heads, scale);
        assertEquals(DType.BFLOAT16, found.dtype(), what);
        assertTrue(found.transpose(1, 2).isContiguous(), what);
        assertNear(libtorchAttention(DType.FLOAT64, heads, scale), found, HALF_SPACING + 1e-5, 1e-5, what);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2})
    void attentionIsThatOfFloat64(int vectors) {
        try (var _ = TensorScope.open()) {
            if (!limit(vectors)) return;
            for (int length : LENGTHS) {
                for (int width : HEAD_WIDTHS) {
                    String what = "vectors " + vectors + ", length " + length + ", width " + width;
                    double scale = width == 20 ? 0.37 : 1 / Math.sqrt(width);
                    assertAttention(heads(random(1, 2, length, 3, 3, width)), scale, what);
                }
            }
            assertAttention(heads(random(1, 1, 1100, 3, 2, 64)), 0.125, "vectors " + vectors + ", length 1100");
        }
    }

    /** Without the largest score as 1 there would be infinities; these scores have no fraction, and so no rounding. */
    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2})
    void largeScoresDoNotOverflow(int vectors) {
        try (var _ = TensorScope.open()) {
            if (!limit(vectors)) return;
            for (double scale : new double[] {1, 0.0078125}) {
                Tensor whole = Op.of("aten::round", "").tensor(random(20, 2, 300, 3, 3, 64));
                assertAttention(heads(whole), scale, "vectors " + vectors + ", large scores times " + scale);
            }
        }
    }

    /** A key or value that is NaN, infinite or extreme affects the positions that attend to it, and no earlier ones. */
    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2})
    void attentionSeesNothingOfWhatComesLater(int vectors) {
        try (var _ = TensorScope.open()) {
            if (!limit(vectors)) return;
            for (float odd : ODD) {
                for (int place : new int[] {0, 1, 18, 63, 70, 98}) {
                    String what = "vectors " + vectors + ", " + odd + " at " + place;
                    for (int part = 1; part < 3; part++) {
                        Tensor qkv = random(0.5, 1, 99, 3, 2, 20);
                        Tensor one =
                                qkv.slice(1, place, place + 1).select(2, part).slice(3, 7, 8);
                        one.copy_(Tensor.of(new float[] {odd}, Shape.of(1)).to(DType.BFLOAT16));
                        Tensor[] heads = heads(qkv);
                        Tensor found = attention(heads, 0.3);
                        if (place > 0) {
                            Tensor expected = attention(positions(heads(qkv.copy()), 0, place), 0.3);
                            assertRounded(expected, found.slice(2, 0, place), what + ", before");
                        }
                        Tensor expected =
                                libtorchAttention(DType.FLOAT64, heads, 0.3).slice(2, place, 99);
                        Tensor seen = found.slice(2, place, 99);
                        assertNear(expected, seen, HALF_SPACING + 1e-5, 1e-5, what + " of part " + part);
                    }
                }
            }
        }
    }

    @Test
    void attentionThatTheKernelIsNotMadeForIsHandedOver() {
        try (var _ = TensorScope.open()) {
            Tensor[] heads = heads(random(1, 2, 33, 3, 3, 20));
            Tensor expected = libtorchAttention(DType.FLOAT64, heads, 0.2);
            Tensor[] wide = {wide(heads[0]), wide(heads[1]), wide(heads[2])};
            assertNear(expected, attention(wide, 0.2), 1e-5, 1e-5, "float32");
            Tensor columns = heads[1].transpose(2, 3).contiguous().transpose(2, 3);
            Tensor strided = attention(new Tensor[] {heads[0], columns, heads[2]}, 0.2);
            assertNear(expected, strided, 4 * HALF_SPACING, 4 * HALF_SPACING, "keys by column");
            Tensor[] fewer = {heads[0].slice(2, 0, 30), heads[1], heads[2]};
            Tensor found = attention(fewer, 0.2);
            assertNear(expected.slice(2, 0, 30), found, 4 * HALF_SPACING, 4 * HALF_SPACING, "fewer queries");
        }
    }

    @Test
    void nothingIsDoneToNothing() {
        try (var _ = TensorScope.open()) {
            Tensor none = Tensor.zeros(DType.BFLOAT16, Shape.of(0, 768));
            Tensor bias = random(1, 768);
            elementwise(none, bias, bias, "no rows");
            rows(none, none, bias, "no rows");
            Tensor[] empty = heads(Tensor.zeros(DType.BFLOAT16, Shape.of(2, 0, 3, 3, 20)));
            assertEquals(Shape.of(2, 3, 0, 20), attention(empty, 1).shape());
            assertEquals(
                    Shape.of(0, 1),
                    op("log_prob", none, bias, Tensor.zeros(DType.INT64, Shape.of(0, 1)))
                            .shape());
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
        try (var _ = TensorScope.open();
                var _ = GradMode.enable()) {
            Tensor leaf = GradMode.leaf(
                    Tensor.of(new float[] {-2, 1, 3}, Shape.of(1, 3)).to(DType.BFLOAT16));
            Tensor bias = Tensor.zeros(DType.BFLOAT16, Shape.of(3));
            Tensor relu = op("bias_relu_", leaf.mul(2), bias);
            assertTrue(GradMode.flowsThrough(relu));
            float[] found =
                    wide(GradMode.gradients(relu.sum(DType.FLOAT32), leaf)[0]).toFloats();
            assertEquals(0, found[0]);
            assertEquals(2, found[1]);
            assertEquals(2, found[2]);
            Tensor leafAgain = GradMode.leaf(leaf.detach());
            assertTrue(GradMode.flowsThrough(op("norm", leafAgain, 1e-5)));
            Tensor row = bias.unsqueeze(0);
            assertTrue(GradMode.flowsThrough(op("add_update", row, row, leafAgain.reshape(3))));
            Tensor head = leafAgain.reshape(1, 1, 1, 3);
            assertTrue(GradMode.flowsThrough(attention(new Tensor[] {head, head, head}, 1)));
        }
    }
}
