package io.github.panascope.tokens;

import io.github.panascope.InputException;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Map;

/** The merges of a byte pair encoding: which pairs of tokens are joined, in the order of their ranks. */
final class PairMerger {
    /** Up to this many symbols, the pair of the lowest rank is searched; beyond, a heap finds it. */
    private static final int SEARCHED = 96;

    private static final int NONE = Integer.MAX_VALUE;

    /** The rank of each pair of ids. */
    private final LongTable ranks;
    /** The id that each rank makes. */
    private final int[] made;
    /** The two ids that each rank joins. */
    private final int[] lefts;

    private final int[] rights;
    /** The ids that some rank joins with another. */
    private final BitSet parts = new BitSet();

    /**
     * Reads merges.
     *
     * @param place  name of the file, for error messages
     * @param ids    id of each token
     * @param merges pairs of tokens, in the order of their ranks; of two equal ones the later counts
     * @param prefix what precedes tokens within words, and does not stand between two that are joined
     * @throws InputException if the vocabulary lacks a token of a merge
     */
    PairMerger(String place, Map<String, Integer> ids, List<String[]> merges, String prefix) {
        this.ranks = new LongTable(merges.size());
        this.made = new int[merges.size()];
        this.lefts = new int[merges.size()];
        this.rights = new int[merges.size()];
        for (int rank = 0; rank < made.length; rank++) {
            String left = merges.get(rank)[0];
            String right = merges.get(rank)[1];
            lefts[rank] = id(place, ids, left, left, right);
            rights[rank] = id(place, ids, right, left, right);
            parts.set(lefts[rank]);
            parts.set(rights[rank]);
            if (right.length() < prefix.length())
                throw new InputException(place + ": the merge '" + left + "' with '" + right
                        + "' has no room for the continuing_subword_prefix '" + prefix + "'.");
            made[rank] = id(place, ids, left + right.substring(prefix.length()), left, right);
            ranks.put(LongTable.pair(lefts[rank], rights[rank]), rank);
        }
    }

    private static int id(String place, Map<String, Integer> ids, String token, String left, String right) {
        Integer id = ids.get(token);
        if (id == null)
            throw new InputException(place + ": the merge '" + left + "' with '" + right + "' needs the token '" + token
                    + "', which the vocabulary does not have.");
        return id;
    }

    /** Returns whether a merge joins a token with another. */
    boolean uses(int id) {
        return parts.get(id);
    }

    /** Returns the pairs of characters that stand side by side in a token that merges make. */
    LongTable joinedCharacters(Map<String, Integer> ids) {
        boolean[] isMade =
                new boolean[ids.values().stream().mapToInt(id -> id + 1).max().orElse(0)];
        for (int id : made) isMade[id] = true;
        LongTable pairs = new LongTable(1 << 10);
        ids.forEach((token, id) -> {
            if (isMade[id])
                for (int i = 1; i < token.length(); i++)
                    pairs.put(LongTable.pair(token.charAt(i - 1), token.charAt(i)), 1);
        });
        return pairs;
    }

    /** Returns a number that differs between merges, for fingerprints. */
    long[] pairs() {
        long[] pairs = new long[made.length];
        for (int rank = 0; rank < made.length; rank++) pairs[rank] = LongTable.pair(lefts[rank], rights[rank]);
        return pairs;
    }

    private int rank(int left, int right) {
        int rank = ranks.get(LongTable.pair(left, right));
        return rank < 0 ? NONE : rank;
    }

    /**
     * Joins symbols in place, as long as a merge joins two neighbours.
     *
     * @param ids   the symbols; what is left stands at the beginning afterwards
     * @param bytes how many bytes of the piece each symbol takes
     * @param size  the number of symbols
     * @return the number of symbols that are left
     */
    int merge(int[] ids, int[] bytes, int size) {
        if (size > SEARCHED) return new Heap(ids, bytes, size).merge();
        int[] joined = new int[size]; // the rank of each symbol with the next one
        for (int i = 0; i + 1 < size; i++) joined[i] = rank(ids[i], ids[i + 1]);
        int left = size;
        while (left > 1) {
            int first = 0;
            for (int i = 1; i + 1 < left; i++) if (joined[i] < joined[first]) first = i;
            if (joined[first] == NONE) break;
            ids[first] = made[joined[first]];
            bytes[first] += bytes[first + 1];
            left--;
            System.arraycopy(ids, first + 2, ids, first + 1, left - first - 1);
            System.arraycopy(bytes, first + 2, bytes, first + 1, left - first - 1);
            System.arraycopy(joined, first + 1, joined, first, left - first);
            if (first > 0) joined[first - 1] = rank(ids[first - 1], ids[first]);
            if (first + 1 < left) joined[first] = rank(ids[first], ids[first + 1]);
        }
        return left;
    }

    /** Joins many symbols in n log n steps: a linked list of symbols, and a heap of pairs by rank and place. */
    private final class Heap {
        private final int[] ids;
        private final int[] bytes;
        private final int[] previous;
        private final int[] next;
        private long[] heap;
        private int size;

        Heap(int[] ids, int[] bytes, int count) {
            this.ids = ids;
            this.bytes = bytes;
            this.previous = new int[count];
            this.next = new int[count];
            this.heap = new long[count];
            for (int i = 0; i < count; i++) {
                previous[i] = i - 1;
                next[i] = i + 1 < count ? i + 1 : -1;
            }
            for (int i = 0; i + 1 < count; i++) push(i);
        }

        int merge() {
            while (size > 0) {
                long top = pop();
                int at = (int) top;
                int rank = (int) (top >>> 32);
                if (ids[at] < 0 || next[at] < 0) continue;
                int right = next[at];
                int now = rank(ids[at], ids[right]);
                if (now == NONE || made[now] != made[rank]) continue; // the pair has changed since
                ids[at] = made[rank];
                bytes[at] += bytes[right];
                ids[right] = -1;
                next[at] = next[right];
                if (next[at] >= 0) previous[next[at]] = at;
                if (previous[at] >= 0) push(previous[at]);
                if (next[at] >= 0) push(at);
            }
            int kept = 0;
            for (int i = 0; i < previous.length; i++) {
                if (ids[i] < 0) continue;
                ids[kept] = ids[i];
                bytes[kept++] = bytes[i];
            }
            return kept;
        }

        private void push(int at) {
            int rank = rank(ids[at], ids[next[at]]);
            if (rank == NONE) return;
            if (size == heap.length)
                heap = Arrays.copyOf(heap, (int) Math.min(Integer.MAX_VALUE - 8, size * 3L / 2 + 16));
            long value = LongTable.pair(rank, at);
            int hole = size++;
            while (hole > 0 && heap[hole - 1 >>> 1] > value) {
                heap[hole] = heap[hole - 1 >>> 1];
                hole = hole - 1 >>> 1;
            }
            heap[hole] = value;
        }

        private long pop() {
            long top = heap[0];
            long value = heap[--size];
            int hole = 0;
            while (true) {
                int child = 2 * hole + 1;
                if (child >= size) break;
                if (child + 1 < size && heap[child + 1] < heap[child]) child++;
                if (heap[child] >= value) break;
                heap[hole] = heap[child];
                hole = child;
            }
            heap[hole] = value;
            return top;
        }
    }
}
