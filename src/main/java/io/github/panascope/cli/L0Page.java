package io.github.panascope.cli;

import io.github.panascope.lens.PythonText;
import io.github.panascope.metrics.L0;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.stream.Collectors;

/** l0_histogram.html: the histogram as one interactive page that asks for nothing else, drawn by uPlot. */
final class L0Page {
    private static final String UPLOT = "/META-INF/resources/webjars/uplot/1.6.30/dist/";

    private L0Page() {}

    /** The page for an SAE's L0 over some rows. */
    static String of(L0 l0, String sae, String hook) {
        String counts = Arrays.stream(l0.histogram()).mapToObj(Long::toString).collect(Collectors.joining(",", "[", "]"));
        return resource("l0_histogram.html")
                .replace("$UPLOT_CSS", resource(UPLOT + "uPlot.min.css"))
                .replace("$UPLOT_JS", resource(UPLOT + "uPlot.iife.min.js"))
                .replace("$COUNTS", counts)
                .replace("$MEAN", PythonText.fixed(l0.mean(), 2))
                .replace("$POSITIONS", Long.toString(l0.positions()))
                .replace("$SAE", escape(sae)).replace("$HOOK", escape(hook));
    }

    private static String resource(String name) {
        try (InputStream in = L0Page.class.getResourceAsStream(name)) {
            if (in == null) throw new IllegalStateException("the class path lacks " + name);
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String escape(String text) {
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\"", "&quot;");
    }
}
