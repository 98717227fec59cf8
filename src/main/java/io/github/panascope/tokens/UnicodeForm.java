package io.github.panascope.tokens;

import java.text.Normalizer;
import java.text.Normalizer.Form;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Unicode's normalization forms with the places of characters, as the library inside Hugging Face's tokenizers finds
 * them: it takes a text apart, orders marks and composes again, and counts how many characters of the text each
 * character takes.
 */
final class UnicodeForm {
    private static final int HIGHEST_MARK = 0x345; // of the highest combining class, 240
    /** Longer runs of marks are not given to Java's normalizer, whose time grows with the square of their length. */
    private static final int LONGEST_RUN = 64;

    /** A character with the number of following characters that it takes, if negative, or 1 if it is added. */
    private record Change(int codePoint, int count) {}

    private final Form form;
    private final Form decomposed;
    private final boolean composes;

    UnicodeForm(Form form) {
        this.form = form;
        this.decomposed = form == Form.NFC || form == Form.NFD ? Form.NFD : Form.NFKD;
        this.composes = form == Form.NFC || form == Form.NFKC;
    }

    /** Returns a text in this form. */
    AlignedText apply(AlignedText text) {
        int ascii = 0;
        while (ascii < text.length && text.chars[ascii] < 128) ascii++;
        if (ascii == text.length) return text;
        String string = text.toString();
        boolean unknown = string.codePoints().anyMatch(CharacterClasses::isUnknownToNormalization);
        boolean longRun = hasLongRun(string);
        if (!unknown && !longRun && Normalizer.isNormalized(string, form)) return text;
        if (!text.tracked && !longRun) {
            return new AlignedText.Builder(text)
                    .add(unknown ? inParts(string) : Normalizer.normalize(string, form), 0)
                    .build();
        }
        return changed(text, composes ? composed(decomposed(text)) : decomposed(text));
    }

    private static boolean hasLongRun(String text) {
        int run = 0;
        for (int at = 0, codePoint; at < text.length(); at += Character.charCount(codePoint)) {
            codePoint = text.codePointAt(at);
            run = CharacterClasses.isMark(codePoint) ? run + 1 : 0;
            if (run > LONGEST_RUN) return true;
        }
        return false;
    }

    /** Normalizes what is between characters that are left as they are. */
    private String inParts(String text) {
        StringBuilder all = new StringBuilder(text.length());
        int from = 0;
        for (int at = 0; at < text.length(); at += Character.charCount(text.codePointAt(at))) {
            int codePoint = text.codePointAt(at);
            if (!CharacterClasses.isUnknownToNormalization(codePoint)) continue;
            all.append(Normalizer.normalize(text.substring(from, at), form)).appendCodePoint(codePoint);
            from = at + Character.charCount(codePoint);
        }
        return all.append(Normalizer.normalize(text.substring(from), form)).toString();
    }

    private List<Change> decomposed(AlignedText text) {
        List<Change> all = new ArrayList<>(text.length);
        List<Change> marks = new ArrayList<>();
        for (int i = 0, codePoint; i < text.length; i += Character.charCount(codePoint)) {
            codePoint = text.codePoint(i, text.length);
            if (codePoint < 128 || CharacterClasses.isUnknownToNormalization(codePoint)) {
                order(marks, all);
                all.add(new Change(codePoint, 0));
                continue;
            }
            int count = 0;
            int[] parts = Normalizer.normalize(Character.toString(codePoint), decomposed)
                    .codePoints()
                    .toArray();
            for (int part : parts) {
                boolean mark = isMark(part);
                if (!mark) order(marks, all);
                (mark ? marks : all).add(new Change(part, count));
                count = 1;
            }
        }
        order(marks, all);
        return all;
    }

    /** Returns whether a character of a decomposition has a combining class other than 0. */
    private static boolean isMark(int codePoint) {
        if (codePoint < 0x300 || codePoint == HIGHEST_MARK) return codePoint == HIGHEST_MARK;
        if (Character.isLetterOrDigit(codePoint) || CharacterClasses.isUnknownToNormalization(codePoint)) return false;
        String mark = Character.toString(codePoint);
        return Normalizer.normalize(Character.toString(HIGHEST_MARK) + mark, Form.NFD)
                .startsWith(mark);
    }

    /** Moves marks to the list of all, in the order of their combining classes; equal ones keep their order. */
    private static void order(List<Change> marks, List<Change> all) {
        if (marks.size() > 1) {
            List<Integer> different = marks.stream()
                    .map(Change::codePoint)
                    .distinct()
                    .sorted(UnicodeForm::compareClasses)
                    .toList();
            Map<Integer, Integer> ranks = new HashMap<>();
            int rank = 0;
            for (int i = 0; i < different.size(); i++) {
                if (i > 0 && compareClasses(different.get(i - 1), different.get(i)) != 0) rank++;
                ranks.put(different.get(i), rank);
            }
            marks.sort(Comparator.comparingInt(mark -> ranks.get(mark.codePoint)));
        }
        all.addAll(marks);
        marks.clear();
    }

    /** Compares the combining classes of two marks, which Java tells only by the order in which it puts them. */
    private static int compareClasses(int first, int second) {
        if (isSwapped(first, second)) return 1;
        return isSwapped(second, first) ? -1 : 0;
    }

    private static boolean isSwapped(int first, int second) {
        String both = Character.toString(first) + Character.toString(second);
        return first != second && !Normalizer.normalize(both, Form.NFD).equals(both);
    }

    private static List<Change> composed(List<Change> parts) {
        List<Change> all = new ArrayList<>(parts.size());
        Change starter = null;
        List<Change> marks = new ArrayList<>(); // that the starter did not take
        for (Change part : parts) {
            boolean mark = isMark(part.codePoint);
            if (starter == null) {
                if (mark) all.add(part);
                else starter = part;
                continue;
            }
            boolean blocked = !marks.isEmpty() && (!mark || isBlocked(marks.getLast().codePoint, part.codePoint));
            int joined = blocked ? -1 : composed(starter.codePoint, part.codePoint);
            if (joined >= 0) starter = new Change(joined, starter.count + part.count - 1);
            else if (mark) marks.add(part);
            else {
                all.add(starter);
                all.addAll(marks);
                marks.clear();
                starter = part;
            }
        }
        if (starter != null) all.add(starter);
        all.addAll(marks);
        return all;
    }

    /** Returns whether two marks, in their order, have one combining class. */
    private static boolean isBlocked(int mark, int next) {
        return !isSwapped(next, mark);
    }

    /** Returns the composition of two characters, or -1 if there is none. */
    private static int composed(int first, int second) {
        if (CharacterClasses.isUnknownToNormalization(first) || CharacterClasses.isUnknownToNormalization(second))
            return -1;
        String both = Character.toString(first) + Character.toString(second);
        String joined = Normalizer.normalize(both, Form.NFC);
        return joined.codePointCount(0, joined.length()) == 1 ? joined.codePointAt(0) : -1;
    }

    /** Makes a text of characters, each of which takes characters of the source or has the place of the one before. */
    private static AlignedText changed(AlignedText source, List<Change> changes) {
        AlignedText.Builder made = new AlignedText.Builder(source);
        int at = 0;
        for (Change change : changes) {
            String text = Character.toString(change.codePoint);
            if (change.count > 0) {
                made.add(text, at - 1);
                continue;
            }
            made.add(text, Math.min(at, source.length - 1));
            for (int i = 0; i <= -change.count && at < source.length; i++)
                at += Character.charCount(source.codePoint(at, source.length));
        }
        return made.build();
    }
}
