package io.github.panascope.internal;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.List;
import java.util.stream.Collectors;

/** Text as Python writes it, so that what is printed equals what the peers print, to the character. */
public final class PythonText {
    private PythonText() {}

    /** Whether {@code str.isspace()} holds of a code point; Java's own notions leave out or add some. */
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
     * {@code f"{value:.{decimals}f}"}: half to even on the exact binary value, where String.format rounds the decimal
     * text half up.
     */
    public static String fixed(double value, int decimals) {
        if (Double.isNaN(value)) return "nan";
        if (Double.isInfinite(value)) return value > 0 ? "inf" : "-inf";
        String digits =
                new BigDecimal(value).setScale(decimals, RoundingMode.HALF_EVEN).toPlainString();
        boolean lostSign = digits.charAt(0) != '-' && Double.doubleToRawLongBits(value) < 0;
        return lostSign ? "-" + digits : digits;
    }

    /** {@code f"{value:.{decimals}%}"}. */
    public static String percent(double value, int decimals) {
        return fixed(value * 100, decimals) + "%";
    }

    /** Right-aligned in a field. */
    public static String right(String text, int width) {
        return " ".repeat(Math.max(0, width - text.length())) + text;
    }

    /** Left-aligned in a field. */
    public static String left(String text, int width) {
        return text + " ".repeat(Math.max(0, width - text.length()));
    }

    /** {@code repr} of a list of texts. */
    public static String repr(List<String> texts) {
        return texts.stream().map(PythonText::repr).collect(Collectors.joining(", ", "[", "]"));
    }

    /** {@code repr} of a text. */
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

    /** {@code str.isprintable()}: not of the categories Other and Separator, the space aside. */
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
