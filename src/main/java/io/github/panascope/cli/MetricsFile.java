package io.github.panascope.cli;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import io.github.panascope.dashboard.FeatureDashboard;
import io.github.panascope.lens.TestPrompt;
import io.github.panascope.metrics.DownstreamLoss;
import io.github.panascope.metrics.TutorialMetrics;
import io.github.panascope.tokens.Tokenizer;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.MapperFeature;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * The content of {@code metrics.json}. Its names are stable, because other programs read them. Losses are in nats,
 * l0_histogram has the number of positions with L0 = i at index i, and seconds are wall time.
 */
@JsonPropertyOrder(alphabetic = false)
record MetricsFile(
        String model,
        String sae,
        String hook,
        String device,
        String dtype,

        @JsonProperty("dtype_error") @JsonInclude(JsonInclude.Include.NON_NULL)
        DTypeError dtypeError,

        int rows,
        @JsonProperty("context_size") int contextSize,
        String tokenization,
        @JsonProperty("n_rows_total") long nRowsTotal,
        @JsonProperty("l0_mean") double l0Mean,
        @JsonProperty("l0_histogram") long[] l0Histogram,
        @JsonProperty("ce_orig") double ceOrig,
        @JsonProperty("ce_reconstr") double ceReconstr,
        @JsonProperty("ce_zero") double ceZero,
        Prompt prompt,
        @JsonProperty("neuronpedia_quick_list") String neuronpediaQuickList,
        @JsonProperty("dashboard_rows") int dashboardRows,
        List<Feature> features,
        Map<String, String> versions,
        Map<String, Double> seconds) {

    /**
     * The differences between the metrics in another dtype and in float32, measured on some of the rows. Absent if the
     * dtype is float32.
     */
    record DTypeError(
            int rows,
            @JsonProperty("l0_mean") double l0Mean,
            @JsonProperty("ce_orig") double ceOrig,
            @JsonProperty("ce_reconstr") double ceReconstr,
            @JsonProperty("ce_zero") double ceZero) {
        static DTypeError of(int rows, TutorialMetrics here, TutorialMetrics exact) {
            return new DTypeError(
                    rows,
                    here.l0().mean() - exact.l0().mean(),
                    here.loss().original() - exact.loss().original(),
                    here.loss().reconstructed() - exact.loss().reconstructed(),
                    here.loss().zero() - exact.loss().zero());
        }
    }

    /**
     * The results for a prompt. {@code tokens} are its token ids; {@code rank} is the rank of the answer's first token,
     * from 0.
     */
    record Prompt(
            String text,
            String answer,
            long[] tokens,
            int rank,
            @JsonProperty("ce_orig") double ceOrig,
            @JsonProperty("ce_reconstr") double ceReconstr,
            @JsonProperty("ce_zero") double ceZero,
            List<Candidate> top,
            @JsonProperty("top_reconstructed") List<Candidate> topReconstructed) {

        static Prompt of(
                PromptOptions options, long[] tokens, TestPrompt plain, DownstreamLoss loss, TestPrompt reconstructed) {
            return new Prompt(
                    options.prompt,
                    options.answer,
                    tokens,
                    plain.positions().get(0).answers().get(0).rank(),
                    loss.original(),
                    loss.reconstructed(),
                    loss.zero(),
                    Candidate.top(plain),
                    Candidate.top(reconstructed));
        }
    }

    /** A feature with a dashboard. Density and maximum are over the rows of the dashboard. */
    record Feature(
            int feature,
            double density,
            double max,
            @JsonProperty("top_tokens") List<String> topTokens,
            @JsonProperty("promoted_tokens") List<String> promotedTokens) {
        private static final int TOKENS = 5;

        static Feature of(FeatureDashboard dashboard, Tokenizer tokenizer) {
            int[] promoted = dashboard.logitsTable() == null
                    ? new int[0]
                    : dashboard.logitsTable().topTokenIds();
            return new Feature(
                    dashboard.feature(),
                    dashboard.statistics().density(),
                    dashboard.statistics().max(),
                    first(tokenizer.tokens(dashboard.strongestTokenIds())),
                    first(tokenizer.tokens(promoted)));
        }

        private static List<String> first(List<String> tokens) {
            return tokens.subList(0, Math.min(TOKENS, tokens.size()));
        }
    }

    /** A candidate for the next token. */
    record Candidate(String token, double logit, double prob) {
        static List<Candidate> top(TestPrompt result) {
            return result.positions().get(0).top().stream()
                    .map(c -> new Candidate(c.token(), c.logit(), c.prob()))
                    .toList();
        }
    }

    String toJson() {
        return JsonMapper.builder()
                        .enable(SerializationFeature.INDENT_OUTPUT)
                        .disable(MapperFeature.SORT_PROPERTIES_ALPHABETICALLY)
                        .build()
                        .writeValueAsString(this)
                + "\n";
    }
}
