package io.github.panascope.cli;

import io.github.panascope.InputException;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;
import java.util.stream.IntStream;
import picocli.CommandLine.Option;

/** The option that chooses features, shared by all commands that show features, also with Apache Spark. */
public final class FeatureOptions {
    private static final int FIRST_FEATURES = 10;

    @Option(
            names = "--features",
            paramLabel = "LIST",
            description = "numbers and ranges, such as 0-9,14057, or all (default: the first ten and a random one)")
    private String features;

    boolean given() {
        return features != null;
    }

    /** Makes options without values. */
    public FeatureOptions() {}

    /**
     * Returns the chosen features.
     *
     * @param dSae the number of features of the SAE
     * @return the features, in the order in which they were given
     * @throws InputException if the SAE has no such feature
     */
    public int[] of(int dSae) {
        // The random feature has a fixed seed, so that two runs can be compared.
        if (features == null)
            return IntStream.concat(
                            IntStream.range(0, Math.min(FIRST_FEATURES, dSae)),
                            IntStream.of(new Random(0).nextInt(dSae)))
                    .distinct()
                    .toArray();
        if (features.strip().equals("all")) return IntStream.range(0, dSae).toArray();
        String[] parts = features.split(",");
        if (parts.length == 0) throw new InputException("--features " + features + " names no feature.");
        return Arrays.stream(parts)
                .flatMapToInt(part -> range(part.strip(), dSae))
                .distinct()
                .toArray();
    }

    private static IntStream range(String part, int dSae) {
        if (!part.matches("\\d{1,9}(-\\d{1,9})?"))
            throw new InputException(
                    "--features should be numbers and ranges such as 0-9,14057, or all; '" + part + "' is neither.");
        String[] ends = part.split("-");
        int first = Integer.parseInt(ends[0]);
        int last = Integer.parseInt(ends[ends.length - 1]);
        if (last < first) throw new InputException("--features: the range " + part + " goes down.");
        if (last >= dSae)
            throw new InputException("--features: " + (first >= dSae ? first : last)
                    + " is outside the SAE's features 0 to " + (dSae - 1) + ".");
        return IntStream.rangeClosed(first, last);
    }

    /**
     * Checks the numbers of an option.
     *
     * @param given the numbers; null for none
     * @param end   the number after the largest allowed one
     */
    static TreeSet<Integer> numbers(String option, List<Integer> given, int end) {
        TreeSet<Integer> numbers = new TreeSet<>();
        if (given == null) return numbers;
        for (int number : given) {
            if (number < 0 || number >= end)
                throw new InputException(option + ": " + number + " is outside 0 to " + (end - 1) + ".");
            numbers.add(number);
        }
        return numbers;
    }
}
