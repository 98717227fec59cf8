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
        CorrelationScope correlatedFeatures,
        boolean performAblationExperiments,
        long seed) {
    /** Among which features correlated ones are looked for. */
    public enum CorrelationScope {
        ALL,
        CHOSEN
    }

    /** SAEDashboard's defaults, but with correlated features among all. */
    public static final DashboardConfig DEFAULT = new DashboardConfig(
            5, 10, 20, 5, 5, 50, 10, 3, Set.of(), Set.of(), Double.POSITIVE_INFINITY, CorrelationScope.ALL, false, 0);

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

    /** A builder that begins with the defaults. */
    public static Builder builder() {
        return DEFAULT.toBuilder();
    }

    /** A builder that begins with these settings. */
    public Builder toBuilder() {
        return new Builder(this);
    }

    /** Settings that are chosen one by one; each is described at the component of its name. */
    public static final class Builder {
        private int buffer;
        private int nQuantiles;
        private int topActsGroupSize;
        private int quantileGroupSize;
        private int topLogitsHoverdata;
        private int nBins;
        private int nLogits;
        private int nRows;
        private Set<Integer> ignoreTokens;
        private Set<Integer> ignorePositions;
        private double ignoreHighActivationNormMultiple;
        private CorrelationScope correlatedFeatures;
        private boolean performAblationExperiments;
        private long seed;

        private Builder(DashboardConfig config) {
            buffer = config.buffer;
            nQuantiles = config.nQuantiles;
            topActsGroupSize = config.topActsGroupSize;
            quantileGroupSize = config.quantileGroupSize;
            topLogitsHoverdata = config.topLogitsHoverdata;
            nBins = config.nBins;
            nLogits = config.nLogits;
            nRows = config.nRows;
            ignoreTokens = config.ignoreTokens;
            ignorePositions = config.ignorePositions;
            ignoreHighActivationNormMultiple = config.ignoreHighActivationNormMultiple;
            correlatedFeatures = config.correlatedFeatures;
            performAblationExperiments = config.performAblationExperiments;
            seed = config.seed;
        }

        /** Sets {@link DashboardConfig#buffer}. */
        public Builder buffer(int value) {
            buffer = value;
            return this;
        }

        /** Sets {@link DashboardConfig#nQuantiles}. */
        public Builder nQuantiles(int value) {
            nQuantiles = value;
            return this;
        }

        /** Sets {@link DashboardConfig#topActsGroupSize}. */
        public Builder topActsGroupSize(int value) {
            topActsGroupSize = value;
            return this;
        }

        /** Sets {@link DashboardConfig#quantileGroupSize}. */
        public Builder quantileGroupSize(int value) {
            quantileGroupSize = value;
            return this;
        }

        /** Sets {@link DashboardConfig#topLogitsHoverdata}. */
        public Builder topLogitsHoverdata(int value) {
            topLogitsHoverdata = value;
            return this;
        }

        /** Sets {@link DashboardConfig#nBins}. */
        public Builder nBins(int value) {
            nBins = value;
            return this;
        }

        /** Sets {@link DashboardConfig#nLogits}. */
        public Builder nLogits(int value) {
            nLogits = value;
            return this;
        }

        /** Sets {@link DashboardConfig#nRows}. */
        public Builder nRows(int value) {
            nRows = value;
            return this;
        }

        /** Sets {@link DashboardConfig#ignoreTokens}. */
        public Builder ignoreTokens(Set<Integer> value) {
            ignoreTokens = value;
            return this;
        }

        /** Sets {@link DashboardConfig#ignorePositions}. */
        public Builder ignorePositions(Set<Integer> value) {
            ignorePositions = value;
            return this;
        }

        /** Sets {@link DashboardConfig#ignoreHighActivationNormMultiple}. */
        public Builder ignoreHighActivationNormMultiple(double value) {
            ignoreHighActivationNormMultiple = value;
            return this;
        }

        /** Sets {@link DashboardConfig#correlatedFeatures}. */
        public Builder correlatedFeatures(CorrelationScope value) {
            correlatedFeatures = value;
            return this;
        }

        /** Sets {@link DashboardConfig#performAblationExperiments}. */
        public Builder performAblationExperiments(boolean value) {
            performAblationExperiments = value;
            return this;
        }

        /** Sets {@link DashboardConfig#seed}. */
        public Builder seed(long value) {
            seed = value;
            return this;
        }

        /**
         * The settings.
         *
         * @throws IllegalArgumentException if a number is negative, or there are no bars
         */
        public DashboardConfig build() {
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
                    seed);
        }
    }
}
