package io.github.panascope.cli;

import io.github.panascope.internal.PageTemplate;
import io.github.panascope.internal.PythonText;
import io.github.panascope.metrics.L0;
import java.util.Arrays;

/** The page {@code l0_histogram.html}: an interactive histogram of L0, drawn by uPlot. */
final class L0Page {
    private L0Page() {}

    /** {@return the page for an SAE's L0 over some rows} */
    static String of(L0 l0, String sae, String hook) {
        return histogram(PageTemplate.of(L0Page.class, "l0_histogram.html"), l0)
                .text("SAE", sae)
                .text("HOOK", hook)
                .page();
    }

    /** Fills the places of a page template that the histogram needs. */
    static PageTemplate histogram(PageTemplate page, L0 l0) {
        return page.style("STYLE", PageTemplate.plotStyle() + PageTemplate.resource(L0Page.class, "report.css"))
                .script("UPLOT", PageTemplate.plotScript())
                .script("SCRIPT", PageTemplate.resource(L0Page.class, "l0_histogram.js"))
                .markup("L0", "{\"counts\":" + Arrays.toString(l0.histogram()) + ",\"mean\":" + l0.mean() + "}")
                .text("MEAN", PythonText.fixed(l0.mean(), 2))
                .text("POSITIONS", Long.toString(l0.positions()));
    }
}
