package io.github.panascope.notebook;

/**
 * A whole HTML page that a notebook shows within a cell. The page runs its own scripts, and reaches neither the
 * notebook nor, if its content security policy says so, the network.
 *
 * @param html   the text of the page
 * @param height the height of its frame in the notebook, in CSS pixels
 */
public record InlinePage(String html, int height) {
    /**
     * Checks the height.
     *
     * @throws IllegalArgumentException if the height is less than 1
     */
    public InlinePage {
        if (height < 1) throw new IllegalArgumentException("the height of a page should be at least 1, not " + height);
    }

    /** Returns a frame that holds the page. */
    String iframe() {
        return "<iframe sandbox=\"allow-scripts\" style=\"width:100%;height:" + height
                + "px;box-sizing:border-box;border:1px solid #8888;background:white\" srcdoc=\"" + Html.escaped(html)
                + "\"></iframe>";
    }

    /** {@return the number of characters of the page, and its height} */
    @Override
    public String toString() {
        return "InlinePage(" + html.length() + " characters, " + height + " pixels high)";
    }
}
