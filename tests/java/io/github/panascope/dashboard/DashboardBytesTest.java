package io.github.panascope.dashboard;

import static io.github.panascope.dashboard.StoreFixture.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.github.panascope.InputException;
import io.github.panascope.dashboard.FeatureDashboard.Ablation;
import io.github.panascope.dashboard.FeatureDashboard.Entry;
import io.github.panascope.dashboard.FeatureDashboard.LogitsTable;
import io.github.panascope.dashboard.FeatureDashboard.Sequence;
import io.github.panascope.dashboard.FeatureDashboard.SequenceGroup;
import io.github.panascope.dashboard.FeatureDashboard.Statistics;
import io.github.panascope.dashboard.FeatureDashboard.Tables;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;

/** Dashboards that are written as bytes and read again. */
class DashboardBytesTest {
    private static final int HEADER = 16;
    /** A NaN with bits of its own. */
    private static final float ODD_NAN = Float.intBitsToFloat(0x7FC01234);

    private static final FeatureDashboard WHOLE = dashboard(0, 1e-6, 0.5, 0.5, 300.000001);

    private static FeatureDashboard dashboard(double... quantiles) {
        Ablation ablation = new Ablation(
                new float[] {ODD_NAN, -0f},
                new float[0],
                new int[][] {{1, 2}, {}},
                new float[][] {{1, 2}, {}},
                new int[][] {{}, {3}},
                new float[][] {{}, {-4}});
        Sequence sequence =
                new Sequence(7, 3, 2, new int[] {50256, 1}, new float[] {1, ODD_NAN}, new float[0], ablation);
        Sequence plain = new Sequence(-1, 0, 0, new int[0], new float[0], new float[] {1}, null);
        return new FeatureDashboard(
                24_575,
                new Statistics(1L << 40, 1, 2, 3, ODD_NAN, 4, 5, -0.0, Double.NaN, 7, quantiles),
                new Tables(List.of(new Entry(1, 2, 3)), List.of(), List.of(new Entry(4, 5, 6), new Entry(7, 8, 9))),
                new Histogram(new int[] {1, 2}, new double[] {0.5, 1}, new double[] {0}),
                new Histogram(new int[0], new double[0], new double[0]),
                new LogitsTable(new int[] {1}, new float[] {2}, new int[] {3}, new float[] {4}),
                List.of(
                        new SequenceGroup(SequenceGroup.Kind.TOP, Double.NaN, 1, Double.NaN, List.of(sequence, plain)),
                        new SequenceGroup(SequenceGroup.Kind.INTERVAL, 1, 2, 3, List.of())));
    }

    private static byte[] bytes(FeatureDashboard... dashboards) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        for (FeatureDashboard dashboard : dashboards) dashboard.writeTo(new DataOutputStream(bytes));
        return bytes.toByteArray();
    }

    private static FeatureDashboard read(byte[] bytes) throws IOException {
        return FeatureDashboard.readFrom(new DataInputStream(new ByteArrayInputStream(bytes)));
    }

    @Test
    void allBitsAreKept() throws IOException {
        FeatureDashboard none =
                new FeatureDashboard(0, WHOLE.statistics(), WHOLE.tables(), WHOLE.activations(), null, null, List.of());
        byte[] written = bytes(WHOLE, none);
        DataInputStream in = new DataInputStream(new ByteArrayInputStream(written));
        FeatureDashboard first = FeatureDashboard.readFrom(in);
        FeatureDashboard second = FeatureDashboard.readFrom(in);
        assertEquals(-1, in.read());
        assertArrayEquals(written, bytes(first, second));
        assertNull(second.logits());
        assertNull(second.logitsTable());
        assertEquals(WHOLE.tables(), first.tables());
        assertEquals(WHOLE.feature(), first.feature());
        assertArrayEquals(WHOLE.statistics().quantileData(), first.statistics().quantileData());
        Sequence sequence = first.groups().getFirst().sequences().getFirst();
        assertEquals(Float.floatToRawIntBits(ODD_NAN), Float.floatToRawIntBits(sequence.activations()[1]));
        assertEquals(
                Float.floatToRawIntBits(-0f),
                Float.floatToRawIntBits(sequence.ablation().lossEffect()[1]));
        assertArrayEquals(new int[][] {{}, {3}}, sequence.ablation().bottomIds());
        assertNull(first.groups().getFirst().sequences().getLast().ablation());
    }

    /** Quantiles that are multiples of 1e-6 in ascending order take a byte or two; others are kept too. */
    @Test
    void quantilesAreKeptWhateverTheyAre() throws IOException {
        double[] ascending = new Random(2)
                .doubles(2350, 0, 100)
                .map(value -> Histogram.rounded(value, 6))
                .sorted()
                .toArray();
        assertTrue(bytes(dashboard(ascending)).length < 2350 * 3.5);
        for (double[] quantiles : new double[][] {
            ascending,
            {},
            {0, 0.1 + 0.2},
            {1, 0},
            {-1, 0},
            {-0.0},
            {Double.NaN, ODD_NAN, Double.POSITIVE_INFINITY},
            {Double.MAX_VALUE},
            {1L << 40}
        })
            assertArrayEquals(
                    quantiles,
                    read(bytes(dashboard(quantiles))).statistics().quantileData(),
                    Arrays.toString(quantiles));
    }

    @Test
    void damageIsRefused() throws IOException {
        byte[] written = bytes(WHOLE);
        for (int end = 0; end < written.length; end++) {
            byte[] shorter = Arrays.copyOf(written, end);
            assertRefused("damaged: it ends early", () -> read(shorter));
        }
        for (int at = 0; at < written.length; at++) {
            byte[] damaged = written.clone();
            damaged[at] ^= 0x40;
            assertThrows(InputException.class, () -> read(damaged), "byte " + at);
        }
        byte[] later = written.clone();
        later[7]++;
        assertRefused("of another version of panascope, 2 where this one has 1", () -> read(later));
        byte[] endless = written.clone();
        ByteBuffer.wrap(endless).putInt(8, Integer.MAX_VALUE);
        assertRefused("ends early", () -> read(endless));
        assertRefused("does not begin as one", () -> read(new byte[100]));
    }

    /** Bytes with a checksum that fits, whose lists are longer than the bytes. */
    @Test
    void lengthsOfListsAreChecked() throws IOException {
        byte[] written = bytes(WHOLE);
        for (int at = HEADER; at + 4 <= written.length; at++) {
            ByteBuffer forged = ByteBuffer.wrap(written.clone()).putInt(at, Integer.MAX_VALUE - at);
            CRC32C crc = new CRC32C();
            crc.update(forged.array(), HEADER, written.length - HEADER);
            forged.putInt(12, (int) crc.getValue());
            try {
                read(forged.array()); // a number of the dashboard, not a length
            } catch (InputException e) {
                assertTrue(e.getMessage().startsWith("the dashboard is damaged: "), e.getMessage());
            }
        }
    }
}
