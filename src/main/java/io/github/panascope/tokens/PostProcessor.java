package io.github.panascope.tokens;

import io.github.panascope.InputException;
import io.github.panascope.internal.ConfigFile;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/**
 * What follows the model: tokens before and after a text, and places without the white space at their ends.
 *
 * @param before ids before the text
 * @param after  ids after the text
 * @param trims  how often places are trimmed, each with whether a space was put before the text
 */
record PostProcessor(int[] before, int[] after, List<Boolean> trims) {
    static final PostProcessor NONE = new PostProcessor(new int[0], new int[0], List.of());

    /**
     * Reads a {@code post_processor}.
     *
     * @param place the place for error messages
     * @throws InputException if a step or one of its settings is not supported
     */
    static PostProcessor read(String place, @Nullable JsonNode json) {
        if (json == null || json.isNull()) return NONE;
        ConfigFile step = ConfigFile.of(place, json);
        switch (step.text("type")) {
            case "Sequence" -> {
                StepSettings.requireKeys(step, "type", "processors");
                PostProcessor all = NONE;
                for (JsonNode part : StepSettings.list(step, "processors"))
                    all = all.then(read(place + ": processors", part));
                return all;
            }
            case "ByteLevel" -> {
                StepSettings.requireKeys(step, "type", "add_prefix_space", "trim_offsets", "use_regex");
                boolean prefix = StepSettings.flag(step, "add_prefix_space");
                return StepSettings.flag(step, "trim_offsets")
                        ? new PostProcessor(new int[0], new int[0], List.of(prefix))
                        : NONE;
            }
            case "TemplateProcessing" -> {
                return template(step);
            }
            default -> throw step.wrong("type", "'TemplateProcessing', 'ByteLevel' or 'Sequence', the supported ones");
        }
    }

    private static PostProcessor template(ConfigFile step) {
        StepSettings.requireKeys(step, "type", "single", "pair", "special_tokens");
        List<Integer> before = new ArrayList<>();
        List<Integer> after = new ArrayList<>();
        int texts = 0;
        for (JsonNode piece : StepSettings.list(step, "single")) {
            if (piece.path("Sequence").path("id").asString("").equals("A")) {
                texts++;
                continue;
            }
            String name = piece.path("SpecialToken").path("id").asString("");
            JsonNode ids = step.object("special_tokens")
                    .map(tokens -> tokens.value(name))
                    .map(token -> token.get("ids"))
                    .orElseThrow(() -> step.wrong("special_tokens", "an object with the ids of '" + name + "'"));
            for (JsonNode id : ids) (texts == 0 ? before : after).add(Tokenizer.id(step.place(), name, id));
        }
        if (texts != 1) throw step.wrong("single", "a template with the text, $A, once");
        return new PostProcessor(array(before), array(after), List.of());
    }

    private static int[] array(List<Integer> ids) {
        return ids.stream().mapToInt(Integer::intValue).toArray();
    }

    private PostProcessor then(PostProcessor next) {
        List<Boolean> all = new ArrayList<>(trims);
        all.addAll(next.trims);
        return new PostProcessor(joined(next.before, before), joined(after, next.after), all);
    }

    private static int[] joined(int[] first, int[] second) {
        return IntStream.concat(IntStream.of(first), IntStream.of(second)).toArray();
    }

    /** Returns ids with those before and after a text. */
    int[] around(int[] ids) {
        return joined(joined(before, ids), after);
    }

    /** Removes white space from the ends of the places of tokens. */
    void trim(String text, List<String> tokens, int[] starts, int[] ends) {
        for (boolean prefix : trims)
            for (int i = 0; i < starts.length; i++) {
                int[] token = tokens.get(i).codePoints().toArray();
                int leading = 0;
                while (leading < token.length && isSpace(token[leading])) leading++;
                int trailing = 0;
                while (trailing < token.length && isSpace(token[token.length - 1 - trailing])) trailing++;
                boolean added = leading == 1 && prefix && (i == 0 || starts[i] == 0); // the space is not the text's
                for (int n = added ? 0 : leading; n > 0 && starts[i] < ends[i]; n--)
                    starts[i] = Math.min(ends[i], text.offsetByCodePoints(starts[i], 1));
                int end = ends[i];
                for (; trailing > 0 && end > 0; trailing--) end = text.offsetByCodePoints(end, -1);
                if (trailing == 0) ends[i] = Math.max(starts[i], end); // the text has as many characters
            }
    }

    private static boolean isSpace(int codePoint) {
        return codePoint == ByteLetters.letter(' ') || CharacterClasses.isSpace(codePoint);
    }
}
