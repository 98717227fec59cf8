package io.github.panascope.torch;

import java.io.PrintWriter;
import java.io.StringWriter;

/** What {@link io.github.panascope.LeakCheck} tells of native handles that a test leaves open. */
public final class OpenHandles {
    private OpenHandles() {}

    /** Returns a mark for {@link #openedSince}: how many scopes and handles were opened so far. */
    public static long mark() {
        return HandleTraces.count();
    }

    /** Describes what was opened since a mark and is open: each with its stack, or how to make those known. */
    public static String openedSince(long mark) {
        if (!HandleTraces.ON) return "-Dpanascope.traceHandles=true shows where they were opened";
        StringWriter text = new StringWriter();
        PrintWriter lines = new PrintWriter(text);
        lines.println("opened here and still open:");
        for (Throwable stack : HandleTraces.openSince(mark)) {
            lines.println(stack.getMessage());
            for (StackTraceElement frame : stack.getStackTrace())
                if (!frame.getClassName().equals(HandleTraces.class.getName())) lines.println("    at " + frame);
        }
        return text.toString();
    }
}
