package io.github.panascope.cli;

import io.github.panascope.InputException;
import io.github.panascope.data.TextDataset;
import io.github.panascope.demo.DemoBundle;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.metrics.TutorialMetrics;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.ChunkingStrategy;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.TensorScope;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The command {@code check-sae}, which compares an SAE's metrics with those that its authors report. */
@Command(
        name = "check-sae",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description =
                "Runs a small text and compares the SAE's L0 and explained variance with what the registry, or its own"
                    + " configuration, says of them: wrong processing, a wrong model or a wrong architecture shows at"
                    + " once. Another text than the authors' moves both a little; exit code 1 says that they are far"
                    + " off.")
final class CheckSaeCommand implements Callable<Integer> {
    /**
     * The largest ratio of L0 to the reported L0, in either direction. Other texts change L0 by less, mistakes by more.
     */
    private static final double L0_FACTOR = 2;

    /** The largest loss of explained variance against the reported one. */
    private static final double VARIANCE_LOST = 0.2;

    @Mixin
    private InputOptions input;

    @Mixin
    private DatasetOptions dataset;

    @Mixin
    private ContextOptions contextOptions;

    @Option(
            names = "--rows",
            paramLabel = "N",
            defaultValue = "8",
            description = "rows of it (default: ${DEFAULT-VALUE})")
    private int rows;

    @Override
    public Integer call() {
        if (rows < 1) throw new InputException("--rows should be at least 1, not " + rows + ".");
        Device device = input.chooseDevice();
        try (var _ = TensorScope.open();
                Sae sae = input.loadSae(device);
                HookedTransformer model = input.loadModel(device, sae)) {
            sae.requireFits(model);
            int context = contextOptions.of(sae, model);
            TextDataset documents = dataset.open(DemoBundle.find().dataset(), input.hub());
            TokenDataset tokens = TokenDataset.tokenizeAndConcatenate(
                    dataset.texts(documents),
                    model.tokenizer(),
                    ChunkingStrategy.CHARACTER_CHUNKS,
                    context,
                    sae.config().prependBos(),
                    rows);
            dataset.tellSkipped(input);
            TutorialMetrics found = TutorialMetrics.run(model, sae, tokens.batch(0, tokens.rows()));
            return report(sae, found) ? 0 : CommandRunner.FAILED;
        }
    }

    private boolean report(Sae sae, TutorialMetrics found) {
        SaeRegistry registry = input.registry();
        SaeRegistry.Entry entry = registry.knows(sae.name()) ? registry.find(sae.name()) : null;
        double l0 = entry != null && !Double.isNaN(entry.l0())
                ? entry.l0()
                : sae.config().reported("l0");
        double variance = entry != null ? entry.varianceExplained() : Double.NaN;
        double foundL0 = found.l0().mean();
        double foundVariance = found.explainedVariance().value();
        boolean l0Fits = Double.isNaN(l0) || foundL0 <= l0 * L0_FACTOR && foundL0 >= l0 / L0_FACTOR;
        // Without a reported value, an SAE that reconstructs worse than the mean activation is still refused.
        boolean varianceFits = foundVariance >= (Double.isNaN(variance) ? 0 : variance - VARIANCE_LOST);
        input.print(String.format(Locale.ROOT, "%n%-20s %10s %10s", "", "expected", "here"));
        line("L0", "%.1f", l0, foundL0, l0Fits);
        line("explained variance", "%.3f", variance, foundVariance, varianceFits);
        line("CE loss score", "%.3f", Double.NaN, found.loss().score(), true);
        if (l0Fits && varianceFits) {
            input.print(
                    Double.isNaN(l0) && Double.isNaN(variance)
                            ? "Nothing is known of what to expect; nothing is absurd."
                            : "It fits.");
            return true;
        }
        System.err.println(
                l0Fits
                        ? String.format(
                                Locale.ROOT,
                                "panascope: explained variance: expected %s, got %.3f: wrong architecture or"
                                        + " processing?",
                                Double.isNaN(variance)
                                        ? "more than 0"
                                        : String.format(Locale.ROOT, "about %.2f", variance),
                                foundVariance)
                        : String.format(
                                Locale.ROOT,
                                "panascope: L0: expected about %,.0f, got %,.0f: wrong architecture or processing?",
                                l0,
                                foundL0));
        return false;
    }

    private void line(String what, String format, double expected, double found, boolean fits) {
        String wanted = Double.isNaN(expected) ? "-" : String.format(Locale.ROOT, format, expected);
        input.print(String.format(
                Locale.ROOT,
                "%-20s %10s %10s%s",
                what,
                wanted,
                String.format(Locale.ROOT, format, found),
                fits ? "" : "  <- far off"));
    }
}
