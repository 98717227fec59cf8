package io.github.panascope.dashboard;

import io.github.panascope.sae.Sae;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Op;
import io.github.panascope.torch.ReadAhead;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.function.IntConsumer;
import java.util.function.LongFunction;
import java.util.stream.IntStream;

/**
 * A collector of features on a GPU. One thread runs one block of rows after the other and requests the next block
 * before it waits for the results of the previous one. The device finds the features that are not zero, which are
 * copied to the host once per block. The sums behind the correlations stay on the device until their shard is complete.
 *
 * <p>The number of features that are not zero is only known after a block has run. A block reserves room according to
 * earlier blocks, plus a margin; a block that needs more room runs again.
 */
final class DeviceCollector {
    /** The number of features that are encoded together. */
    private static final int FEATURES_IN_GROUP = 2048;
    /** The number of activations of a group, divided by this, is the room of the first block. */
    private static final int EXPECTED_SPARSITY = 64;

    private static final int SMALLEST_CAPACITY = 1024;
    private static final Op NONZERO_STATIC = Op.of("aten::nonzero_static", "");
    private static final Op COUNT_NONZERO = Op.of("aten::count_nonzero", "");
    private static final Op VIEW_AS = Op.of("aten::view", "dtype");

    private final FeatureCollector collector;
    private final Sae sae;
    private final Device device;
    private final int rowsInBlock;
    private final int context;
    private final List<Group> groups;
    private final int[] placed;
    private final TensorScope scope;

    /** Consecutive features that are encoded together, and which of them are kept. */
    private static final class Group {
        final int first;
        /** The features of this group that are kept, ascending. */
        final int[] kept;
        /** The columns of the kept features in the group, on the device; null if all are kept. */
        final Tensor columns;
        /** The indices in {@link #kept} of the features whose sums are wanted, on the device; null if these are all. */
        final Tensor summed;
        /** The place of the group's first feature with sums, among all features with sums. */
        final int firstPlace;

        /** The number of the group's features with sums. */
        final int places;
        /** The number of activations that are not zero for which the next block has room. */
        int capacity;

        Group(int first, int[] kept, Tensor columns, Tensor summed, int firstPlace, int places, int capacity) {
            this.first = first;
            this.kept = kept;
            this.columns = columns;
            this.summed = summed;
            this.firstPlace = firstPlace;
            this.places = places;
            this.capacity = capacity;
        }
    }

    /**
     * Rows of one block.
     *
     * @param start  the row number of the block's first row
     * @param from   the first row, counted within the block
     * @param to     the row after the last, counted within the block
     * @param tokens the token ids of the rows from {@code from} to {@code to}
     */
    private record Block(long start, int from, int to, int[] tokens) {}

    private DeviceCollector(
            FeatureCollector collector,
            Sae sae,
            int context,
            int rowsInBlock,
            BitSet kept,
            int[] placed,
            TensorScope scope) {
        this.collector = collector;
        this.sae = sae;
        this.device = sae.device();
        this.context = context;
        this.rowsInBlock = rowsInBlock;
        this.placed = placed;
        this.scope = scope;
        this.groups = groups(kept);
    }

    private List<Group> groups(BitSet kept) {
        List<Group> found = new ArrayList<>();
        for (int first = 0; first < sae.config().dSae(); first += FEATURES_IN_GROUP) {
            int size = Math.min(FEATURES_IN_GROUP, sae.config().dSae() - first);
            int start = first;
            int[] own = kept == null
                    ? null
                    : kept.get(first, first + size).stream().map(i -> start + i).toArray();
            if (own != null && own.length == 0) continue;
            boolean all = own == null || own.length == size;
            if (own == null) own = IntStream.range(first, first + size).toArray();
            int[] columns = own;
            int[] summed = IntStream.range(0, own.length)
                    .filter(i -> Arrays.binarySearch(placed, columns[i]) >= 0)
                    .toArray();
            int firstPlace = summed.length == 0 ? 0 : Arrays.binarySearch(placed, own[summed[0]]);
            int capacity = Math.max(SMALLEST_CAPACITY, rowsInBlock * context * own.length / EXPECTED_SPARSITY);
            Tensor columnsOnDevice = all
                    ? null
                    : index(Arrays.stream(own).map(feature -> feature - start).toArray());
            Tensor summedOnDevice = summed.length == own.length ? null : index(summed);
            found.add(new Group(first, own, columnsOnDevice, summedOnDevice, firstPlace, summed.length, capacity));
        }
        return found;
    }

    private Tensor index(int[] values) {
        try (var _ = TensorScope.open()) {
            return scope.adopt(
                    Tensor.of(Arrays.stream(values).asLongStream().toArray(), Shape.of(values.length), device));
        }
    }

    /**
     * Collects the rows of a range that a store lacks. If a shard has room for a whole block, it ends where a block
     * ends, so that no block runs twice.
     */
    static void collect(
            FeatureCollector collector,
            Sae sae,
            FeatureStore store,
            LongFunction<int[]> row,
            long first,
            long end,
            int context,
            int shardRows,
            int rowsInBlock,
            BitSet kept,
            IntConsumer progress) {
        try (TensorScope scope = TensorScope.shared();
                ReadAhead blocks = new ReadAhead(FeatureCollector.COLLECTING)) {
            DeviceCollector device =
                    new DeviceCollector(collector, sae, context, rowsInBlock, kept, store.features(), scope);
            for (long[] gap : store.missing(first, end)) {
                for (long at = gap[0]; at < gap[1]; ) {
                    long shardEnd = Math.min(gap[1], at + shardRows);
                    if (shardEnd < gap[1] && shardEnd / rowsInBlock * rowsInBlock > at)
                        shardEnd = shardEnd / rowsInBlock * rowsInBlock;
                    device.shard(blocks, store, row, at, shardEnd, progress);
                    at = shardEnd;
                }
            }
        }
    }

    private void shard(
            ReadAhead blocks, FeatureStore store, LongFunction<int[]> row, long first, long end, IntConsumer progress) {
        List<ActivationShard.Part> parts = new ArrayList<>();
        try (DeviceSums sums = new DeviceSums(placed.length, sae.config().dIn(), device)) {
            for (long start = first / rowsInBlock * rowsInBlock; start < end; start += rowsInBlock) {
                int from = (int) Math.max(0, first - start);
                int to = (int) Math.min(rowsInBlock, end - start);
                Block block = new Block(start, from, to, tokens(row, start, from, to));
                int[] capacities =
                        groups.stream().mapToInt(group -> group.capacity).toArray();
                blocks.next(() -> run(block, capacities, sums), found -> {
                    parts.add(part(block, capacities, found.toInts()));
                    progress.accept(to - from);
                });
            }
            // The sums are read after the next shard has begun. Their memory can be freed before, because the device
            // works on requests in order.
            blocks.next(sums::all, found -> {
                try (FeatureStore.Shard shard = store.begin()) {
                    shard.sums().addAll(found.toLongs());
                    shard.commit(first, end, parts, context);
                }
            });
        }
    }

    private int[] tokens(LongFunction<int[]> row, long start, int from, int to) {
        int[] tokens = new int[(to - from) * context];
        for (int r = from; r < to; r++) {
            int[] own = row.apply(start + r);
            if (own.length != context)
                throw new IllegalArgumentException(
                        "row " + (start + r) + " has " + own.length + " tokens, not " + context);
            System.arraycopy(own, 0, tokens, (r - from) * context, context);
        }
        return tokens;
    }

    /**
     * Requests a block from the device. The input always has the shape of a whole block; rows that are not wanted are
     * filled with token 0.
     *
     * @param sums receives the sums of these rows; null if it has received them already
     * @return int32: the norms of the wanted positions as bits of float32; then, for each group, the number n of
     *     activations that are not zero, their places in [position, kept feature], and their values as bits of float32.
     *     Only the first n places and values are valid
     */
    private Tensor run(Block block, int[] capacities, DeviceSums sums) {
        long[] ids = new long[rowsInBlock * context];
        for (int i = 0; i < block.tokens.length; i++) ids[block.from * context + i] = block.tokens[i];
        long offset = (long) block.from * context;
        long end = (long) block.to * context;
        try (TensorScope ofBlock = TensorScope.open()) {
            Tensor activation = collector.activation(Tensor.of(ids, Shape.of(rowsInBlock, context), device));
            Tensor y = sae.inputRows(activation).to(DType.FLOAT64).reshape(rowsInBlock, context, -1);
            Tensor squares = y.mul(y);
            List<Tensor> parts = new ArrayList<>();
            parts.add(bits(
                    squares.sum(-1, false).sqrt().to(DType.FLOAT32).reshape(-1).slice(0, offset, end)));
            if (sums != null) sums.addNeurons(y, squares, block.from, block.to);
            int[] next = new int[1];
            sae.encodeInGroups(activation, FEATURES_IN_GROUP, this::isWanted, (first, features) -> {
                int at = next[0]++;
                Group group = groups.get(at);
                Tensor kept = group.columns == null ? features : features.indexSelect(1, group.columns);
                parts.add(ofBlock.adopt(nonzero(kept.slice(0, offset, end), capacities[at])));
                if (sums != null && group.places > 0) {
                    Tensor summed = group.summed == null ? kept : kept.indexSelect(1, group.summed);
                    sums.addProducts(
                            group.firstPlace, summed.reshape(rowsInBlock, context, -1), y, block.from, block.to);
                }
            });
            return Tensor.cat(0, parts.toArray(Tensor[]::new)).promote();
        }
    }

    private boolean isWanted(int first) {
        return groups.stream().anyMatch(group -> group.first == first);
    }

    private static Tensor nonzero(Tensor values, int capacity) {
        Tensor flat = values.contiguous().reshape(-1);
        Tensor places = NONZERO_STATIC.tensor(flat, capacity, 0).select(1, 0);
        Tensor found = flat.indexSelect(0, places).to(DType.FLOAT32);
        return Tensor.cat(
                0, COUNT_NONZERO.tensor(flat).to(DType.INT32).reshape(1), places.to(DType.INT32), bits(found));
    }

    /** Returns a view of float32 memory as int32. */
    private static Tensor bits(Tensor floats) {
        return VIEW_AS.tensor(floats, DType.INT32);
    }

    /** Decodes the result of a block. Runs the block again if a group needed more room than it had. */
    private ActivationShard.Part part(Block block, int[] capacities, int[] found) {
        int[] needed = capacities.clone();
        int entries = 0;
        int at = block.tokens.length;
        for (int g = 0; g < capacities.length; at += 1 + 2 * capacities[g++]) {
            int count = found[at];
            needed[g] = Math.max(needed[g], count);
            entries += count;
            // The margin of an eighth is for blocks with more active features than this one.
            groups.get(g).capacity = Math.max(groups.get(g).capacity, count + count / 8);
        }
        if (Arrays.equals(needed, capacities)) return part(block, capacities, found, entries);
        try (var _ = TensorScope.open()) {
            return part(block, needed, run(block, needed, null).toInts());
        }
    }

    /**
     * Sorts entries, which come by group and then position, by position. Within a position they stay in the order of
     * features.
     */
    private ActivationShard.Part part(Block block, int[] capacities, int[] found, int entries) {
        int positions = block.tokens.length;
        float[] norms = new float[positions];
        for (int t = 0; t < positions; t++) norms[t] = Float.intBitsToFloat(found[t]);
        collector.requireFinite(norms, block.start + block.from);
        int[] counts = new int[positions];
        int at = positions;
        for (int g = 0; g < capacities.length; at += 1 + 2 * capacities[g++]) {
            int width = groups.get(g).kept.length;
            for (int e = 0; e < found[at]; e++) counts[found[at + 1 + e] / width]++;
        }
        int[] next = new int[positions];
        for (int t = 1; t < positions; t++) next[t] = next[t - 1] + counts[t - 1];
        int[] features = new int[entries];
        float[] values = new float[entries];
        at = positions;
        for (int g = 0; g < capacities.length; at += 1 + 2 * capacities[g++]) {
            int[] kept = groups.get(g).kept;
            for (int e = 0; e < found[at]; e++) {
                int place = found[at + 1 + e];
                int to = next[place / kept.length]++;
                features[to] = kept[place % kept.length];
                values[to] = Float.intBitsToFloat(found[at + 1 + capacities[g] + e]);
            }
        }
        return new ActivationShard.Part(block.tokens, norms, counts, features, values, positions, entries);
    }
}
