package io.github.panascope.dashboard;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Sums whose result does not depend on the order of their terms. */
class ExactSumsTest {
    private static double[] terms() {
        Random random = new Random(11);
        return random.doubles(20_000)
                .map(x -> (x - 0.5) * Math.pow(10, random.nextInt(12) - 6))
                .toArray();
    }

    @Test
    void sumsDoNotDependOnTheirOrder() {
        double[] terms = terms();
        ExactSums forwards = new ExactSums(1);
        ExactSums backwards = new ExactSums(1);
        ExactSums left = new ExactSums(1);
        ExactSums right = new ExactSums(1);
        for (int i = 0; i < terms.length; i++) {
            forwards.add(0, terms[i]);
            backwards.add(0, terms[terms.length - 1 - i]);
            (i % 3 == 0 ? left : right).add(0, terms[i]);
        }
        left.carry();
        ByteBuffer written = ByteBuffer.allocate(ExactSums.BYTES);
        left.write(0, written);
        right.addAll(written.flip());
        assertEquals(forwards.get(0), backwards.get(0));
        assertEquals(forwards.get(0), right.get(0));
    }

    @Test
    void sumsAreThoseOfDecimalArithmetic() {
        double[] terms = terms();
        ExactSums sums = new ExactSums(1);
        for (double term : terms) sums.add(0, term);
        BigDecimal exact = Arrays.stream(terms).mapToObj(BigDecimal::new).reduce(BigDecimal.ZERO, BigDecimal::add);
        assertEquals(exact.doubleValue(), sums.get(0), terms.length * 0x1p-40);
    }
}
