package io.github.panascope.tokens;

import io.github.panascope.InputException;
import io.github.panascope.internal.ConfigFile;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import tools.jackson.databind.JsonNode;

/** Reads settings of the steps of a {@code tokenizer.json}, all of which have to be understood. */
final class StepSettings {
    private StepSettings() {}

    /**
     * Checks that a step has no other settings.
     *
     * @throws InputException if it has, as they may make other tokens
     */
    static void requireKeys(ConfigFile step, String... understood) {
        Set<String> others = new TreeSet<>(step.keys());
        others.removeAll(List.of(understood));
        if (!others.isEmpty())
            throw new InputException(step.place() + ": '" + String.join("', '", others)
                    + "' is not understood, and may make other tokens.");
    }

    /** Returns a boolean that has to be there. */
    static boolean flag(ConfigFile step, String key) {
        if (!step.has(key)) throw step.wrong(key, "true or false");
        return step.flag(key, false);
    }

    /** Returns a list that has to be there. */
    static JsonNode list(ConfigFile step, String key) {
        return step.value(key, JsonNode::isArray).orElseThrow(() -> step.wrong(key, "a list"));
    }

    /** Returns the object of a step that holds a pattern, as a regular expression or literally. */
    static Pattern pattern(ConfigFile step, ConfigFile pattern) {
        requireKeys(pattern, "String", "Regex");
        if (pattern.has("Regex") == pattern.has("String"))
            throw step.wrong("pattern", "an object with either 'Regex' or 'String'");
        return pattern.has("Regex")
                ? OnigurumaPattern.compile(step.place(), pattern.text("Regex"))
                : Pattern.compile(Pattern.quote(pattern.text("String")));
    }
}
