package io.github.panascope.tokens;

import java.util.Arrays;

/** A hash table from longs that are not negative to ints that are not negative, without objects. */
final class LongTable {
    private static final int NONE = -1;

    private long[] keys;
    private int[] values;
    private int size;

    /** Creates a table with room for a number of entries; it grows beyond. */
    LongTable(int entries) {
        int slots = Integer.highestOneBit(Math.max(8, entries)) << 2;
        this.keys = new long[slots];
        this.values = new int[slots];
        Arrays.fill(keys, NONE);
    }

    /** Returns a key of two numbers that are not negative. */
    static long pair(int left, int right) {
        return (long) left << 32 | right;
    }

    private int slot(long key) {
        long mixed = key * 0x9e3779b97f4a7c15L;
        int slot = (int) (mixed ^ mixed >>> 32) & keys.length - 1;
        while (keys[slot] != NONE && keys[slot] != key) slot = slot + 1 & keys.length - 1;
        return slot;
    }

    /** Returns the value of a key, or -1 if it has none. */
    int get(long key) {
        int slot = slot(key);
        return keys[slot] == NONE ? NONE : values[slot];
    }

    boolean has(long key) {
        return keys[slot(key)] != NONE;
    }

    /** Sets the value of a key, instead of an earlier one. */
    void put(long key, int value) {
        if (size * 2 >= keys.length) grow();
        int slot = slot(key);
        if (keys[slot] == NONE) size++;
        keys[slot] = key;
        values[slot] = value;
    }

    private void grow() {
        long[] oldKeys = keys;
        int[] oldValues = values;
        keys = new long[oldKeys.length * 2];
        values = new int[keys.length];
        Arrays.fill(keys, NONE);
        for (int i = 0; i < oldKeys.length; i++) {
            if (oldKeys[i] == NONE) continue;
            int slot = slot(oldKeys[i]);
            keys[slot] = oldKeys[i];
            values[slot] = oldValues[i];
        }
    }
}
