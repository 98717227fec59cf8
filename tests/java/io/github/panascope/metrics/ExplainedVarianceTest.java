package io.github.panascope.metrics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.LeakCheck;
import io.github.panascope.OnEachDevice;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** The streamed sums against the definition: one minus the mean squared error over the total variance. */
@ExtendWith(LeakCheck.class)
@OnEachDevice
class ExplainedVarianceTest {
    private static final int ROWS = 40;
    private static final int WIDTH = 6;

    @Test
    void partsInAnyOrderGiveTheDefinition() {
        Random random = new Random(1);
        float[] x = new float[ROWS * WIDTH];
        float[] y = new float[ROWS * WIDTH];
        float[] counts = new float[ROWS];
        for (int i = 0; i < x.length; i++) {
            x[i] = 3 + (float) random.nextGaussian();
            y[i] = x[i] + (float) random.nextGaussian() / 4;
        }
        for (int i = 0; i < ROWS; i++) counts[i] = i % 5 == 0 ? 0 : 1;
        double[] mean = new double[WIDTH];
        for (int i = 0; i < x.length; i++) mean[i % WIDTH] += counts[i / WIDTH] * x[i] / 32;
        double error = 0;
        double variance = 0;
        for (int i = 0; i < x.length; i++) {
            error += counts[i / WIDTH] * Math.pow((double) x[i] - y[i], 2);
            variance += counts[i / WIDTH] * Math.pow(x[i] - mean[i % WIDTH], 2);
        }
        ExplainedVariance first = new ExplainedVariance();
        ExplainedVariance second = new ExplainedVariance();
        try (var _ = TensorScope.open()) {
            Tensor all = Tensor.of(x, Shape.of(ROWS, WIDTH));
            Tensor made = Tensor.of(y, Shape.of(ROWS, WIDTH));
            Tensor mask = Tensor.of(counts, Shape.of(ROWS, 1));
            second.add(all.slice(0, 25, ROWS), made.slice(0, 25, ROWS), mask.slice(0, 25, ROWS));
            first.add(all.slice(0, 0, 7), made.slice(0, 0, 7), mask.slice(0, 0, 7));
            first.add(all.slice(0, 7, 25), made.slice(0, 7, 25), mask.slice(0, 7, 25));
            first.merge(second);
            assertEquals(1 - error / variance, first.value(), 1e-6);
            ExplainedVariance perfect = new ExplainedVariance();
            perfect.add(all, all, mask);
            assertEquals(1, perfect.value());
        }
        assertTrue(Double.isNaN(new ExplainedVariance().value()));
    }
}
