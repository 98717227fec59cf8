package io.github.panascope.dashboard;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

/** The random order of positions from which samples are taken. */
class SampleOrderTest {
    @Test
    void everyPositionHasItsOwnPlace() {
        SampleOrder order = new SampleOrder(5, 77);
        Random random = new Random(3);
        for (int i = 0; i < 1000; i++) {
            int index = random.nextInt();
            assertEquals(index, order.index(order.place(index)));
        }
    }

    @Test
    void eachOf16PositionsComesFirstOneTimeIn16() {
        int[] first = new int[16];
        for (int feature = 0; feature < 4000; feature++) {
            SampleOrder own = new SampleOrder(0, feature);
            int best = 0;
            for (int index = 1; index < first.length; index++)
                if (Integer.compareUnsigned(own.place(index), own.place(best)) < 0) best = index;
            first[best]++;
        }
        for (int count : first) assertEquals(250, count, 5 * Math.sqrt(250), Arrays.toString(first));
    }

    @Test
    void anotherSeedGivesAnotherOrder() {
        assertTrue(new SampleOrder(1, 77).place(0) != new SampleOrder(5, 77).place(0));
    }

    @Test
    void samplesAreTheSameWhicheverWayTheyAreFound() {
        // Many positions are looked through by place, few by position: both ways are taken here over the same few.
        SampleOrder order = new SampleOrder(9, 4);
        int positions = 3000;
        int[] byPosition = IntStream.range(0, positions)
                .boxed()
                .sorted((a, b) -> Integer.compareUnsigned(order.place(a), order.place(b)))
                .limit(2)
                .mapToInt(Integer::intValue)
                .toArray();
        int[] byPlace = LongStream.range(0, 1L << 32)
                .mapToInt(place -> order.index((int) place))
                .filter(index -> index >= 0 && index < positions)
                .limit(2)
                .toArray();
        assertArrayEquals(byPosition, byPlace);
    }
}
