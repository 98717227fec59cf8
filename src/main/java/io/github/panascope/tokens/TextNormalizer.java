package io.github.panascope.tokens;

import io.github.panascope.InputException;
import io.github.panascope.internal.ConfigFile;
import java.text.Normalizer.Form;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntPredicate;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** Changes a text before it is split. */
interface TextNormalizer {
    /** Returns the changed text. */
    AlignedText apply(AlignedText text);

    /**
     * Reads a {@code normalizer}.
     *
     * @param place the place for error messages
     * @return the normalizer; null if there is none
     * @throws InputException if a step or one of its settings is not supported
     */
    static @Nullable TextNormalizer read(String place, @Nullable JsonNode json) {
        if (json == null || json.isNull()) return null;
        ConfigFile step = ConfigFile.of(place, json);
        String type = step.text("type");
        switch (type) {
            case "Sequence" -> {
                StepSettings.requireKeys(step, "type", "normalizers");
                List<TextNormalizer> steps = new ArrayList<>();
                for (JsonNode part : StepSettings.list(step, "normalizers")) {
                    TextNormalizer next = read(place + ": normalizers", part);
                    if (next != null) steps.add(next);
                }
                return text -> {
                    AlignedText now = text;
                    for (TextNormalizer each : steps) now = each.apply(now);
                    return now;
                };
            }
            case "Prepend" -> {
                StepSettings.requireKeys(step, "type", "prepend");
                String prefix = step.text("prepend");
                return text -> text.length == 0
                        ? text
                        : new AlignedText.Builder(text)
                                .add(prefix, 0)
                                .copy(0, text.length)
                                .build();
            }
            case "Replace" -> {
                return replace(step);
            }
            case "Strip" -> {
                StepSettings.requireKeys(step, "type", "strip_left", "strip_right");
                boolean left = StepSettings.flag(step, "strip_left");
                boolean right = StepSettings.flag(step, "strip_right");
                return text -> strip(text, left, right);
            }
            default -> {
                StepSettings.requireKeys(step, "type");
                return plain(step, type);
            }
        }
    }

    /** Returns a step without settings. */
    private static TextNormalizer plain(ConfigFile step, String type) {
        return switch (type) {
            case "NFC" -> new UnicodeForm(Form.NFC)::apply;
            case "NFD" -> new UnicodeForm(Form.NFD)::apply;
            case "NFKC" -> new UnicodeForm(Form.NFKC)::apply;
            case "NFKD" -> new UnicodeForm(Form.NFKD)::apply;
            case "Lowercase" -> TextNormalizer::lowerCase;
            case "StripAccents" -> text -> without(text, CharacterClasses::isAccent);
            default ->
                throw step.wrong(
                        "type",
                        "'NFC', 'NFD', 'NFKC', 'NFKD', 'Replace', 'Prepend', 'Lowercase', 'Strip', 'StripAccents' or"
                                + " 'Sequence', the supported ones");
        };
    }

    private static TextNormalizer replace(ConfigFile step) {
        StepSettings.requireKeys(step, "type", "pattern", "content");
        ConfigFile pattern =
                step.object("pattern").orElseThrow(() -> step.wrong("pattern", "an object with 'Regex' or 'String'"));
        Pattern compiled = StepSettings.pattern(step, pattern);
        String content = step.text("content");
        String literal = pattern.text("String", "");
        if (literal.length() == 1 && content.length() == 1)
            return text -> text.with(text.toString()
                    .replace(literal.charAt(0), content.charAt(0))
                    .toCharArray());
        return text -> {
            if (text.length == 0) return text;
            AlignedText.Builder made = new AlignedText.Builder(text);
            int[] done = {0};
            OnigurumaPattern.find(step.place(), compiled, text.toString(), (from, to) -> {
                made.copy(done[0], from).add(content, to - 1);
                done[0] = to;
            });
            return made.copy(done[0], text.length).build();
        };
    }

    private static AlignedText lowerCase(AlignedText text) {
        AlignedText.Builder made = new AlignedText.Builder(text);
        for (int at = 0, codePoint; at < text.length; at += Character.charCount(codePoint)) {
            codePoint = text.codePoint(at, text.length);
            made.add(CharacterClasses.lowerCase(codePoint), at);
        }
        return made.build();
    }

    private static AlignedText strip(AlignedText text, boolean left, boolean right) {
        int from = 0;
        int to = text.length;
        while (left && from < to && CharacterClasses.isSpace(text.chars[from])) from++;
        while (right && to > from && CharacterClasses.isSpace(text.chars[to - 1])) to--;
        return text.slice(from, to);
    }

    private static AlignedText without(AlignedText text, IntPredicate removed) {
        AlignedText.Builder made = new AlignedText.Builder(text);
        for (int at = 0, codePoint; at < text.length; at += Character.charCount(codePoint)) {
            codePoint = text.codePoint(at, text.length);
            if (!removed.test(codePoint)) made.copy(at, at + Character.charCount(codePoint));
        }
        return made.build();
    }
}
