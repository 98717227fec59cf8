package io.github.panascope.notebook;

import java.util.List;

/** Tables and text in HTML. What comes from data is escaped. */
final class Html {
    private static final String TABLE = "<style>.panascope{border-collapse:collapse;font-size:13px;margin:4px 0}"
            + ".panascope td,.panascope th{padding:1px 8px;border:1px solid #8884;text-align:right}"
            + ".panascope td:first-child,.panascope th:first-child{text-align:left}</style><table class=\"panascope\">";

    private Html() {}

    /** Escapes the special characters of HTML, in text and in quoted attributes. */
    static String escaped(String text) {
        return text.replace("&", "&amp;")
                .replace("<", "&lt;")
                .replace(">", "&gt;")
                .replace("\"", "&quot;")
                .replace("'", "&#39;");
    }

    /** Returns a paragraph of text. */
    static String paragraph(String text) {
        return "<p style=\"margin:2px 0\">" + escaped(text) + "</p>";
    }

    /** Returns a token in a box that shows its spaces; the characters of line ends and tabs are written out. */
    static String token(String token) {
        return "<code style=\"white-space:pre;background:#8882;padding:0 1px\">" + oneLine(token) + "</code>";
    }

    /** Escapes a text whose line ends and tabs are written out. */
    static String oneLine(String text) {
        return escaped(text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t"));
    }

    /**
     * Returns a table. The first column is to the left and the others to the right.
     *
     * @param head the names of the columns, as text; null for none
     * @param rows the cells, as markup
     */
    static String table(List<String> head, List<List<String>> rows) {
        StringBuilder table = new StringBuilder(TABLE);
        if (head != null) {
            table.append("<tr>");
            for (String name : head) table.append("<th>").append(escaped(name)).append("</th>");
            table.append("</tr>");
        }
        for (List<String> row : rows) {
            table.append("<tr>");
            for (String markup : row) table.append("<td>").append(markup).append("</td>");
            table.append("</tr>");
        }
        return table.append("</table>").toString();
    }
}
