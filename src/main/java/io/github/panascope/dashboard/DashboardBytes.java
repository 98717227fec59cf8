package io.github.panascope.dashboard;

import io.github.panascope.InputException;
import io.github.panascope.dashboard.FeatureDashboard.Ablation;
import io.github.panascope.dashboard.FeatureDashboard.Entry;
import io.github.panascope.dashboard.FeatureDashboard.LogitsTable;
import io.github.panascope.dashboard.FeatureDashboard.Sequence;
import io.github.panascope.dashboard.FeatureDashboard.SequenceGroup;
import io.github.panascope.dashboard.FeatureDashboard.Statistics;
import io.github.panascope.dashboard.FeatureDashboard.Tables;
import java.io.ByteArrayOutputStream;
import java.io.DataInput;
import java.io.DataOutput;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.zip.CRC32C;

/**
 * The bytes of a {@link FeatureDashboard}: magic number, version, length and CRC-32C of the content, and the content.
 * All numbers are big-endian; floats keep their bits. Quantiles are multiples of 1e-6 in ascending order, so that each
 * is written as the difference to the one before it, mostly in one or two bytes.
 */
final class DashboardBytes {
    private static final int MAGIC = 0x50534644;
    private static final int VERSION = 1;
    /** The bytes that are allocated before any were read: a damaged length must not exhaust the memory. */
    private static final int FIRST = 1 << 16;

    private static final double MILLIONTH = 1e6;
    /** The fewest bytes of an entry, a sequence and a group. */
    private static final int ENTRY = 20, SEQUENCE = 25, GROUP = 29;

    private DashboardBytes() {}

    static void write(FeatureDashboard dashboard, DataOutput out) throws IOException {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        new Writer(new DataOutputStream(content)).dashboard(dashboard);
        byte[] bytes = content.toByteArray();
        out.writeInt(MAGIC);
        out.writeInt(VERSION);
        out.writeInt(bytes.length);
        out.writeInt(checksum(bytes));
        out.write(bytes);
    }

    static FeatureDashboard read(DataInput in) throws IOException {
        try {
            if (in.readInt() != MAGIC) throw damaged("it does not begin as one");
            int version = in.readInt();
            if (version != VERSION)
                throw new InputException("the dashboard is of another version of panascope, " + version
                        + " where this one has " + VERSION + ": make it again.");
            int length = in.readInt();
            int checksum = in.readInt();
            if (length < 0) throw damaged("its length is negative");
            byte[] bytes = new byte[Math.min(length, FIRST)];
            in.readFully(bytes);
            while (bytes.length < length) {
                int before = bytes.length;
                bytes = Arrays.copyOf(bytes, (int) Math.min(length, 2L * before));
                in.readFully(bytes, before, bytes.length - before);
            }
            if (checksum(bytes) != checksum) throw damaged("its checksum does not fit");
            ByteBuffer content = ByteBuffer.wrap(bytes);
            FeatureDashboard dashboard = new Reader(content).dashboard();
            if (content.hasRemaining()) throw damaged("bytes are left over");
            return dashboard;
        } catch (EOFException | BufferUnderflowException e) {
            throw damaged("it ends early");
        }
    }

    private static int checksum(byte[] bytes) {
        CRC32C crc = new CRC32C();
        crc.update(bytes);
        return (int) crc.getValue();
    }

    private static InputException damaged(String how) {
        return new InputException("the dashboard is damaged: " + how + ". Make it again.");
    }

    /** Writes the parts of a dashboard, which {@link Reader} reads in the same order. */
    private record Writer(DataOutputStream out) {
        void dashboard(FeatureDashboard dashboard) throws IOException {
            out.writeInt(dashboard.feature());
            statistics(dashboard.statistics());
            entries(dashboard.tables().neuronAlignment());
            entries(dashboard.tables().correlatedNeurons());
            entries(dashboard.tables().correlatedFeatures());
            histogram(dashboard.activations());
            out.writeBoolean(dashboard.logits() != null);
            if (dashboard.logits() != null) histogram(dashboard.logits());
            LogitsTable table = dashboard.logitsTable();
            out.writeBoolean(table != null);
            if (table != null) {
                ints(table.topTokenIds());
                floats(table.topLogits());
                ints(table.bottomTokenIds());
                floats(table.bottomLogits());
            }
            out.writeInt(dashboard.groups().size());
            for (SequenceGroup group : dashboard.groups()) group(group);
        }

        private void statistics(Statistics statistics) throws IOException {
            out.writeLong(statistics.positions());
            out.writeLong(statistics.excluded());
            out.writeLong(statistics.active());
            number(statistics.fracNonzero());
            out.writeInt(Float.floatToRawIntBits(statistics.max()));
            number(statistics.mean());
            number(statistics.meanActive());
            number(statistics.std());
            number(statistics.skew());
            number(statistics.kurtosis());
            quantiles(statistics.quantileData());
        }

        private void quantiles(double[] quantiles) throws IOException {
            long[] millionths = new long[quantiles.length];
            boolean exact = true;
            for (int i = 0; i < millionths.length && exact; i++) {
                millionths[i] = Math.round(quantiles[i] * MILLIONTH);
                exact = Double.doubleToRawLongBits(millionths[i] / MILLIONTH)
                                == Double.doubleToRawLongBits(quantiles[i])
                        && millionths[i] >= (i == 0 ? 0 : millionths[i - 1]);
            }
            out.writeBoolean(exact);
            if (!exact) {
                doubles(quantiles);
                return;
            }
            out.writeInt(millionths.length);
            for (int i = 0; i < millionths.length; i++) {
                long more = millionths[i] - (i == 0 ? 0 : millionths[i - 1]);
                for (; more > 0x7F; more >>>= 7) out.writeByte((int) more & 0x7F | 0x80);
                out.writeByte((int) more);
            }
        }

        private void entries(List<Entry> entries) throws IOException {
            out.writeInt(entries.size());
            for (Entry entry : entries) {
                out.writeInt(entry.index());
                number(entry.value());
                number(entry.second());
            }
        }

        private void histogram(Histogram histogram) throws IOException {
            ints(histogram.heights());
            doubles(histogram.values());
            doubles(histogram.ticks());
        }

        private void group(SequenceGroup group) throws IOException {
            out.writeByte(group.kind().ordinal());
            number(group.low());
            number(group.high());
            number(group.contains());
            out.writeInt(group.sequences().size());
            for (Sequence sequence : group.sequences()) {
                out.writeInt(sequence.row());
                out.writeInt(sequence.position());
                out.writeInt(sequence.first());
                ints(sequence.tokenIds());
                floats(sequence.activations());
                floats(sequence.tokenLogits());
                Ablation ablation = sequence.ablation();
                out.writeBoolean(ablation != null);
                if (ablation != null) ablation(ablation);
            }
        }

        private void ablation(Ablation ablation) throws IOException {
            floats(ablation.lossEffect());
            floats(ablation.lensLossEffect());
            changes(ablation.topIds(), ablation.topValues());
            changes(ablation.bottomIds(), ablation.bottomValues());
        }

        private void changes(int[][] ids, float[][] values) throws IOException {
            out.writeInt(ids.length);
            for (int[] each : ids) ints(each);
            out.writeInt(values.length);
            for (float[] each : values) floats(each);
        }

        private void number(double value) throws IOException {
            out.writeLong(Double.doubleToRawLongBits(value));
        }

        private void ints(int[] values) throws IOException {
            out.writeInt(values.length);
            for (int value : values) out.writeInt(value);
        }

        private void floats(float[] values) throws IOException {
            out.writeInt(values.length);
            for (float value : values) out.writeInt(Float.floatToRawIntBits(value));
        }

        private void doubles(double[] values) throws IOException {
            out.writeInt(values.length);
            for (double value : values) number(value);
        }
    }

    /** Reads what {@link Writer} writes. */
    private record Reader(ByteBuffer in) {
        FeatureDashboard dashboard() {
            return new FeatureDashboard(
                    in.getInt(),
                    statistics(),
                    new Tables(entries(), entries(), entries()),
                    histogram(),
                    there() ? histogram() : null,
                    there() ? new LogitsTable(ints(), floats(), ints(), floats()) : null,
                    groups());
        }

        private Statistics statistics() {
            return new Statistics(
                    in.getLong(),
                    in.getLong(),
                    in.getLong(),
                    in.getDouble(),
                    in.getFloat(),
                    in.getDouble(),
                    in.getDouble(),
                    in.getDouble(),
                    in.getDouble(),
                    in.getDouble(),
                    there() ? quantiles() : doubles());
        }

        private double[] quantiles() {
            double[] quantiles = new double[count(1)];
            long millionths = 0;
            for (int i = 0; i < quantiles.length; i++) {
                int shift = 0;
                long next;
                do {
                    next = in.get();
                    millionths += (next & 0x7F) << shift;
                    shift += 7;
                } while (next < 0 && shift < Long.SIZE);
                quantiles[i] = millionths / MILLIONTH;
            }
            return quantiles;
        }

        private List<Entry> entries() {
            int count = count(ENTRY);
            List<Entry> entries = new ArrayList<>(count);
            for (int i = 0; i < count; i++) entries.add(new Entry(in.getInt(), in.getDouble(), in.getDouble()));
            return entries;
        }

        private Histogram histogram() {
            return new Histogram(ints(), doubles(), doubles());
        }

        private List<SequenceGroup> groups() {
            int count = count(GROUP);
            List<SequenceGroup> groups = new ArrayList<>(count);
            SequenceGroup.Kind[] kinds = SequenceGroup.Kind.values();
            for (int i = 0; i < count; i++) {
                int kind = in.get();
                if (kind < 0 || kind >= kinds.length) throw damaged("a group of sequences is of an unknown kind");
                groups.add(new SequenceGroup(kinds[kind], in.getDouble(), in.getDouble(), in.getDouble(), sequences()));
            }
            return groups;
        }

        private List<Sequence> sequences() {
            int count = count(SEQUENCE);
            List<Sequence> sequences = new ArrayList<>(count);
            for (int i = 0; i < count; i++)
                sequences.add(new Sequence(
                        in.getInt(),
                        in.getInt(),
                        in.getInt(),
                        ints(),
                        floats(),
                        floats(),
                        there()
                                ? new Ablation(floats(), floats(), idLists(), valueLists(), idLists(), valueLists())
                                : null));
            return sequences;
        }

        private boolean there() {
            return in.get() != 0;
        }

        /** Reads the number of elements of a list, each of which takes at least {@code bytes}. */
        private int count(int bytes) {
            int count = in.getInt();
            if (count < 0 || (long) count * bytes > in.remaining())
                throw damaged("a list of " + count + " elements does not fit");
            return count;
        }

        private int[] ints() {
            int[] values = new int[count(Integer.BYTES)];
            for (int i = 0; i < values.length; i++) values[i] = in.getInt();
            return values;
        }

        private float[] floats() {
            float[] values = new float[count(Float.BYTES)];
            for (int i = 0; i < values.length; i++) values[i] = in.getFloat();
            return values;
        }

        private double[] doubles() {
            double[] values = new double[count(Double.BYTES)];
            for (int i = 0; i < values.length; i++) values[i] = in.getDouble();
            return values;
        }

        private int[][] idLists() {
            int[][] lists = new int[count(Integer.BYTES)][];
            for (int i = 0; i < lists.length; i++) lists[i] = ints();
            return lists;
        }

        private float[][] valueLists() {
            float[][] lists = new float[count(Integer.BYTES)][];
            for (int i = 0; i < lists.length; i++) lists[i] = floats();
            return lists;
        }
    }
}
