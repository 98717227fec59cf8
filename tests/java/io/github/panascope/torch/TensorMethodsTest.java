package io.github.panascope.torch;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.TestDevice;
import java.util.function.BiPredicate;
import java.util.function.DoubleUnaryOperator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.function.Executable;

/** Tensor's everyday methods beside plain Java on the same values: results, dtypes and errors. */
@OnEachDevice
@ExtendWith(LeakCheck.class)
class TensorMethodsTest {
    private static final float NAN = Float.NaN;
    private static final float INFINITE = Float.POSITIVE_INFINITY;
    private static final float[] VALUES = {3, -1, 4, 1, -5, 9.5f, 2, 0, -0f, 5, 3, 5};

    private TensorScope scope;
    /** [3, 4] of VALUES. */
    private Tensor x;
    /** [2, 3] of 1 to 6, int64. */
    private Tensor whole;

    @BeforeEach
    void open() {
        scope = TensorScope.open();
        x = floats(VALUES).reshape(3, 4);
        whole = Tensor.of(new long[] {1, 2, 3, 4, 5, 6}, Shape.of(2, 3), TestDevice.DEVICE);
    }

    @AfterEach
    void close() {
        scope.close();
    }

    private static Tensor floats(float... values) {
        return Tensor.of(values, Shape.of(values.length), TestDevice.DEVICE);
    }

    private static void assertTensor(DType dtype, Shape shape, double[] values, Tensor tensor) {
        assertEquals(dtype, tensor.dtype());
        assertEquals(shape, tensor.shape());
        assertEquals(TestDevice.DEVICE.type(), tensor.device().type());
        assertArrayEquals(values, tensor.toDoubles(), 1e-6);
    }

    private static double[] doubles(double... values) {
        return values;
    }

    @Test
    void numbersKeepTheirKindAsInPyTorch() {
        assertTensor(DType.INT64, Shape.of(2, 3), doubles(0, 1, 2, 3, 4, 5), whole.sub(1));
        assertTensor(DType.INT64, Shape.of(2, 3), doubles(2, 3, 4, 5, 6, 7), whole.add(1L));
        assertTensor(DType.INT64, Shape.of(2, 3), doubles(-2, -4, -6, -8, -10, -12), whole.mul((short) -2));
        assertTensor(DType.FLOAT32, Shape.of(2, 3), doubles(.5, 1, 1.5, 2, 2.5, 3), whole.div(2));
        assertTensor(DType.FLOAT32, Shape.of(2, 3), doubles(.5, 1.5, 2.5, 3.5, 4.5, 5.5), whole.sub(0.5));
        assertTensor(DType.FLOAT32, Shape.of(2, 3), doubles(2, 4, 6, 8, 10, 12), whole.mul(2.0));
        assertTensor(DType.INT64, Shape.of(2, 3), doubles(1, 4, 9, 16, 25, 36), whole.pow(2));
        assertTensor(DType.FLOAT32, Shape.of(2, 3), doubles(1, .5, 1 / 3.0, .25, .2, 1 / 6.0), whole.pow(-1.0));
        assertTensor(
                DType.BFLOAT16,
                Shape.of(2),
                doubles(3, -1),
                floats(2, -2).to(DType.BFLOAT16).add(1));
        // 2^24 + 1 is no float32: only a comparison of integers tells it from 2^24.
        Tensor large = Tensor.of(new long[] {(1 << 24) + 1}, Shape.of(1), TestDevice.DEVICE);
        assertTrue(large.gt(1 << 24).itemBoolean());
        assertFalse(large.gt((double) (1 << 24)).itemBoolean());
        assertThrows(TorchException.class, () -> whole.pow(-1));
        assertThrows(TorchException.class, () -> whole.gt(1).neg());
        assertThrows(TorchException.class, () -> whole.gt(1).sub(1));
        assertTensor(
                DType.FLOAT32,
                Shape.of(2, 3),
                doubles(0, Math.log(2), Math.log(3), Math.log(4), Math.log(5), Math.log(6)),
                whole.log());
    }

    @Test
    void elementsAreComputedOneByOne() {
        assertEach(v -> -v, x.neg());
        assertEach(v -> v - 2, x.sub(2));
        assertEach(v -> v / 4, x.div(4));
        assertEach(Math::log, x.log());
        assertEach(v -> v * v * v, x.pow(3));
        assertEach(v -> Math.clamp(v, -1, 3.5), x.clamp(-1, 3.5));
        assertEach(Math::abs, x.maximum(x.neg()));
        assertEach(v -> -Math.abs(v), x.minimum(x.neg()));
    }

    private static void assertEach(DoubleUnaryOperator expected, Tensor found) {
        double[] values = new double[VALUES.length];
        for (int i = 0; i < values.length; i++) values[i] = expected.applyAsDouble(VALUES[i]);
        assertTensor(DType.FLOAT32, Shape.of(3, 4), values, found);
    }

    @Test
    void comparisonsAreThoseOfJava() {
        float[] left = {1, 2, 3, NAN, INFINITE, -0f};
        float[] right = {2, 2, 2, NAN, INFINITE, 0};
        Tensor a = floats(left);
        Tensor b = floats(right);
        compare(left, right, a.eq(b), (v, w) -> v.floatValue() == w.floatValue());
        compare(left, right, a.ne(b), (v, w) -> v.floatValue() != w.floatValue());
        compare(left, right, a.gt(b), (v, w) -> v > w);
        compare(left, right, a.ge(b), (v, w) -> v >= w);
        compare(left, right, a.lt(b), (v, w) -> v < w);
        compare(left, right, a.le(b), (v, w) -> v <= w);
        float[] two = {2, 2, 2, 2, 2, 2};
        compare(left, two, a.eq(2), (v, w) -> v.floatValue() == w.floatValue());
        compare(left, two, a.ne(2), (v, w) -> v.floatValue() != w.floatValue());
        compare(left, two, a.gt(2), (v, w) -> v > w);
        compare(left, two, a.ge(2), (v, w) -> v >= w);
        compare(left, two, a.lt(2.0), (v, w) -> v < w);
        compare(left, two, a.le(2.0), (v, w) -> v <= w);
        compare(left, two, a.isnan(), (v, w) -> Float.isNaN(v));
    }

    private static void compare(float[] left, float[] right, Tensor found, BiPredicate<Float, Float> expected) {
        assertEquals(DType.BOOL, found.dtype());
        long[] truths = new long[left.length];
        for (int i = 0; i < left.length; i++) truths[i] = expected.test(left[i], right[i]) ? 1 : 0;
        assertArrayEquals(truths, found.toLongs());
    }

    @Test
    void largestAndSmallestWithTheirPlaces() {
        assertTensor(DType.FLOAT32, Shape.of(), doubles(9.5), x.max());
        assertTensor(DType.FLOAT32, Shape.of(), doubles(-5), x.min());
        assertTensor(DType.INT64, Shape.of(), doubles(6), whole.max());
        assertTrue(Double.isNaN(floats(1, NAN, 2).max().item()));
        Tensor.Extremes rows = x.max(-1, false);
        assertTensor(DType.FLOAT32, Shape.of(3), doubles(4, 9.5, 5), rows.values());
        assertTensor(DType.INT64, Shape.of(3), doubles(2, 1, 1), rows.indices());
        Tensor.Extremes least = x.min(-1);
        assertTensor(DType.FLOAT32, Shape.of(3), doubles(-1, -5, 0), least.values());
        assertTensor(DType.INT64, Shape.of(3), doubles(1, 0, 0), least.indices());
        assertTensor(DType.FLOAT32, Shape.of(4), doubles(3, 9.5, 4, 5), x.max(0).values());
        assertTensor(DType.INT64, Shape.of(), doubles(5), x.argmax());
        assertTensor(DType.INT64, Shape.of(), doubles(1), floats(1, 7, 7).argmax());
        Tensor.Extremes columns = x.min(0, true);
        assertTensor(DType.FLOAT32, Shape.of(1, 4), doubles(-5, -1, 2, 0), columns.values());
        assertTensor(DType.INT64, Shape.of(1, 4), doubles(1, 0, 1, 1), columns.indices());
        Tensor none = Tensor.zeros(DType.FLOAT32, Shape.of(0), TestDevice.DEVICE);
        assertThrows(TorchException.class, none::max);
        assertThrows(IndexOutOfBoundsException.class, none::argmax);
        assertThrows(IndexOutOfBoundsException.class, () -> x.max(2, false));
    }

    @Test
    void sumsAndTruthsOfAll() {
        assertTensor(DType.FLOAT32, Shape.of(), doubles(26.5), x.sum());
        assertTensor(DType.INT64, Shape.of(), doubles(21), whole.sum());
        assertTensor(DType.INT64, Shape.of(), doubles(7), x.gt(1).sum());
        assertTrue(x.gt(9).any().itemBoolean());
        assertFalse(x.gt(10).any().itemBoolean());
        assertTrue(x.ge(-5).all().itemBoolean());
        assertFalse(x.gt(-5).all().itemBoolean());
        assertTensor(DType.BOOL, Shape.of(3), doubles(0, 1, 0), x.gt(5).any(-1, false));
        assertTensor(DType.BOOL, Shape.of(3, 1), doubles(0, 0, 1), x.gt(-0.5).all(1, true));
        assertTensor(DType.BOOL, Shape.of(3), doubles(0, 1, 0), x.gt(5).any(-1));
        assertTensor(DType.BOOL, Shape.of(3), doubles(0, 0, 1), x.gt(-0.5).all(1));
        assertTensor(DType.FLOAT32, Shape.of(3), doubles(7, 6.5, 13), x.sum(-1));
        assertTensor(DType.FLOAT32, Shape.of(4), doubles(-2 / 3.0, 13.5 / 3, 3, 2), x.mean(0));
        assertTensor(DType.INT64, Shape.of(3), doubles(5, 7, 9), whole.sum(0));
        assertThrows(IndexOutOfBoundsException.class, () -> x.mean(2));
        assertTensor(
                DType.BOOL,
                Shape.of(4),
                doubles(0, 1, 1, 0),
                floats(NAN, 0, -0f, 2).logicalNot());
        assertTensor(
                DType.BOOL,
                Shape.of(2, 3),
                doubles(1, 1, 1, 0, 0, 0),
                whole.gt(3).logicalNot());
    }

    @Test
    void elementsByTheirIndices() {
        assertEquals(9.5, x.get(1, 1));
        assertEquals(5, x.get(-1, -1));
        assertEquals(6, whole.get(1, 2));
        assertEquals(26.5, x.sum().get());
        assertMessage(
                IndexOutOfBoundsException.class,
                "index 3 is out of range for dimension 0 of a tensor of shape [3, 4]",
                () -> x.get(3, 0));
        assertMessage(
                IndexOutOfBoundsException.class,
                "index -5 is out of range for dimension 1 of a tensor of shape [3, 4]",
                () -> x.get(2, -5));
        assertEquals(
                "an element of a tensor of shape [3, 4] has 2 indices, not 1: select(0, i) returns a view of a row",
                assertThrows(IllegalArgumentException.class, () -> x.get(1)).getMessage());
        long beyond = (1L << 53) + 1;
        Tensor large = Tensor.of(new long[] {beyond}, Shape.of(1), TestDevice.DEVICE);
        assertEquals(beyond, large.itemLong());
        assertTrue(large.itemBoolean());
        assertThrows(ArithmeticException.class, () -> large.get(0));
        Tensor largest = Tensor.of(new long[] {Long.MAX_VALUE}, Shape.of(1), TestDevice.DEVICE);
        assertMessage(
                ArithmeticException.class,
                "the element 9223372036854775807 is no double: use itemLong() or toLongs()",
                largest::item);
        assertEquals(
                -0x1p63, Tensor.full(DType.INT64, Shape.of(), Long.MIN_VALUE).item());
        assertEquals(9, x.select(0, 1).select(0, 1).itemLong());
        assertFalse(floats(-0f).itemBoolean());
        assertTrue(floats(NAN).itemBoolean());
        assertMessage(
                ArithmeticException.class,
                "itemLong(): the element is NaN: use item()",
                () -> floats(NAN).itemLong());
        assertMessage(
                ArithmeticException.class,
                "itemLong(): the element is 1.0E30, which is outside the range of a long: use item()",
                () -> Tensor.of(new double[] {1e30}, Shape.of()).itemLong());
        assertEquals(-2, floats(-2.9f).itemLong());
        assertMessage(
                ArithmeticException.class,
                "an element is -Infinity, which is outside the range of a long: use toDoubles()",
                () -> floats(0, -INFINITE).toLongs());
        assertMessage(
                ArithmeticException.class,
                "an element is 2.147483648E9, which is outside the range of an int: use toDoubles()",
                () -> floats(0x1p31f).toInts());
        assertMessage(
                ArithmeticException.class,
                "an element is 9007199254740993, which is outside the range of an int: use toLongs()",
                large::toInts);
        assertMessage(IllegalStateException.class, "item() needs one element; this tensor has shape [3, 4]", x::item);
        assertMessage(
                IllegalStateException.class, "itemLong() needs one element; this tensor has shape [3, 4]", x::itemLong);
        assertMessage(
                IllegalStateException.class,
                "itemBoolean() needs one element; this tensor has shape [3, 4]",
                x::itemBoolean);
    }

    private static void assertMessage(Class<? extends Exception> type, String message, Executable action) {
        assertEquals(message, assertThrows(type, action).getMessage());
    }

    @Test
    void shapesChangeAsInPyTorch() {
        Tensor cube = Tensor.arange(24).to(TestDevice.DEVICE).reshape(2, 3, 4);
        Tensor turned = cube.permute(2, 0, -2);
        assertEquals(Shape.of(4, 2, 3), turned.shape());
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 2; j++)
                for (int k = 0; k < 3; k++) assertEquals(12 * j + 4 * k + i, turned.get(i, j, k));
        assertEquals(Shape.of(2, 12), cube.flatten(1, -1).shape());
        assertEquals(Shape.of(6, 4), cube.flatten(0, 1).shape());
        assertEquals(Shape.of(2, 3), cube.slice(2, 0, 1).squeeze(-1).shape());
        assertEquals(Shape.of(2, 3, 4), cube.squeeze(0).shape());
        Tensor wide = floats(1, 2).unsqueeze(1).expand(-1, 3);
        assertTensor(DType.FLOAT32, Shape.of(2, 3), doubles(1, 1, 1, 2, 2, 2), wide);
        assertThrows(TorchException.class, () -> cube.permute(0, 1));
        assertThrows(TorchException.class, () -> cube.expand(2, 3, 5));
    }

    @Test
    void placesAndProducts() {
        assertTensor(
                DType.INT64,
                Shape.of(3, 2),
                doubles(0, 2, 1, 1, 2, 3),
                floats(0, 0, 1, 0, 0, 2, 0, 0, 0, 0, 0, 3).reshape(3, 4).nonzero());
        Tensor w = floats(1, 0, 2, 0, 0, 1, 1, 0).reshape(2, 4);
        assertTensor(DType.FLOAT32, Shape.of(3, 2), doubles(11, 3, -1, 11.5, 6, 8), Tensor.einsum("bd,fd->bf", x, w));
        assertThrows(TorchException.class, () -> Tensor.einsum("bd,fd->bg", x, w));
        assertTrue(x.allclose(x.add(1e-6), 0, 1e-5));
        assertFalse(x.allclose(x.add(1e-4), 0, 1e-5));
        assertFalse(floats(NAN).allclose(floats(NAN), 1, 1));
        assertThrows(TorchException.class, () -> x.allclose(x.to(DType.FLOAT64), 0, 1));
    }

    @Test
    void tensorsAreMadeOfNumbers() {
        assertTensor(
                DType.BFLOAT16,
                Shape.of(2),
                doubles(1.5, 1.5),
                Tensor.full(DType.BFLOAT16, Shape.of(2), 1.5, TestDevice.DEVICE));
        assertArrayEquals(new long[] {0, 1, 2}, Tensor.arange(3).toLongs());
        assertEquals(DType.INT64, Tensor.arange(3).dtype());
        assertArrayEquals(
                new long[] {1, 1}, Tensor.ones(DType.BOOL, Shape.of(2)).toLongs());
        assertTensor(
                DType.INT64,
                Shape.of(3),
                doubles(-1, -1, -1),
                Tensor.full(DType.INT64, Shape.of(3), -1.9, TestDevice.DEVICE));
        assertTensor(
                DType.FLOAT64, Shape.of(2), doubles(1, 1), Tensor.ones(DType.FLOAT64, Shape.of(2), TestDevice.DEVICE));
        Tensor row = Tensor.of(1, 2.5f, -3);
        assertEquals(Shape.of(3), row.shape());
        assertArrayEquals(new float[] {1, 2.5f, -3}, row.toFloats());
        assertEquals(Shape.of(0), Tensor.of().shape());
        Tensor matrix = Tensor.of(new float[][] {{1, 2, 3}, {4, 5, 6}});
        assertEquals(Shape.of(2, 3), matrix.shape());
        assertArrayEquals(new float[] {1, 2, 3, 4, 5, 6}, matrix.toFloats());
        assertEquals(Shape.of(0, 0), Tensor.of(new float[0][]).shape());
        assertMessage(
                IllegalArgumentException.class,
                "row 1 has 1 elements, and row 0 has 2",
                () -> Tensor.of(new float[][] {{1, 2}, {3}}));
        assertArrayEquals(
                new double[] {.5, .5},
                Tensor.full(DType.FLOAT64, Shape.of(2), .5).toDoubles());
        assertThrows(
                UnsupportedOperationException.class, () -> Tensor.randn(DType.INT64, Shape.of(2), TestDevice.DEVICE));
        Torch.seed(7);
        Tensor onCpu = Tensor.randn(DType.FLOAT64, Shape.of(4));
        Torch.seed(7);
        assertTrue(onCpu.sameElements(Tensor.randn(DType.FLOAT64, Shape.of(4), Device.CPU)));
        Torch.seed(7);
        Tensor drawn = Tensor.randn(DType.FLOAT32, Shape.of(64, 64), TestDevice.DEVICE);
        Torch.seed(7);
        assertTrue(drawn.sameElements(Tensor.randn(DType.FLOAT32, Shape.of(64, 64), TestDevice.DEVICE)));
        assertEquals(0, drawn.mean().item(), 5 / 64.0); // five standard errors
        assertEquals(1, drawn.mul(drawn).mean().item(), 5 * Math.sqrt(2) / 64);
        assertThrows(TorchException.class, () -> Tensor.arange(-1));
    }
}
