package io.github.panascope.cli;

import java.io.IOException;
import java.net.URI;

/** Opens a page for a person who asked for it. */
final class Browser {
    private Browser() {}

    /** Where there is no browser, says where the page is. */
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
