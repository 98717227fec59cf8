package io.github.panascope.cli;

import java.io.IOException;
import java.net.URI;

/** Opens pages in a browser. */
final class Browser {
    private Browser() {}

    /** Opens a page, or prints its address if no browser can be started. */
    static void open(URI page, InputOptions input) {
        try {
            new ProcessBuilder("xdg-open", page.toString())
                    .redirectErrorStream(true)
                    .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                    .start();
        } catch (IOException e) {
            input.print("No browser could be opened (xdg-open is missing): the page is " + page);
        }
    }
}
