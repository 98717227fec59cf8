package io.github.panascope.tokens;

import io.github.panascope.InputException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * A regular expression of Oniguruma, whose syntax tokenizers use, translated to Java's: names of properties, classes of
 * characters, options and quantifiers differ. What is not translated is refused by name.
 */
final class OnigurumaPattern {
    private static final String LETTERS = "\\p{IsAlphabetic}\\p{M}\\p{Nd}\\p{Pc}";
    /** Outside of brackets, words have the other numbers of Latin-1 as well. */
    private static final String WORD = LETTERS + "\\xb2\\xb3\\xb9\\xbc-\\xbe";

    private static final Set<String> CATEGORIES = Set.of(
            "L", "LU", "LL", "LT", "LM", "LO", "M", "MN", "MC", "ME", "N", "ND", "NL", "NO", "P", "PC", "PD", "PS",
            "PE", "PI", "PF", "PO", "S", "SM", "SC", "SK", "SO", "Z", "ZS", "ZL", "ZP", "C", "CC", "CF", "CN", "CO");
    private static final Map<String, String> PROPERTIES = Map.ofEntries(
            Map.entry("LETTER", "\\p{L}"),
            Map.entry("MARK", "\\p{M}"),
            Map.entry("NUMBER", "\\p{N}"),
            Map.entry("PUNCTUATION", "\\p{P}"),
            Map.entry("SYMBOL", "\\p{S}"),
            Map.entry("SEPARATOR", "\\p{Z}"),
            Map.entry("ALPHA", "\\p{IsAlphabetic}"),
            Map.entry("ALPHABETIC", "\\p{IsAlphabetic}"),
            Map.entry("DIGIT", "\\p{Nd}"),
            Map.entry("PUNCT", "\\p{P}"),
            Map.entry("SPACE", "\\p{IsWhite_Space}"),
            Map.entry("UPPER", "\\p{IsUppercase}"),
            Map.entry("LOWER", "\\p{IsLowercase}"));
    /** Escapes that mean the same in Java, outside and inside of brackets. */
    private static final String SAME = "ntrfae";

    /** How many brackets or groups may be open at once. */
    private static final int DEEPEST = 100;
    /** How many characters of a pattern messages show. */
    private static final int LONGEST_SHOWN = 60;

    private final String place;
    private final String source;
    private final StringBuilder out = new StringBuilder();
    /** What closes each open group, beside the parenthesis itself, and where it begins. */
    private final Deque<int[]> groups = new ArrayDeque<>();

    private int at;
    /** The number of open brackets. */
    private int brackets;

    /** Where the last thing begins that a quantifier could follow; -1 if there is none. */
    private int atom = -1;

    private OnigurumaPattern(String place, String source) {
        this.place = place;
        this.source = source;
    }

    /**
     * Translates a pattern.
     *
     * @param place name of the file and the key, for error messages
     * @throws InputException if the pattern has what is not translated
     */
    static Pattern compile(String place, String pattern) {
        OnigurumaPattern translation = new OnigurumaPattern(place, pattern);
        String java = translation.translate();
        // Java looks behind at single UTF-16 units only, unless the pattern holds a character beyond U+FFFF.
        if (java.contains("(?<")) java += "(?:\ud800\udc00){0}";
        try {
            return Pattern.compile(java, Pattern.MULTILINE | Pattern.UNIX_LINES);
        } catch (PatternSyntaxException e) {
            throw translation.wrong("is not understood", e);
        }
    }

    /** Receives the beginning and the end of each match. */
    interface Matches {
        void accept(int from, int to);
    }

    /** Finds all matches; an empty one does not follow another match at once. */
    static void find(String place, Pattern pattern, String text, Matches matches) {
        try {
            Matcher matcher = pattern.matcher(text);
            int last = -1;
            for (int from = 0; from <= text.length() && matcher.find(from); ) {
                if (matcher.end() == matcher.start() && matcher.end() == last) {
                    if (from == text.length()) return;
                    from += Character.charCount(text.codePointAt(from));
                } else {
                    matches.accept(matcher.start(), matcher.end());
                    from = matcher.end();
                    last = from;
                }
            }
        } catch (StackOverflowError e) {
            throw new InputException(place + ": the pattern needs too much memory for a text of " + text.length()
                    + " characters: split the text into shorter ones.");
        }
    }

    private InputException wrong(String what, Throwable cause) {
        String begun = source.length() > LONGEST_SHOWN ? source.substring(0, LONGEST_SHOWN) + "..." : source;
        return new InputException(place + ": the pattern '" + begun + "' " + what + ".", cause);
    }

    private InputException unsupported(String what) {
        return wrong("has " + what + ", which is not supported", null);
    }

    private String translate() {
        while (at < source.length()) {
            char c = source.charAt(at);
            switch (c) {
                case '\\' -> escape();
                case '[' -> {
                    atom = out.length();
                    bracket();
                }
                case '(' -> open();
                case ')' -> close();
                case '|' -> {
                    out.append(c);
                    at++;
                    atom = -1;
                }
                case '*', '+', '?' -> quantifier(String.valueOf(c), 1, false);
                case '{' -> interval();
                default -> literal();
            }
        }
        while (!groups.isEmpty()) {
            if (groups.peek()[1] == 0) throw wrong("has a '(' without a ')'", null);
            groups.pop();
            out.append(')');
        }
        return out.toString();
    }

    private void literal() {
        int codePoint = source.codePointAt(at);
        atom = out.length();
        if (codePoint == '.' || codePoint == '^' || codePoint == '$') out.append((char) codePoint);
        else append(codePoint);
        at += Character.charCount(codePoint);
    }

    private void append(int codePoint) {
        if (codePoint < 128 && !Character.isLetterOrDigit(codePoint)) out.append(String.format("\\x%02x", codePoint));
        else out.appendCodePoint(codePoint);
    }

    private void escape() {
        if (at + 1 == source.length()) throw wrong("ends with a backslash", null);
        char c = source.charAt(at + 1);
        atom = out.length();
        switch (c) {
            case 'b', 'B' -> {
                String word = "[" + WORD + "]";
                out.append(c == 'b' ? "(?:(?<=W)(?!W)|(?<!W)(?=W))" : "(?:(?<=W)(?=W)|(?<!W)(?!W))");
                int from = out.length();
                String boundary = out.substring(atom, from).replace("W", word);
                out.replace(atom, from, boundary);
                at += 2;
            }
            case 'A', 'z' -> {
                out.append('\\').append(c);
                at += 2;
            }
            case 'Z' -> {
                out.append("(?=\\n?\\z)");
                at += 2;
            }
            default -> member();
        }
    }

    /** Translates an escape that stands for characters. */
    private void member() {
        char c = source.charAt(at + 1);
        at += 2;
        switch (c) {
            case 'd' -> out.append("\\p{Nd}");
            case 'D' -> out.append("\\P{Nd}");
            case 's' -> out.append("\\p{IsWhite_Space}");
            case 'S' -> out.append("\\P{IsWhite_Space}");
            case 'w' -> out.append('[').append(brackets > 0 ? LETTERS : WORD).append(']');
            case 'W' -> out.append("[^").append(brackets > 0 ? LETTERS : WORD).append(']');
            case 'h' -> out.append("[0-9A-Fa-f]");
            case 'H' -> out.append("[^0-9A-Fa-f]");
            case 'v' -> out.append("\\x0b");
            case 'p', 'P' -> property(c == 'P');
            case 'x' -> hexadecimal();
            case 'u' -> {
                out.append("\\u").append(digits(4));
                at += 4;
            }
            default -> {
                if (SAME.indexOf(c) >= 0) out.append('\\').append(c);
                else if (Character.isLetterOrDigit(c) && c < 128) throw unsupported("\\" + c);
                else {
                    at--;
                    int codePoint = source.codePointAt(at);
                    append(codePoint);
                    at += Character.charCount(codePoint);
                }
            }
        }
    }

    private void hexadecimal() {
        if (at < source.length() && source.charAt(at) == '{') {
            int end = source.indexOf('}', at);
            if (end < 0 || !source.substring(at + 1, end).matches("[0-9A-Fa-f]{1,6}")) throw unsupported("\\x{");
            out.append("\\x").append(source, at, end + 1);
            at = end + 1;
            return;
        }
        int length = 0;
        while (length < 2 && at + length < source.length() && Character.digit(source.charAt(at + length), 16) >= 0)
            length++;
        if (length == 0) throw unsupported("\\x without digits");
        out.append("\\x{").append(digits(length)).append('}');
        at += length;
    }

    private String digits(int count) {
        String digits = source.substring(at, Math.min(at + count, source.length()));
        if (digits.length() < count || !digits.matches("[0-9A-Fa-f]*")) throw unsupported("an escape without digits");
        return digits;
    }

    private void property(boolean negated) {
        int end = source.indexOf('}', at);
        if (at >= source.length() || source.charAt(at) != '{' || end < 0) throw unsupported("\\p without braces");
        String name = source.substring(at + 1, end);
        at = end + 1;
        boolean not = negated;
        if (name.startsWith("^")) {
            not = !not;
            name = name.substring(1);
        }
        String key = name.replaceAll("[ _-]", "").toUpperCase(Locale.ROOT);
        String java;
        if (CATEGORIES.contains(key))
            java = "\\p{" + key.charAt(0) + key.substring(1).toLowerCase(Locale.ROOT) + "}";
        else if (PROPERTIES.containsKey(key)) java = PROPERTIES.get(key);
        else {
            try {
                java = "\\p{Is" + Character.UnicodeScript.forName(name) + "}";
            } catch (IllegalArgumentException e) {
                throw unsupported("\\p{" + name + "}");
            }
        }
        out.append(not ? "\\P" + java.substring(2) : java);
    }

    private void bracket() {
        brackets++;
        requireDepth(brackets);
        out.append('[');
        at++;
        if (at < source.length() && source.charAt(at) == '^') {
            out.append('^');
            at++;
        }
        boolean first = true;
        boolean single = false; // whether the last part was one character, with which a range may begin
        while (true) {
            if (at >= source.length()) throw wrong("has a '[' without a ']'", null);
            char c = source.charAt(at);
            if (c == ']' && !first) break;
            if (source.startsWith("[:", at) || source.startsWith("&&", at))
                throw unsupported(source.substring(at, at + 2));
            if (c == '-' && single && at + 1 < source.length() && source.charAt(at + 1) != ']') {
                out.append('-');
                at++;
                single = false;
                bracketPart();
            } else single = bracketPart();
            first = false;
        }
        brackets--;
        out.append(']');
        at++;
    }

    /** Translates a part of a bracket and returns whether it is one character. */
    private boolean bracketPart() {
        char c = source.charAt(at);
        if (c == '[') {
            bracket();
            return false;
        }
        if (c != '\\') {
            int codePoint = source.codePointAt(at);
            append(codePoint);
            at += Character.charCount(codePoint);
            return true;
        }
        if (at + 1 == source.length()) throw wrong("ends with a backslash", null);
        char escaped = source.charAt(at + 1);
        if (escaped == 'b') {
            out.append("\\x08");
            at += 2;
        } else member();
        return "dDsSwWhHpP".indexOf(escaped) < 0;
    }

    private void open() {
        atom = -1;
        requireDepth(groups.size() + 1);
        int begin = out.length();
        at++;
        if (!source.startsWith("?", at)) {
            out.append('(');
            groups.push(new int[] {begin, 0});
            return;
        }
        for (String same : new String[] {"?:", "?=", "?!", "?<=", "?<!", "?>"})
            if (source.startsWith(same, at)) {
                out.append('(').append(same);
                at += same.length();
                groups.push(new int[] {begin, 0});
                return;
            }
        Matcher options =
                Pattern.compile("\\?([im]*)(-[im]+)?([:)])").matcher(source).region(at, source.length());
        if (!options.lookingAt())
            throw unsupported("a group (" + source.substring(at, Math.min(at + 3, source.length())));
        String on = options.group(1).replace("m", "s").replace("i", "iu");
        String off = options.group(2) == null
                ? ""
                : options.group(2).replace("m", "s").replace("i", "iu");
        out.append("(?").append(on).append(off).append(':');
        at = options.end();
        // An option without a colon holds to the end of the group that it stands in, across alternatives.
        groups.push(new int[] {begin, options.group(3).equals(":") ? 0 : 1});
    }

    private void requireDepth(int depth) {
        if (depth > DEEPEST) throw unsupported("more than " + DEEPEST + " brackets or groups inside one another");
    }

    private void close() {
        while (!groups.isEmpty() && groups.peek()[1] == 1) {
            groups.pop();
            out.append(')');
        }
        if (groups.isEmpty()) throw wrong("has a ')' without a '('", null);
        atom = groups.pop()[0];
        out.append(')');
        at++;
    }

    private void interval() {
        Matcher found = Pattern.compile("\\{(\\d*)(,?)(\\d*)}").matcher(source).region(at, source.length());
        boolean valid = found.lookingAt()
                && !(found.group(1).isEmpty() && found.group(3).isEmpty());
        if (!valid) {
            literal();
            return;
        }
        String least = found.group(1).isEmpty() ? "0" : found.group(1);
        String java = "{" + least + found.group(2) + found.group(3) + "}";
        quantifier(java, found.end() - at, found.group(2).isEmpty());
    }

    /**
     * Translates a quantifier of a length. A plus after an interval repeats it again, while in Java it would forbid to
     * step back, and so does a question mark after a fixed number.
     */
    private void quantifier(String java, int length, boolean fixed) {
        if (atom < 0) throw wrong("has a quantifier without anything to repeat", null);
        out.append(java);
        at += length;
        boolean interval = java.startsWith("{");
        char next = at < source.length() ? source.charAt(at) : 0;
        if (next == '?' && !fixed || next == '+' && !interval) {
            out.append(next);
            at++;
        }
        out.insert(atom, "(?:").append(')'); // so that a further quantifier repeats all of it
    }
}
