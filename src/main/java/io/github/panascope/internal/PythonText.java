package io.github.panascope.internal;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.List;
import java.util.stream.Collectors;

/** Text in the form in which Python prints it, so that output equals that of the Python libraries to the character. */
public final class PythonText {
    private PythonText() {}

    /**
     * Returns whether {@code str.isspace()} holds for a character; Java's own definitions include other characters.
     *
     * @param codePoint the character
     * @return true if Python treats it as white space
     */
    public static boolean isSpace(int codePoint) {
        return codePoint >= 0x09 && codePoint <= 0x0d
                || codePoint >= 0x1c && codePoint <= 0x20
                || codePoint == 0x85
                || codePoint == 0xa0
                || codePoint == 0x1680
                || codePoint >= 0x2000 && codePoint <= 0x200a
                || codePoint == 0x2028
                || codePoint == 0x2029
                || codePoint == 0x202f
                || codePoint == 0x205f
                || codePoint == 0x3000;
    }

    /**
     * Formats a number as {@code f"{value:.{decimals}f}"}. The exact binary value is rounded half to even, where
     * String.format rounds the decimal text half up.
     *
     * @param value    the number
     * @param decimals number of digits after the point
     * @return the digits; nan, inf or -inf where the number is not finite
     */
    public static String fixed(double value, int decimals) {
        if (Double.isNaN(value)) return "nan";
        if (Double.isInfinite(value)) return value > 0 ? "inf" : "-inf";
        String digits =
                new BigDecimal(value).setScale(decimals, RoundingMode.HALF_EVEN).toPlainString();
        boolean lostSign = digits.charAt(0) != '-' && Double.doubleToRawLongBits(value) < 0;
        return lostSign ? "-" + digits : digits;
    }

    /**
     * Formats a share as {@code f"{value:.{decimals}%}"}.
     *
     * @param value    the share; 1 is 100 percent
     * @param decimals number of digits after the point
     * @return the percentage with a percent sign
     */
    public static String percent(double value, int decimals) {
        return fixed(value * 100, decimals) + "%";
    }

    /**
     * Aligns a text to the right of a field.
     *
     * @param text  the text
     * @param width width of the field in characters
     * @return the text after as many spaces as fill the field; a longer text is unchanged
     */
    public static String right(String text, int width) {
        return " ".repeat(Math.max(0, width - text.length())) + text;
    }

    /**
     * Aligns a text to the left of a field.
     *
     * @param text  the text
     * @param width width of the field in characters
     * @return the text before as many spaces as fill the field; a longer text is unchanged
     */
    public static String left(String text, int width) {
        return text + " ".repeat(Math.max(0, width - text.length()));
    }

    /**
     * Formats a list of texts as {@code repr} does.
     *
     * @param texts the texts
     * @return the list in brackets
     */
    public static String repr(List<String> texts) {
        return texts.stream().map(PythonText::repr).collect(Collectors.joining(", ", "[", "]"));
    }

    /**
     * Formats a text as {@code repr} does.
     *
     * @param text the text
     * @return the text in quotes, with escapes
     */
    public static String repr(String text) {
        char quote = text.indexOf('\'') >= 0 && text.indexOf('"') < 0 ? '"' : '\'';
        StringBuilder out = new StringBuilder().append(quote);
        text.codePoints().forEach(c -> appendEscaped(out, c, quote));
        return out.append(quote).toString();
    }

    private static void appendEscaped(StringBuilder out, int c, char quote) {
        if (c == '\\' || c == quote) out.append('\\').appendCodePoint(c);
        else if (c == '\n') out.append("\\n");
        else if (c == '\r') out.append("\\r");
        else if (c == '\t') out.append("\\t");
        else if (isPrintable(c)) out.appendCodePoint(c);
        else if (c < 0x100) out.append(String.format("\\x%02x", c));
        else if (c < 0x10000) out.append(String.format("\\u%04x", c));
        else out.append(String.format("\\U%08x", c));
    }

    /**
     * Returns whether {@code str.isprintable()} holds for a character: it is the space, or not of the categories Other
     * and Separator.
     */
    private static boolean isPrintable(int c) {
        if (c == ' ') return true;
        return switch (Character.getType(c)) {
            case Character.CONTROL,
                    Character.FORMAT,
                    Character.SURROGATE,
                    Character.PRIVATE_USE,
                    Character.UNASSIGNED,
                    Character.LINE_SEPARATOR,
                    Character.PARAGRAPH_SEPARATOR,
                    Character.SPACE_SEPARATOR -> false;
            default -> true;
        };
    }
}
