package io.github.panascope.cli;

import io.github.panascope.InputException;
import io.github.panascope.dashboard.DashboardConfig;
import io.github.panascope.lens.HookedTransformer;
import java.util.List;
import java.util.Set;
import picocli.CommandLine.Option;

/** The options for the contents of dashboards, shared by the commands that write them, also with Apache Spark. */
public final class DashboardOptions {
    private static final int MOST = 10_000;

    @Option(
            names = "--ablation",
            description =
                    "runs the model again without the feature for each sequence: what that does to the loss of each"
                            + " token, and to which logits")
    private boolean ablation;

    @Option(
            names = "--correlated-features",
            paramLabel = "all|chosen",
            defaultValue = "all",
            description =
                    "among which correlated features are looked for (default: ${DEFAULT-VALUE}; SAEDashboard: chosen,"
                            + " which need not encode the others)")
    private DashboardConfig.CorrelationScope correlated;

    @Option(names = "--ignore-bos", description = "features count as zero at the token that begins texts")
    private boolean ignoreBos;

    @Option(
            names = "--ignore-tokens",
            paramLabel = "ID",
            split = ",",
            description = "features count as zero at these tokens")
    private List<Integer> ignoreTokens;

    @Option(
            names = "--ignore-positions",
            paramLabel = "N",
            split = ",",
            description = "features count as zero at these positions")
    private List<Integer> ignorePositions;

    @Option(
            names = "--ignore-high-activation-norm-multiple",
            paramLabel = "X",
            description = "features count as zero where the activation's norm is more than X times its row's median")
    private Double normMultiple;

    @Option(
            names = "--buffer",
            paramLabel = "N",
            defaultValue = "5",
            description = "tokens shown on both sides; -1 for whole rows (default: ${DEFAULT-VALUE})")
    private int buffer;

    @Option(
            names = "--n-quantiles",
            paramLabel = "N",
            defaultValue = "10",
            description = "intervals of activation (default: ${DEFAULT-VALUE})")
    private int nQuantiles;

    @Option(
            names = "--top-acts-group-size",
            paramLabel = "N",
            defaultValue = "20",
            description = "sequences of the highest activations (default: ${DEFAULT-VALUE})")
    private int topActsGroupSize;

    @Option(
            names = "--quantile-group-size",
            paramLabel = "N",
            defaultValue = "5",
            description = "sequences of an interval (default: ${DEFAULT-VALUE})")
    private int quantileGroupSize;

    @Option(
            names = "--seed",
            paramLabel = "N",
            defaultValue = "0",
            description = "of the draw of sequences (default: ${DEFAULT-VALUE})")
    private long seed;

    /** Makes options without values. */
    public DashboardOptions() {}

    /**
     * Returns the contents of the dashboards.
     *
     * @param model   the model
     * @param context the number of tokens in a row
     * @return the contents
     * @throws InputException if an option has a value that cannot be used
     */
    public DashboardConfig of(HookedTransformer model, int context) {
        if (nQuantiles < 0 || topActsGroupSize < 0 || quantileGroupSize < 0)
            throw new InputException(
                    "--n-quantiles, --top-acts-group-size and --quantile-group-size should not be negative.");
        if (buffer < -1)
            throw new InputException("--buffer should be 0 or more, or -1 for whole rows, not " + buffer + ".");
        if (Math.max(nQuantiles, Math.max(topActsGroupSize, quantileGroupSize)) > MOST)
            throw new InputException(
                    "--n-quantiles, --top-acts-group-size and --quantile-group-size should be at most " + MOST + ".");
        if (buffer >= 0 && 2L * buffer + 1 >= context)
            throw new InputException("--buffer " + buffer + " leaves no position in rows of " + context
                    + " tokens: -1 shows whole rows.");
        if (normMultiple != null && !(normMultiple > 0))
            throw new InputException(
                    "--ignore-high-activation-norm-multiple should be positive, not " + normMultiple + ".");
        Set<Integer> ignored = FeatureOptions.numbers(
                "--ignore-tokens", ignoreTokens, model.config().dVocab());
        if (ignoreBos) ignored.add(model.tokenizer().bos());
        return DashboardConfig.builder()
                .ignoreTokens(ignored)
                .ignorePositions(FeatureOptions.numbers("--ignore-positions", ignorePositions, context))
                .ignoreHighActivationNormMultiple(normMultiple == null ? Double.POSITIVE_INFINITY : normMultiple)
                .correlatedFeatures(correlated)
                .performAblationExperiments(ablation)
                .buffer(buffer)
                .nQuantiles(nQuantiles)
                .topActsGroupSize(topActsGroupSize)
                .quantileGroupSize(quantileGroupSize)
                .seed(seed)
                .build();
    }
}
