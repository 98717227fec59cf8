package io.github.panascope.dashboard;

import java.util.Set;

/**
 * What dashboards hold, under SAEDashboard's names and with its defaults ({@code SaeVisConfig}, {@code SequencesConfig}
 * and the others).
 *
 * @param buffer             tokens shown before and after the one that a sequence is about; negative for whole rows.
 *     Sequences are about positions that have so many before (and one more) and after them
 * @param nQuantiles         intervals of equal width from 0 to the maximum, from each of which sequences are drawn
 * @param topActsGroupSize   sequences with the highest activations
 * @param quantileGroupSize  sequences of an interval
 * @param topLogitsHoverdata changed logits that are kept for each token, of each sign
 * @param nBins              bars of histograms
 * @param nLogits            rows of the table of logits, of each sign
 * @param nRows              rows of the tables of neurons and features
 * @param ignoreTokens       tokens at which features count as zero, such as 50256
 * @param ignorePositions    positions at which they do
 * @param ignoreHighActivationNormMultiple positions at which they do, where the activation's norm is more than this
 *     times the row's median; infinite for none
 * @param correlatedFeatures among which features the most correlated ones are looked for: all of the SAE, or those that
 *     are asked for, as SAEDashboard does
 * @param performAblationExperiments whether the model is run again without the feature for each sequence shown
 * @param seed               of the draw of sequences
 */
public record DashboardConfig(
        int buffer,
        int nQuantiles,
        int topActsGroupSize,
        int quantileGroupSize,
        int topLogitsHoverdata,
        int nBins,
        int nLogits,
        int nRows,
        Set<Integer> ignoreTokens,
        Set<Integer> ignorePositions,
        double ignoreHighActivationNormMultiple,
        Among correlatedFeatures,
        boolean performAblationExperiments,
        long seed) {
    /** Among which features correlated ones are looked for. */
    public enum Among {
        ALL,
        CHOSEN
    }

    /** SAEDashboard's defaults, but with correlated features among all. */
    public static final DashboardConfig DEFAULT = new DashboardConfig(
            5, 10, 20, 5, 5, 50, 10, 3, Set.of(), Set.of(), Double.POSITIVE_INFINITY, Among.ALL, false, 0);

    /** Checks the numbers and copies the sets. */
    public DashboardConfig {
        if (nQuantiles < 0
                || topActsGroupSize < 0
                || quantileGroupSize < 0
                || topLogitsHoverdata < 0
                || nBins < 1
                || nLogits < 0
                || nRows < 0)
            throw new IllegalArgumentException("numbers of groups, bars and rows should not be negative");
        if (!(ignoreHighActivationNormMultiple > 0))
            throw new IllegalArgumentException(
                    "ignoreHighActivationNormMultiple should be positive, not " + ignoreHighActivationNormMultiple);
        ignoreTokens = Set.copyOf(ignoreTokens);
        ignorePositions = Set.copyOf(ignorePositions);
    }

    /** The same with positions at which features count as zero. */
    public DashboardConfig ignoring(Set<Integer> tokens, Set<Integer> positions, double highActivationNormMultiple) {
        return new DashboardConfig(
                buffer,
                nQuantiles,
                topActsGroupSize,
                quantileGroupSize,
                topLogitsHoverdata,
                nBins,
                nLogits,
                nRows,
                tokens,
                positions,
                highActivationNormMultiple,
                correlatedFeatures,
                performAblationExperiments,
                seed);
    }

    /** The same with correlated features among others. */
    public DashboardConfig correlatedFeatures(Among among) {
        return new DashboardConfig(
                buffer,
                nQuantiles,
                topActsGroupSize,
                quantileGroupSize,
                topLogitsHoverdata,
                nBins,
                nLogits,
                nRows,
                ignoreTokens,
                ignorePositions,
                ignoreHighActivationNormMultiple,
                among,
                performAblationExperiments,
                seed);
    }

    /** The same with or without ablations. */
    public DashboardConfig performAblationExperiments(boolean perform) {
        return new DashboardConfig(
                buffer,
                nQuantiles,
                topActsGroupSize,
                quantileGroupSize,
                topLogitsHoverdata,
                nBins,
                nLogits,
                nRows,
                ignoreTokens,
                ignorePositions,
                ignoreHighActivationNormMultiple,
                correlatedFeatures,
                perform,
                seed);
    }

    /** The same with whole rows, or other numbers of tokens around. */
    public DashboardConfig buffer(int tokens) {
        return new DashboardConfig(
                tokens,
                nQuantiles,
                topActsGroupSize,
                quantileGroupSize,
                topLogitsHoverdata,
                nBins,
                nLogits,
                nRows,
                ignoreTokens,
                ignorePositions,
                ignoreHighActivationNormMultiple,
                correlatedFeatures,
                performAblationExperiments,
                seed);
    }

    /** The same with other groups of sequences. */
    public DashboardConfig groups(int quantiles, int top, int each) {
        return new DashboardConfig(
                buffer,
                quantiles,
                top,
                each,
                topLogitsHoverdata,
                nBins,
                nLogits,
                nRows,
                ignoreTokens,
                ignorePositions,
                ignoreHighActivationNormMultiple,
                correlatedFeatures,
                performAblationExperiments,
                seed);
    }

    /** The same with another draw. */
    public DashboardConfig seed(long other) {
        return new DashboardConfig(
                buffer,
                nQuantiles,
                topActsGroupSize,
                quantileGroupSize,
                topLogitsHoverdata,
                nBins,
                nLogits,
                nRows,
                ignoreTokens,
                ignorePositions,
                ignoreHighActivationNormMultiple,
                correlatedFeatures,
                performAblationExperiments,
                other);
    }
}
