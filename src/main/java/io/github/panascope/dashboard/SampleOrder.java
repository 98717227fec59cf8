package io.github.panascope.dashboard;

/**
 * A pseudo-random order of all positions, determined by seed and feature. The place of a position is a hash of (seed,
 * feature, row, position). The hash is a permutation of 32-bit numbers, so no two positions have one place, and the
 * positions at the first places can be found without visiting all positions. The order of two positions depends on
 * nothing else: more rows or other features do not change it.
 */
final class SampleOrder {
    private static final int A = 0x9E3779B1;
    private static final int B = 0x85EBCA6B;
    private static final int C = 0xC2B2AE35;
    private static final int A_INVERSE = inverse(A);
    private static final int B_INVERSE = inverse(B);
    private static final int C_INVERSE = inverse(C);
    private final int before, after;

    SampleOrder(long seed, int feature) {
        long key = mixed(mixed(seed + 0x9E3779B97F4A7C15L) ^ feature * 0xD6E8FEB86659FD93L);
        before = (int) key;
        after = (int) (key >>> 32);
    }

    /** Applies the finalizer of SplitMix64. */
    private static long mixed(long z) {
        z = (z ^ z >>> 30) * 0xBF58476D1CE4E5B9L;
        z = (z ^ z >>> 27) * 0x94D049BB133111EBL;
        return z ^ z >>> 31;
    }

    /** Computes the inverse of an odd number modulo 2^32, by Newton's iteration. */
    private static int inverse(int odd) {
        int x = odd;
        for (int i = 0; i < 5; i++) x *= 2 - odd * x;
        return x;
    }

    /**
     * {@return the place of a position as an unsigned number}
     *
     * @param index row * context + position
     */
    int place(int index) {
        int x = (index ^ before) * A;
        x = (x ^ x >>> 16) * B;
        x = (x ^ x >>> 15) + after;
        x *= C;
        return x ^ x >>> 16;
    }

    /**
     * Computes the places of consecutive positions and returns the smallest, as an unsigned number. The loops are
     * separate so that the compiler vectorizes them.
     */
    long places(int firstIndex, int[] places) {
        int first = Integer.MAX_VALUE;
        for (int i = 0; i < places.length; i++) places[i] = place(firstIndex + i);
        for (int place : places) first = Math.min(first, place ^ Integer.MIN_VALUE); // as unsigned numbers
        return Integer.toUnsignedLong(first ^ Integer.MIN_VALUE);
    }

    /** {@return the index of the position at a place} */
    int index(int place) {
        int x = place ^ place >>> 16;
        x = x * C_INVERSE - after;
        x = (x ^ x >>> 15 ^ x >>> 30) * B_INVERSE;
        return (x ^ x >>> 16) * A_INVERSE ^ before;
    }
}
