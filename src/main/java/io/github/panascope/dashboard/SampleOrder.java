package io.github.panascope.dashboard;

/**
 * An order of all positions that looks random, fixed by (seed, feature): place = hash(seed, feature, row, position), a
 * permutation of 32-bit numbers, so that no two are at one place, and the positions at the first places can be found
 * without looking at all of them. The order of two positions depends on nothing else, so that more rows, or other
 * features, change nothing.
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

    /** The finaliser of SplitMix64. */
    private static long mixed(long z) {
        z = (z ^ z >>> 30) * 0xBF58476D1CE4E5B9L;
        z = (z ^ z >>> 27) * 0x94D049BB133111EBL;
        return z ^ z >>> 31;
    }

    /** Of an odd number, modulo 2^32, by Newton's iteration. */
    private static int inverse(int odd) {
        int x = odd;
        for (int i = 0; i < 5; i++) x *= 2 - odd * x;
        return x;
    }

    /** The place of a position, to be compared without sign. {@code index} is row * context + position. */
    int place(int index) {
        int x = (index ^ before) * A;
        x = (x ^ x >>> 16) * B;
        x = (x ^ x >>> 15) + after;
        x *= C;
        return x ^ x >>> 16;
    }

    /**
     * The places of positions that follow each other; the first of these places. By themselves, so that it is done for
     * many at once.
     */
    long places(int firstIndex, int[] places) {
        int first = Integer.MAX_VALUE;
        for (int i = 0; i < places.length; i++) places[i] = place(firstIndex + i);
        for (int place : places) first = Math.min(first, place ^ Integer.MIN_VALUE); // without sign
        return Integer.toUnsignedLong(first ^ Integer.MIN_VALUE);
    }

    /** The position at a place. */
    int index(int place) {
        int x = place ^ place >>> 16;
        x = x * C_INVERSE - after;
        x = (x ^ x >>> 15 ^ x >>> 30) * B_INVERSE;
        return (x ^ x >>> 16) * A_INVERSE ^ before;
    }
}
