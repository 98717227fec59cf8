package io.github.panascope.notebook;

import io.github.panascope.dashboard.FeatureDashboard;
import io.github.panascope.dashboard.FeatureExamples;
import io.github.panascope.lens.ActivationCache;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.TestPrompt;
import io.github.panascope.metrics.DownstreamLoss;
import io.github.panascope.metrics.L0;
import io.github.panascope.metrics.SaeEvals;
import io.github.panascope.metrics.TutorialMetrics;
import io.github.panascope.plot.CountHistogram;
import io.github.panascope.plot.HeatMap;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import java.util.function.Function;
import org.dflib.jjava.jupyter.Extension;
import org.dflib.jjava.jupyter.kernel.BaseKernel;
import org.dflib.jjava.jupyter.kernel.display.Renderer;
import org.dflib.jjava.jupyter.kernel.display.mime.MIMEType;

/**
 * What the kernel JJava installs when this artefact is on its class path: the scope of all threads, so that cells need
 * none, and the forms in which results are shown.
 */
public final class PanascopeExtension implements Extension {
    private static final String HTML = "text/html";

    /** Makes the extension; the kernel does so. */
    public PanascopeExtension() {}

    /**
     * Opens the {@linkplain TensorScope#collected scope of all threads}, and registers what is shown for results.
     *
     * @param kernel the kernel
     */
    @Override
    public void install(BaseKernel kernel) {
        TensorScope.collected();
        Progress.drawTo(new KernelLines(kernel));
        UnnamedResults unnamed = new UnnamedResults(kernel);
        Renderer renderer = kernel.getRenderer();
        show(renderer, Tensor.class, unnamed.before(TensorTable::html));
        show(renderer, Tensor.Sorted.class, unnamed.before(Results::html));
        show(renderer, Tensor.Extremes.class, unnamed.before(Results::html));
        show(renderer, ActivationCache.class, unnamed.before(Results::html));
        show(renderer, HookedTransformer.RunWithCache.class, unnamed.before(Results::html));
        show(renderer, HeatMap.class, HeatMap::svg);
        show(renderer, CountHistogram.class, CountHistogram::svg);
        show(renderer, L0.class, Results::html);
        show(renderer, TestPrompt.class, Results::html);
        show(renderer, DownstreamLoss.class, Results::html);
        show(renderer, TutorialMetrics.class, Results::html);
        show(renderer, SaeEvals.class, Results::html);
        show(renderer, FeatureDashboard.class, Results::html);
        show(renderer, FeatureExamples.class, Results::html);
        show(renderer, InlinePage.class, InlinePage::iframe);
    }

    private static <T> void show(Renderer renderer, Class<T> type, Function<T, String> html) {
        renderer.createRegistration(type)
                .preferring(HTML)
                .register((value, context) ->
                        context.renderIfRequested(MIMEType.parse(HTML), () -> (Object) html.apply(value)));
    }

    /** Closes the scope of all threads. */
    @Override
    public void uninstall(BaseKernel kernel) {
        TensorScope.collected().close();
    }
}
