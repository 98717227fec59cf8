package io.github.panascope.internal;

import java.util.Collection;
import java.util.Comparator;
import java.util.Locale;
import java.util.Optional;

/** Suggestions for misspelt names. */
public final class Suggestions {
    private Suggestions() {}

    /**
     * Returns the candidate that needs the fewest edits to become a given word.
     *
     * @param word       the misspelt name
     * @param candidates the valid names
     * @return the candidate; empty if all need many edits for their length
     */
    public static Optional<String> closest(String word, Collection<String> candidates) {
        return candidates.stream()
                .filter(candidate -> edits(word, candidate) <= allowed(candidate))
                .min(Comparator.<String>comparingInt(candidate -> edits(word, candidate))
                        .thenComparing(Comparator.naturalOrder()));
    }

    /**
     * Returns an addition to an error message that suggests the most similar name.
     *
     * @param word       the misspelt name
     * @param candidates the valid names
     * @return {@code Did you mean 'x'?} after a space; empty if no candidate is similar
     */
    public static String didYouMean(String word, Collection<String> candidates) {
        return closest(word, candidates)
                .map(name -> " Did you mean '" + name + "'?")
                .orElse("");
    }

    /** Returns the largest number of edits for a suggestion. Short names differ by one edit from too many others. */
    private static int allowed(String name) {
        return name.length() <= 3 ? 0 : name.length() <= 6 ? 1 : name.length() <= 16 ? 2 : 4;
    }

    /** Returns the Levenshtein distance of two texts, ignoring case. */
    static int edits(String a, String b) {
        String x = a.toLowerCase(Locale.ROOT);
        String y = b.toLowerCase(Locale.ROOT);
        int[] row = new int[y.length() + 1];
        for (int j = 0; j <= y.length(); j++) row[j] = j;
        for (int i = 1; i <= x.length(); i++) {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= y.length(); j++) {
                int replaced = diagonal + (x.charAt(i - 1) == y.charAt(j - 1) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.min(replaced, Math.min(row[j], row[j - 1]) + 1);
            }
        }
        return row[y.length()];
    }
}
