package io.github.panascope.internal;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Sums of doubles that are rounded only when they are read. */
class ExactSumTest {
    private static ExactSum sum(double... terms) {
        ExactSum sum = new ExactSum();
        for (double term : terms) sum.add(term);
        return sum;
    }

    private static byte[] bytes(ExactSum sum) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        sum.writeTo(new DataOutputStream(out));
        return out.toByteArray();
    }

    private static ExactSum read(byte[] bytes) throws IOException {
        return ExactSum.readFrom(new DataInputStream(new ByteArrayInputStream(bytes)));
    }

    /** Doubles of any bits that are finite, or of a small range. */
    private static double[] terms(Random random, boolean any) {
        return random.ints(random.nextInt(1, 40))
                .mapToDouble(i -> any ? Double.longBitsToDouble(random.nextLong()) : random.nextGaussian() * i)
                .filter(Double::isFinite)
                .toArray();
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void isTheNearestDoubleToTheSumInDecimals(boolean any) {
        Random random = new Random(3);
        for (int round = 0; round < 500; round++) {
            double[] terms = terms(random, any);
            BigDecimal exact = Arrays.stream(terms).mapToObj(BigDecimal::new).reduce(BigDecimal.ZERO, BigDecimal::add);
            assertEquals(Double.parseDouble(exact.toString()), sum(terms).value());
        }
    }

    @Test
    void everyOrderAndGroupingGivesEqualBytes() throws IOException {
        Random random = new Random(4);
        for (int round = 0; round < 300; round++) {
            double[] terms = terms(random, round % 2 == 0);
            List<ExactSum> parts = new ArrayList<>();
            for (double term : terms) parts.add(sum(term));
            parts.add(new ExactSum());
            Collections.shuffle(parts, random);
            while (parts.size() > 1) {
                ExactSum part = read(bytes(parts.remove(random.nextInt(parts.size()))));
                parts.get(random.nextInt(parts.size())).add(part);
            }
            assertArrayEquals(bytes(sum(terms)), bytes(parts.getFirst()));
        }
    }

    @ParameterizedTest
    @CsvSource({
        "1e308 1e308 -1e308, 1e308",
        "1e308 1e308, Infinity",
        "-1.7976931348623157e308 -1e300, -Infinity",
        "1 1e-300 -1, 1e-300",
        "4.9e-324 4.9e-324, 1e-323",
        "1 1.1102230246251565e-16, 1",
        "1 1.1102230246251565e-16 4.9e-324, 1.0000000000000002",
        "-0.0 -0.0, 0",
        "Infinity 1, Infinity",
        "-Infinity 1e308 1e308, -Infinity",
        "Infinity -Infinity, NaN",
        "NaN Infinity 1, NaN"
    })
    void sumsOfExtremes(String terms, double expected) throws IOException {
        ExactSum sum = sum(
                Arrays.stream(terms.split(" ")).mapToDouble(Double::parseDouble).toArray());
        assertEquals(expected, sum.value());
        assertEquals(expected, read(bytes(sum)).value());
    }

    @Test
    void aSumThatIsTooLargeForADoubleGoesOn() throws IOException {
        ExactSum sum = sum(0x1p1023, 0x1p1023);
        for (int i = 0; i < 40; i++) sum.add(read(bytes(sum)));
        assertEquals(Double.POSITIVE_INFINITY, sum.value());
        ExactSum less = sum(-0x1p1023, -0x1p1023);
        for (int i = 0; i < 40; i++) less.add(less);
        less.add(3);
        sum.add(less);
        assertEquals(3, sum.value());
        assertEquals(4, bytes(sum).length);
    }

    @Test
    void bytesOfNoSumAreRefused() throws IOException {
        byte[] even = bytes(sum(5));
        even[1]++;
        byte[] tiny = bytes(sum(Double.MIN_VALUE));
        tiny[3]--;
        byte[] huge = bytes(sum(0x1p1023));
        huge[2]++;
        for (byte[] bytes : List.of(even, tiny, huge, new byte[] {-1, 127}))
            assertThrows(IOException.class, () -> read(bytes));
    }
}
