package io.github.panascope.hub;

import tools.jackson.core.JacksonException;

/** What is wrong with JSON, and where, in the words that are meant for people. */
final class JsonError {
    private JsonError() {}

    static String of(JacksonException e) {
        String what = e.getOriginalMessage();
        int redacted = what.indexOf(" (start marker at [Source:");
        if (redacted >= 0) what = what.substring(0, redacted);
        var place = e.getLocation();
        return what.strip().replaceAll("\\s*\\n\\s*", " ") + (place != null && place.getLineNr() > 0 ? " (line " + place.getLineNr() + ", column " + place.getColumnNr() + ")" : "");
    }
}
