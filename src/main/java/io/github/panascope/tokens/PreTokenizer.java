package io.github.panascope.tokens;

import io.github.panascope.InputException;
import io.github.panascope.internal.ConfigFile;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.IntPredicate;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;

/** Splits a text into the pieces within which a model joins characters. */
interface PreTokenizer {
    /** Receives pieces, which are not empty. */
    interface Pieces {
        void accept(AlignedText text, int from, int to);
    }

    /** Passes the pieces of a part of a text on, in their order. */
    void split(AlignedText text, int from, int to, Pieces pieces);

    /** Returns a splitter that splits the pieces of this one. */
    default PreTokenizer then(PreTokenizer next) {
        return (text, from, to, pieces) -> split(text, from, to, (t, f, e) -> next.split(t, f, e, pieces));
    }

    /**
     * Reads the steps of a {@code pre_tokenizer}.
     *
     * @param place the place for error messages
     * @return the steps, in their order
     * @throws InputException if a step or one of its settings is not supported
     */
    static List<PreTokenizer> read(String place, @Nullable JsonNode json) {
        List<PreTokenizer> steps = new ArrayList<>();
        if (json == null || json.isNull()) return steps;
        ConfigFile step = ConfigFile.of(place, json);
        String type = step.text("type");
        switch (type) {
            case "Sequence" -> {
                StepSettings.requireKeys(step, "type", "pretokenizers");
                for (JsonNode part : StepSettings.list(step, "pretokenizers"))
                    steps.addAll(read(place + ": pretokenizers", part));
            }
            case "ByteLevel" -> {
                StepSettings.requireKeys(step, "type", "add_prefix_space", "trim_offsets", "use_regex");
                if (StepSettings.flag(step, "add_prefix_space")) steps.add(PreTokenizer::withSpace);
                if (step.flag("use_regex", true)) steps.add(isolated(WordScanner.GPT2));
                steps.add(ByteLetterStep.INSTANCE);
            }
            case "Split" -> steps.add(split(step));
            case "Metaspace" -> steps.add(MetaspaceStep.read(step));
            case "Digits" -> {
                StepSettings.requireKeys(step, "type", "individual_digits");
                steps.add(characters(
                        CharacterClasses::isNumeric,
                        StepSettings.flag(step, "individual_digits")
                                ? Spans.Behavior.ISOLATED
                                : Spans.Behavior.CONTIGUOUS));
            }
            case "Punctuation" -> {
                StepSettings.requireKeys(step, "type", "behavior");
                steps.add(characters(
                        CharacterClasses::isPunctuation,
                        step.has("behavior") ? behavior(step) : Spans.Behavior.ISOLATED));
            }
            case "Whitespace" -> {
                StepSettings.requireKeys(step, "type");
                steps.add(words());
            }
            case "WhitespaceSplit" -> {
                StepSettings.requireKeys(step, "type");
                steps.add(characters(CharacterClasses::isSpace, Spans.Behavior.REMOVED));
            }
            default ->
                throw step.wrong(
                        "type",
                        "'ByteLevel', 'Split', 'Metaspace', 'Digits', 'Punctuation', 'Whitespace', 'WhitespaceSplit' or"
                                + " 'Sequence', the supported ones");
        }
        return steps;
    }

    /** Puts a space before a text that does not begin with one. */
    private static void withSpace(AlignedText text, int from, int to, Pieces pieces) {
        if (text.chars[from] == ' ') {
            pieces.accept(text, from, to);
            return;
        }
        AlignedText part = text.slice(from, to);
        AlignedText longer =
                new AlignedText.Builder(part).add(" ", 0).copy(0, part.length).build();
        pieces.accept(longer, 0, longer.length);
    }

    private static PreTokenizer isolated(WordScanner scanner) {
        return (text, from, to, pieces) -> {
            for (int start = from, next; start < to; start = next) {
                next = scanner.end(text.chars, start, to);
                pieces.accept(text, start, next);
            }
        };
    }

    private static PreTokenizer split(ConfigFile step) {
        StepSettings.requireKeys(step, "type", "pattern", "behavior", "invert");
        Spans.Behavior behavior = behavior(step);
        boolean invert = StepSettings.flag(step, "invert");
        ConfigFile pattern =
                step.object("pattern").orElseThrow(() -> step.wrong("pattern", "an object with 'Regex' or 'String'"));
        if (pattern.has("String")
                && pattern.keys().size() == 1
                && !pattern.text("String").isEmpty()) return literal(pattern.text("String"), behavior, invert);
        WordScanner known = pattern.has("Regex") ? WordScanner.of(pattern.text("Regex")) : null;
        if (known != null && isIsolated(behavior, invert)) return isolated(known);
        Pattern compiled = StepSettings.pattern(step, pattern);
        return (text, from, to, pieces) -> {
            Spans spans = new Spans(from);
            OnigurumaPattern.find(
                    step.place(),
                    compiled,
                    text.string(from, to),
                    (start, end) -> spans.match(from + start, from + end));
            spans.end(to);
            spans.pieces(behavior, invert, (start, end) -> pieces.accept(text, start, end));
        };
    }

    /** Returns whether all pieces are the matches of a pattern that matches everything. */
    private static boolean isIsolated(Spans.Behavior behavior, boolean invert) {
        return behavior == Spans.Behavior.ISOLATED || behavior == Spans.Behavior.REMOVED && invert;
    }

    private static PreTokenizer literal(String wanted, Spans.Behavior behavior, boolean invert) {
        char[] literal = wanted.toCharArray();
        return (text, from, to, pieces) -> {
            Spans spans = new Spans(from);
            for (int at = from; at + literal.length <= to; at++) {
                int same = 0;
                while (same < literal.length && text.chars[at + same] == literal[same]) same++;
                if (same < literal.length) continue;
                spans.match(at, at + same);
                at += same - 1;
            }
            spans.end(to);
            spans.pieces(behavior, invert, (start, end) -> pieces.accept(text, start, end));
        };
    }

    /** Splits at each character of a class. */
    static PreTokenizer characters(IntPredicate wanted, Spans.Behavior behavior) {
        return (text, from, to, pieces) -> {
            Spans spans = new Spans(from);
            for (int at = from, next; at < to; at = next) {
                int codePoint = text.codePoint(at, to);
                next = at + Character.charCount(codePoint);
                if (wanted.test(codePoint)) spans.match(at, next);
            }
            spans.end(to);
            spans.pieces(behavior, false, (start, end) -> pieces.accept(text, start, end));
        };
    }

    /** Splits into words and runs of other signs, without white space. */
    private static PreTokenizer words() {
        return (text, from, to, pieces) -> {
            int start = from;
            int kind = 0;
            for (int at = from, next; at < to; at = next) {
                int codePoint = text.codePoint(at, to);
                next = at + Character.charCount(codePoint);
                int now = CharacterClasses.isWord(codePoint) ? 1 : CharacterClasses.isSpace(codePoint) ? 0 : 2;
                if (now == kind) continue;
                if (kind > 0 && at > start) pieces.accept(text, start, at);
                start = at;
                kind = now;
            }
            if (kind > 0 && to > start) pieces.accept(text, start, to);
        };
    }

    private static Spans.Behavior behavior(ConfigFile step) {
        String name = step.text("behavior");
        for (Spans.Behavior behavior : Spans.Behavior.values())
            if (behavior.name().replace("_", "").equals(name.toUpperCase(Locale.ROOT))) return behavior;
        throw step.wrong("behavior", "'Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext' or 'Contiguous'");
    }
}
