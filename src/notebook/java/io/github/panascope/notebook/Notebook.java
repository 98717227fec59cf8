package io.github.panascope.notebook;

import io.github.panascope.dashboard.DashboardPage;
import io.github.panascope.dashboard.DashboardSinks;
import io.github.panascope.dashboard.Dashboards;
import io.github.panascope.dashboard.FeatureDashboard;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.tokens.Tokenizer;
import io.github.panascope.torch.Torch;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * What a notebook needs beside the library: things that are kept over cells, progress in one line, dashboards within a
 * cell.
 *
 * <p>Tensors need nothing of this. {@link PanascopeExtension} opens a scope for all threads, and a tensor lives there
 * as long as a variable of the notebook refers to it.
 *
 * <pre>{@code
 * // a cell that can run again: the earlier model is closed first
 * var model = Notebook.keep("model", () -> HookedTransformer.fromPretrained("gpt2-small"));
 * }</pre>
 */
public final class Notebook {
    private static final int PAGE_HEIGHT = 760;

    private static final Map<String, AutoCloseable> KEPT = new LinkedHashMap<>();

    private Notebook() {}

    /**
     * Makes something that has to be closed, such as a model or an SAE, and keeps it under a name. What was kept under
     * the name before is closed first, so that a cell can run again without more memory.
     *
     * @param name   the name
     * @param opener makes the object
     * @param <T>    the type of the object
     * @return the object; it is closed when the name is used again or {@link #close} is called
     * @throws IllegalStateException if the former object cannot be closed, because another thread is using it
     */
    public static synchronized <T extends AutoCloseable> T keep(String name, Supplier<T> opener) {
        close(name);
        T opened = opener.get();
        KEPT.put(name, opened);
        return opened;
    }

    /**
     * Closes what is kept under a name; does nothing if there is nothing.
     *
     * @param name the name
     * @throws IllegalStateException if the object cannot be closed, because another thread is using it
     */
    public static synchronized void close(String name) {
        AutoCloseable former = KEPT.get(name);
        if (former == null) return;
        try {
            former.close();
        } catch (RuntimeException e) {
            throw e;
        } catch (Exception e) {
            throw new IllegalStateException("what is kept as '" + name + "' cannot be closed: " + e.getMessage(), e);
        }
        KEPT.remove(name);
    }

    /** Returns the tokenizer of the model that was kept last; null if none was. */
    static synchronized @Nullable Tokenizer tokenizer() {
        Tokenizer found = null;
        for (AutoCloseable kept : KEPT.values()) if (kept instanceof HookedTransformer model) found = model.tokenizer();
        return found;
    }

    /**
     * Makes a line of progress, which is shown once it is updated.
     *
     * @param label what is counted
     * @param total the amount of work; 0 if it is not known
     * @return the line; its last update or the caller ends it
     */
    public static Progress progress(String label, long total) {
        return new Progress(label, total);
    }

    /**
     * Makes the dashboards of features, and a page of them that a cell shows.
     *
     * @param model      the model
     * @param dashboards the maker of dashboards
     * @param features   the features
     * @param title      the title of the page
     * @return the page
     * @throws io.github.panascope.RunInterruptedException if the thread is interrupted
     */
    public static InlinePage dashboards(HookedTransformer model, Dashboards dashboards, int[] features, String title) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        DashboardPage.Header header = new DashboardPage.Header(
                title,
                Map.of("Model", model.name(), "Rows", dashboards.rows() + " of " + dashboards.context() + " tokens"),
                null);
        try (DashboardSinks sinks = new DashboardSinks()) {
            sinks.add(DashboardPage.open(bytes, header, model.tokenizer()));
            sinks.add(progress("Dashboards", features.length));
            dashboards.forEach(features, Torch.threads(), sinks);
        }
        return new InlinePage(bytes.toString(StandardCharsets.UTF_8), PAGE_HEIGHT);
    }

    /** Makes a page of dashboards that were made before. */
    static InlinePage page(Tokenizer tokenizer, List<FeatureDashboard> dashboards, String title) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (DashboardPage page =
                DashboardPage.open(bytes, new DashboardPage.Header(title, Map.of(), null), tokenizer)) {
            dashboards.forEach(page::accept);
            page.complete();
        }
        return new InlinePage(bytes.toString(StandardCharsets.UTF_8), PAGE_HEIGHT);
    }
}
