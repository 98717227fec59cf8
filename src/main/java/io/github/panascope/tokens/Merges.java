package io.github.panascope.tokens;

import io.github.panascope.InputException;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The merges of a byte-level BPE, in the order of their ranks. The encoder of {@link Gpt2Tokenizer} knows only tokens:
 * it joins any two neighbours whose bytes together are a token, beginning with the lowest id. This gives the ids of
 * the merges for every text if the ids follow the order of the merges, and if the merges, applied to the bytes of each
 * token, make that token. The second condition rules out two neighbours whose bytes are a token and which no merge
 * joins: the merges would stop at these neighbours inside that token as well.
 */
final class Merges {
    private final String place;
    private final Map<String, Integer> ids;
    private final List<String> merges;
    /** The token that each merge makes, by rank. */
    private final String[] made;

    private final int[] madeIds;
    /** A hash table of merges: the key of the pair of ids at each slot, and 0 in an empty slot. */
    private final long[] pairs;

    private final int[] madeOfPair;

    /**
     * Reads the merges.
     *
     * @param place  name of the file for error messages
     * @param ids    id of each token of the vocabulary
     * @param merges pairs of tokens, separated by a space, in the order of their ranks
     * @throws InputException if the vocabulary lacks a token of a merge, or numbers the tokens in another order
     */
    Merges(String place, Map<String, Integer> ids, List<String> merges) {
        this.place = place;
        this.ids = ids;
        this.merges = merges;
        this.made = new String[merges.size()];
        this.madeIds = new int[merges.size()];
        this.pairs = new long[Integer.highestOneBit(Math.max(merges.size(), 1)) << 2];
        this.madeOfPair = new int[pairs.length];
        int previous = -1;
        for (int rank = 0; rank < made.length; rank++) {
            String merge = merges.get(rank);
            int space = merge.indexOf(' ', 1);
            made[rank] = space < 0 ? "" : merge.substring(0, space).concat(merge.substring(space + 1));
            Integer id = space < 0 ? null : ids.get(made[rank]);
            if (id == null)
                throw new InputException(
                        place + ": the merge '" + merge + "' makes a token that the vocabulary does not have.");
            int left = part(merge, merge.substring(0, space));
            int right = part(merge, merge.substring(space + 1));
            if (id <= previous)
                throw new InputException(place
                        + ": the vocabulary numbers its tokens in another order than its merges, which is not"
                        + " supported.");
            previous = id;
            madeIds[rank] = id;
            int slot = slot(pair(left, right));
            pairs[slot] = pair(left, right);
            madeOfPair[slot] = id;
        }
    }

    /** Returns the id of one of the two tokens of a merge. */
    private int part(String merge, String token) {
        Integer id = ids.get(token);
        if (id == null)
            throw new InputException(
                    place + ": the merge '" + merge + "' joins '" + token + "', which the vocabulary does not have.");
        return id;
    }

    /** Returns the key of a pair of ids, which is never 0, as 0 marks an empty slot. */
    private static long pair(int left, int right) {
        return ((long) left << 32 | right & 0xffffffffL) + 1;
    }

    /** Returns the slot of a pair in the hash table, or the slot where it would be inserted. */
    private int slot(long pair) {
        int slot = (int) (pair * 0x9e3779b97f4a7c15L >>> 32) & pairs.length - 1;
        while (pairs[slot] != 0 && pairs[slot] != pair) slot = slot + 1 & pairs.length - 1;
        return slot;
    }

    /**
     * Checks that the merges make every token of the vocabulary apart from the bytes. A token that they do not make
     * never results from a text: merges are missing, or the token has a meaning that is not supported.
     *
     * @param letters the tokens of the 256 bytes, all of which the vocabulary has
     * @throws InputException if the merges do not make a token
     */
    void requireAllMade(List<String> letters) {
        Set<String> unmade = new HashSet<>(ids.keySet());
        unmade.remove(Gpt2Tokenizer.END_OF_TEXT);
        letters.forEach(unmade::remove);
        for (String token : made) unmade.remove(token);
        unmade.stream().min(Comparator.comparing(ids::get)).ifPresent(token -> {
            throw new InputException(place + ": no merge makes the token '" + token + "' (id " + ids.get(token) + ")"
                    + (unmade.size() == 1 ? "" : " nor " + (unmade.size() - 1) + " others") + ": the " + merges.size()
                    + " merges are cut short, or it is a special token, of which only " + Gpt2Tokenizer.END_OF_TEXT
                    + " is supported.");
        });
        int[] idOfLetter = new int[Gpt2Tokenizer.LETTERS_END];
        for (String letter : letters) idOfLetter[letter.charAt(0)] = ids.get(letter);
        for (int rank = 0; rank < made.length; rank++)
            if (!isMade(made[rank], madeIds[rank], idOfLetter))
                throw new InputException(place + ": the merges do not make the token '" + made[rank] + "' (id "
                        + madeIds[rank] + ") of its own bytes, as those of a lower rank leave others: such a"
                        + " vocabulary is not supported.");
    }

    /** Returns whether the merges, applied in the order of their ranks, join the bytes of a token into that token. */
    private boolean isMade(String token, int id, int[] idOfLetter) {
        int size = token.length();
        int[] parts = new int[size];
        for (int i = 0; i < size; i++) parts[i] = idOfLetter[token.charAt(i)];
        int[] joined = new int[size]; // for each part, the id of the token that a merge makes of it and the next part
        for (int i = 0; i + 1 < size; i++) joined[i] = joined(parts[i], parts[i + 1]);
        while (size > 1) {
            int first = 0;
            for (int i = 1; i + 1 < size; i++) if (joined[i] < joined[first]) first = i;
            if (joined[first] == Integer.MAX_VALUE) return false;
            parts[first] = joined[first];
            size--;
            for (int i = first + 1; i < size; i++) {
                parts[i] = parts[i + 1];
                joined[i - 1] = joined[i];
            }
            if (first > 0) joined[first - 1] = joined(parts[first - 1], parts[first]);
            if (first + 1 < size) joined[first] = joined(parts[first], parts[first + 1]);
        }
        return parts[0] == id;
    }

    /** Returns the id of the token that a merge makes of two tokens, or the largest int if no merge joins them. */
    private int joined(int left, int right) {
        long pair = pair(left, right);
        int slot = slot(pair);
        return pairs[slot] == pair ? madeOfPair[slot] : Integer.MAX_VALUE;
    }
}
