package io.github.panascope.sae;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import io.github.panascope.LeakCheck;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.GradMode;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Decoding from the active features against the product with all. */
@ExtendWith(LeakCheck.class)
class SparseFeaturesTest {
    private static final int ROWS = 37;
    private static final int FEATURES = 1000;
    private static final int WIDTH = 24;

    private static Tensor random(Random random, Shape shape, double share) {
        float[] values = new float[(int) shape.elements()];
        for (int i = 0; i < values.length; i++)
            if (random.nextDouble() < share) values[i] = (float) Math.abs(random.nextGaussian()) + .01f;
        return Tensor.of(values, shape);
    }

    @Test
    void equalsTheProduct() {
        Random random = new Random(5);
        for (DType dtype : new DType[] {DType.FLOAT32, DType.BFLOAT16}) {
            try (var _ = TensorScope.open()) {
                Tensor features = random(random, Shape.of(ROWS, FEATURES), .01).to(dtype);
                Tensor wDec = random(random, Shape.of(FEATURES, WIDTH), 1).to(dtype);
                Tensor bDec = random(random, Shape.of(WIDTH), 1).to(dtype);
                Tensor norms = random(random, Shape.of(FEATURES), 1).to(dtype);
                features.slice(0, 3, 5).zero_(); // rows without any, the last among them
                features.slice(0, ROWS - 1, ROWS).zero_();
                SparseFeatures sparse = SparseFeatures.of(features);
                assertNotNull(sparse);
                assertArrayEquals(features.gt(0).sum(-1, false).toLongs(), sparse.counts());
                double tolerance = dtype == DType.FLOAT32 ? 1e-5 : .25;
                assertClose(
                        bDec.to(DType.FLOAT32).addmm(features.to(DType.FLOAT32), wDec.to(DType.FLOAT32)),
                        sparse.decode(wDec, bDec),
                        tolerance);
                assertClose(
                        bDec.to(DType.FLOAT32)
                                .addmm(features.to(DType.FLOAT32).div(norms.to(DType.FLOAT32)), wDec.to(DType.FLOAT32)),
                        sparse.dividedBy(norms).decode(wDec, bDec),
                        tolerance * 100);
            }
        }
    }

    private static void assertClose(Tensor expected, Tensor actual, double tolerance) {
        assertArrayEquals(expected.toFloats(), actual.to(DType.FLOAT32).toFloats(), (float) tolerance);
    }

    @Test
    void stepsBackWhereItDoesNotPay() {
        try (var _ = TensorScope.open()) {
            assertNull(SparseFeatures.of(random(new Random(1), Shape.of(ROWS, FEATURES), .5)));
            assertNull(SparseFeatures.of(Tensor.zeros(DType.FLOAT32, Shape.of(0, FEATURES))));
            Tensor zeros = Tensor.zeros(DType.FLOAT32, Shape.of(2, FEATURES));
            assertEquals(0, SparseFeatures.of(zeros).counts()[1]);
            try (var _ = GradMode.enable()) {
                assertNull(SparseFeatures.of(GradMode.leaf(zeros)));
            }
        }
    }
}
