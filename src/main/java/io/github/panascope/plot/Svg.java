package io.github.panascope.plot;

import java.util.Locale;

/** Parts of SVG documents that hold text. */
final class Svg {
    private Svg() {}

    /**
     * Returns a text element, or nothing for an empty text.
     *
     * @param anchor the part of the text that lies at the place: start, middle or end
     * @param angle  degrees by which the text is turned around the place
     * @param more   further attributes
     */
    static String text(int x, int y, String anchor, int angle, String more, String text) {
        if (text.isEmpty()) return "";
        String turned = angle == 0 ? "" : " transform=\"rotate(" + angle + " " + x + " " + y + ")\"";
        return String.format(
                Locale.ROOT,
                "<text x=\"%d\" y=\"%d\" text-anchor=\"%s\"%s %s xml:space=\"preserve\">%s</text>%n",
                x,
                y,
                anchor,
                turned,
                more,
                escaped(text));
    }

    /** Escapes the special characters of XML, and replaces control characters, which XML does not allow. */
    static String escaped(String text) {
        StringBuilder escaped = new StringBuilder();
        text.codePoints().forEach(c -> {
            switch (c) {
                case '&' -> escaped.append("&amp;");
                case '<' -> escaped.append("&lt;");
                case '>' -> escaped.append("&gt;");
                case '"' -> escaped.append("&quot;");
                case '\n' -> escaped.append("\\n");
                case '\t' -> escaped.append("\\t");
                default ->
                    escaped.appendCodePoint(
                            c < 0x20 || c >= 0xd800 && c <= 0xdfff || c == 0xfffe || c == 0xffff ? 0xfffd : c);
            }
        });
        return escaped.toString();
    }
}
