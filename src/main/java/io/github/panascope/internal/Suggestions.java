package io.github.panascope.internal;

import java.util.Collection;
import java.util.Comparator;
import java.util.Locale;
import java.util.Optional;

/** The name that somebody probably meant. */
public final class Suggestions {
    private Suggestions() {}

    /** The candidate with the fewest edits from a word, if that is few for its length. */
    public static Optional<String> closest(String word, Collection<String> candidates) {
        return candidates.stream()
                .filter(candidate -> edits(word, candidate) <= allowed(candidate))
                .min(Comparator.<String>comparingInt(candidate -> edits(word, candidate))
                        .thenComparing(Comparator.naturalOrder()));
    }

    /** " Did you mean 'x'?", or nothing if no candidate is near. */
    public static String didYouMean(String word, Collection<String> candidates) {
        return closest(word, candidates)
                .map(name -> " Did you mean '" + name + "'?")
                .orElse("");
    }

    /** Short names differ by an edit from too many others to be guessed at. */
    private static int allowed(String name) {
        return name.length() <= 3 ? 0 : name.length() <= 6 ? 1 : name.length() <= 16 ? 2 : 4;
    }

    /** Levenshtein distance, letters compared without case. */
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
