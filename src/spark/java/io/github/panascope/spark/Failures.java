package io.github.panascope.spark;

import io.github.panascope.InputException;
import io.github.panascope.RunInterruptedException;
import java.util.function.Supplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What failed in a Spark job: one sentence instead of a report with the traces of every attempt. */
final class Failures {
    private static final Pattern SENTENCE = Pattern.compile(Pattern.quote(InputException.class.getName()) + ": (.*)");

    private Failures() {}

    /**
     * Runs something that waits for a Spark job.
     *
     * @throws InputException if a task failed with one, with its sentence
     */
    static <T> T unwrapped(Supplier<T> job) {
        try {
            return job.get();
        } catch (Exception e) { // Scala throws checked exceptions without declaring them
            for (Throwable cause = e; cause != null; cause = cause.getCause()) {
                if (cause instanceof InputException found) throw found;
                if (cause instanceof InterruptedException interruption)
                    throw RunInterruptedException.of("running a Spark job", interruption);
            }
            Matcher sentence = SENTENCE.matcher(String.valueOf(e.getMessage()));
            if (sentence.find()) throw new InputException(sentence.group(1), e);
            throw e;
        }
    }
}
