package io.github.panascope.dashboard;

import java.io.Serializable;
import java.util.Set;

/**
 * The contents of dashboards, under SAEDashboard's names and with its defaults ({@code SaeVisConfig},
 * {@code SequencesConfig} and others).
 *
 * <pre>{@code
 * DashboardConfig config = DashboardConfig.builder()
 *         .buffer(10)
 *         .ignoreTokens(Set.of(50256)) // <|endoftext|>
 *         .performAblationExperiments(true)
 *         .build();
 * }</pre>
 *
 * @param buffer             the number of tokens shown before and after the position that a sequence is about.
 *     Sequences are about positions with {@code buffer + 1} tokens before and {@code buffer} tokens after them. If
 *     negative, sequences are whole rows
 * @param nQuantiles         the number of intervals of equal width from 0 to the largest activation; sequences are
 *     drawn from each interval
 * @param topActsGroupSize   the number of sequences with the highest activations
 * @param quantileGroupSize  the number of sequences drawn from each interval
 * @param topLogitsHoverdata the number of changed logits kept for each token, of each sign
 * @param nBins              the number of bars of a histogram, at least 1
 * @param nLogits            the number of rows of the table of logits, of each sign
 * @param nRows              the number of rows of the tables of neurons and features
 * @param ignoreTokens       ids of tokens, such as 50256, at which features count as zero
 * @param ignorePositions    positions in a row, from 0, at which features count as zero
 * @param ignoreHighActivationNormMultiple features count as zero at positions where the norm of the activation is more
 *     than this multiple of the row's median; positive, infinite to exclude none
 * @param correlatedFeatures the features among which the most correlated ones are chosen
 * @param performAblationExperiments true to run the model again without the feature for each sequence shown
 * @param seed               the seed of the draw of sequences
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
        long seed)
        implements Serializable {
    /** The features among which correlated features are chosen. */
    public enum CorrelationScope {
        /** All features of the SAE. */
        ALL,
        /** Only the features for which dashboards are made, as in SAEDashboard. */
        CHOSEN
    }

    /** SAEDashboard's defaults, except that correlated features are chosen among all. */
    public static final DashboardConfig DEFAULT = new DashboardConfig(
            5, 10, 20, 5, 5, 50, 10, 3, Set.of(), Set.of(), Double.POSITIVE_INFINITY, CorrelationScope.ALL, false, 0);

    /**
     * Checks the numbers and copies the sets.
     *
     * @throws IllegalArgumentException if a number is negative, there are no bars, or the multiple of the norm is not
     *     positive
     */
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

    /** {@return a new builder with the defaults} */
    public static Builder builder() {
        return DEFAULT.toBuilder();
    }

    /** {@return a new builder with the values of this configuration} */
    public Builder toBuilder() {
        return new Builder(this);
    }

    /** A builder that sets the components of a {@link DashboardConfig} one by one. */
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

        /**
         * Sets {@link DashboardConfig#buffer}.
         *
         * @param value the number of tokens before and after the position that a sequence is about; negative for whole
         *     rows
         * @return this builder
         */
        public Builder buffer(int value) {
            buffer = value;
            return this;
        }

        /**
         * Sets {@link DashboardConfig#nQuantiles}.
         *
         * @param value the number of intervals from which sequences are drawn, at least 0
         * @return this builder
         */
        public Builder nQuantiles(int value) {
            nQuantiles = value;
            return this;
        }

        /**
         * Sets {@link DashboardConfig#topActsGroupSize}.
         *
         * @param value the number of sequences with the highest activations, at least 0
         * @return this builder
         */
        public Builder topActsGroupSize(int value) {
            topActsGroupSize = value;
            return this;
        }

        /**
         * Sets {@link DashboardConfig#quantileGroupSize}.
         *
         * @param value the number of sequences drawn from each interval, at least 0
         * @return this builder
         */
        public Builder quantileGroupSize(int value) {
            quantileGroupSize = value;
            return this;
        }

        /**
         * Sets {@link DashboardConfig#topLogitsHoverdata}.
         *
         * @param value the number of changed logits kept for each token, of each sign, at least 0
         * @return this builder
         */
        public Builder topLogitsHoverdata(int value) {
            topLogitsHoverdata = value;
            return this;
        }

        /**
         * Sets {@link DashboardConfig#nBins}.
         *
         * @param value the number of bars of a histogram, at least 1
         * @return this builder
         */
        public Builder nBins(int value) {
            nBins = value;
            return this;
        }

        /**
         * Sets {@link DashboardConfig#nLogits}.
         *
         * @param value the number of rows of the table of logits, of each sign, at least 0
         * @return this builder
         */
        public Builder nLogits(int value) {
            nLogits = value;
            return this;
        }

        /**
         * Sets {@link DashboardConfig#nRows}.
         *
         * @param value the number of rows of the tables of neurons and features, at least 0
         * @return this builder
         */
        public Builder nRows(int value) {
            nRows = value;
            return this;
        }

        /**
         * Sets {@link DashboardConfig#ignoreTokens}.
         *
         * @param value ids of the tokens at which features count as zero
         * @return this builder
         */
        public Builder ignoreTokens(Set<Integer> value) {
            ignoreTokens = value;
            return this;
        }

        /**
         * Sets {@link DashboardConfig#ignorePositions}.
         *
         * @param value positions in a row, from 0, at which features count as zero
         * @return this builder
         */
        public Builder ignorePositions(Set<Integer> value) {
            ignorePositions = value;
            return this;
        }

        /**
         * Sets {@link DashboardConfig#ignoreHighActivationNormMultiple}.
         *
         * @param value the multiple of the row's median norm above which a position is excluded; positive, infinite for
         *     none
         * @return this builder
         */
        public Builder ignoreHighActivationNormMultiple(double value) {
            ignoreHighActivationNormMultiple = value;
            return this;
        }

        /**
         * Sets {@link DashboardConfig#correlatedFeatures}.
         *
         * @param value the features among which the most correlated ones are chosen
         * @return this builder
         */
        public Builder correlatedFeatures(CorrelationScope value) {
            correlatedFeatures = value;
            return this;
        }

        /**
         * Sets {@link DashboardConfig#performAblationExperiments}.
         *
         * @param value true to run the model again without the feature for each sequence shown
         * @return this builder
         */
        public Builder performAblationExperiments(boolean value) {
            performAblationExperiments = value;
            return this;
        }

        /**
         * Sets {@link DashboardConfig#seed}.
         *
         * @param value the seed of the draw of sequences
         * @return this builder
         */
        public Builder seed(long value) {
            seed = value;
            return this;
        }

        /**
         * Builds the configuration.
         *
         * @return the configuration
         * @throws IllegalArgumentException if a number is negative, there are no bars, or the multiple of the norm is
         *     not positive
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
