package io.github.panascope.internal;

import tools.jackson.core.JacksonException;

/** Descriptions of errors in JSON, with their positions, in words for users. */
public final class JsonError {
    private JsonError() {}

    private static final String TWICE = "Duplicate Object property ";

    /**
     * Returns whether the error is a duplicate key. Python silently takes the last value of one; the value that is read
     * here would depend on the order.
     *
     * @param e exception of the parser
     * @return true if an object contains a key twice
     */
    public static boolean isKeyTwice(JacksonException e) {
        return e.getOriginalMessage().startsWith(TWICE);
    }

    /**
     * Describes an error.
     *
     * @param e exception of the parser
     * @return the description on one line, with line and column where they are known
     */
    public static String of(JacksonException e) {
        String what = e.getOriginalMessage();
        int redacted = what.indexOf(" (start marker at [Source:");
        if (redacted >= 0) what = what.substring(0, redacted);
        what = what.replaceAll(", from `StreamReadConstraints[^`]*`", ""); // not a setting that users can change
        var place = e.getLocation();
        if (isKeyTwice(e)) what = "the key " + what.substring(TWICE.length()) + " is there twice";
        return what.strip().replaceAll("\\s*\\n\\s*", " ")
                + (place != null && place.getLineNr() > 0
                        ? " (line " + place.getLineNr() + ", column " + place.getColumnNr() + ")"
                        : "");
    }
}
