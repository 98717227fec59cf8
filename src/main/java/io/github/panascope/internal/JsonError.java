package io.github.panascope.internal;

import tools.jackson.core.JacksonException;

/** What is wrong with JSON, and where, in the words that are meant for people. */
public final class JsonError {
    private JsonError() {}

    private static final String TWICE = "Duplicate Object property ";

    /**
     * Whether a key is there twice. Python takes the last one in silence; what is read here would then be a matter of
     * order.
     */
    public static boolean isKeyTwice(JacksonException e) {
        return e.getOriginalMessage().startsWith(TWICE);
    }

    public static String of(JacksonException e) {
        String what = e.getOriginalMessage();
        int redacted = what.indexOf(" (start marker at [Source:");
        if (redacted >= 0) what = what.substring(0, redacted);
        what = what.replaceAll(", from `StreamReadConstraints[^`]*`", ""); // no setting of a user's
        var place = e.getLocation();
        if (isKeyTwice(e)) what = "the key " + what.substring(TWICE.length()) + " is there twice";
        return what.strip().replaceAll("\\s*\\n\\s*", " ")
                + (place != null && place.getLineNr() > 0
                        ? " (line " + place.getLineNr() + ", column " + place.getColumnNr() + ")"
                        : "");
    }
}
