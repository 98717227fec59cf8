package io.github.panascope.cli;

import io.github.panascope.InputException;
import io.github.panascope.Panascope;
import io.github.panascope.data.TextDataset;
import io.github.panascope.internal.AtomicFile;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.metrics.SaeEvals;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.TensorScope;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import tools.jackson.core.json.JsonReadFeature;
import tools.jackson.core.json.JsonWriteFeature;
import tools.jackson.databind.MapperFeature;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/** The command {@code eval}, which computes every metric of sae_lens.evals. */
@Command(
        name = "eval",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description =
                "Every metric of sae_lens.evals: what an SAE keeps of the model's behaviour, how it reconstructs, how"
                    + " sparse it is. Rows are made as SAELens's ActivationsStore makes them, in the dataset's order"
                    + " (SAELens shuffles them first).")
final class EvalCommand implements Callable<Integer> {
    /** Writes the values of an SAE's configuration unchanged, NaN included. */
    private static final JsonMapper JSON = JsonMapper.builder()
            .enable(SerializationFeature.INDENT_OUTPUT)
            .disable(MapperFeature.SORT_PROPERTIES_ALPHABETICALLY)
            .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
            .disable(JsonWriteFeature.WRITE_NAN_AS_STRINGS)
            .build();

    @Mixin
    private InputOptions input;

    @Mixin
    private DatasetOptions dataset;

    @Mixin
    private ContextOptions contextOptions;

    @Option(
            names = "--batch-size-prompts",
            paramLabel = "N",
            defaultValue = "16",
            description = "rows in a batch (default: ${DEFAULT-VALUE})")
    private int batchSizePrompts;

    @Option(
            names = "--n-eval-reconstruction-batches",
            paramLabel = "N",
            defaultValue = "10",
            description = "batches for KL and losses (default: ${DEFAULT-VALUE})")
    private int reconstructionBatches;

    @Option(
            names = "--n-eval-sparsity-variance-batches",
            paramLabel = "N",
            defaultValue = "1",
            description = "of these, batches for the rest (default: ${DEFAULT-VALUE})")
    private int sparsityBatches;

    @Option(names = "--include-special-tokens", description = "count positions of <|endoftext|> too")
    private boolean includeSpecialTokens;

    @Option(
            names = "--json",
            paramLabel = "FILE",
            description = "writes all metrics, those of features too, as SAELens does")
    private Path json;

    @Option(names = "--csv", paramLabel = "FILE", description = "writes the metrics as a table of one row")
    private Path csv;

    @Override
    public Integer call() {
        if (batchSizePrompts < 1 || reconstructionBatches < 1 || sparsityBatches < 1)
            throw new InputException("--batch-size-prompts and the numbers of batches should be at least 1.");
        if (sparsityBatches > reconstructionBatches)
            throw new InputException("--n-eval-sparsity-variance-batches " + sparsityBatches
                    + " should be at most --n-eval-reconstruction-batches " + reconstructionBatches + ".");
        Outputs.requireFile("--json", json);
        Outputs.requireFile("--csv", csv);
        Outputs.requireDifferent(json, csv);
        TextDataset named =
                dataset.isNamed() || input.demo() ? dataset.open(input.defaultDataset(), input.hub()) : null;
        List<Path> read = input.files();
        if (named != null) read.addAll(named.files());
        Outputs.requireUnread("--json", json, read, null);
        Outputs.requireUnread("--csv", csv, read, null);
        Device device = input.chooseDevice();
        try (var _ = TensorScope.open();
                Sae sae = input.loadSae(device);
                HookedTransformer model = input.loadModel(device, sae)) {
            sae.requireFits(model);
            int context = contextOptions.of(sae, model);
            TextDataset documents = named != null ? named : dataset.open(input.defaultDataset(), input.hub());
            TokenDataset tokens = tokens(documents, model, sae, context);
            dataset.tellSkipped(input);
            SaeEvals evals;
            int rows = tokens.rows();
            try (Progress progress = new Progress("Evaluating rows", input.quiet())) {
                evals = SaeEvals.run(
                        model,
                        sae,
                        tokens.batch(0, rows),
                        batchSizePrompts,
                        batchSizePrompts * sparsityBatches,
                        !includeSpecialTokens,
                        done -> progress.update(done, rows));
            }
            report(sae, evals, rows, context, !dataset.isNamed() && input.demo() ? "demo" : documents.name());
        }
        return 0;
    }

    private TokenDataset tokens(TextDataset documents, HookedTransformer model, Sae sae, int context) {
        int rows = Math.multiplyExact(batchSizePrompts, reconstructionBatches);
        return documents.isTokenized()
                ? TokenDataset.ofTokens(documents::forEachTokens, model.config().dVocab(), context, rows)
                : TokenDataset.concatAndBatchSequences(
                        dataset.texts(documents),
                        model.tokenizer(),
                        context,
                        sae.config().prependBos(),
                        rows);
    }

    private void report(Sae sae, SaeEvals evals, int rows, int context, String name) {
        Map<String, Map<String, Double>> metrics = new LinkedHashMap<>(evals.metrics());
        Map<String, Double> tokens = new LinkedHashMap<>();
        tokens.put("total_tokens_eval_reconstruction", (double) rows * context);
        tokens.put(
                "total_tokens_eval_sparsity_variance",
                (double) Math.min(rows, batchSizePrompts * sparsityBatches) * context);
        metrics.put("token_stats", tokens);
        metrics.forEach((group, values) -> {
            input.print(group);
            values.forEach((metric, value) -> input.print(String.format(Locale.ROOT, "  %-36s %.6g", metric, value)));
        });
        String[] parts = input.saeName().split("/", 2);
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("unique_id", parts.length == 2 ? parts[0] + "-" + parts[1] : parts[0]);
        result.put("sae_set", parts[0]);
        result.put("sae_id", parts[parts.length - 1]);
        Map<String, Object> config = new LinkedHashMap<>();
        config.put("context_size", context);
        config.put("dataset", name);
        config.put("library_version", "panascope " + Panascope.version());
        config.put("formulas", SaeEvals.FORMULAS);
        config.put("batch_size_prompts", batchSizePrompts);
        config.put("n_eval_reconstruction_batches", reconstructionBatches);
        config.put("n_eval_sparsity_variance_batches", sparsityBatches);
        config.put("exclude_special_tokens", !includeSpecialTokens);
        result.put("eval_cfg", config);
        result.put("metrics", cleaned(metrics));
        if (json != null) {
            result.put("feature_metrics", cleaned(evals.featureMetrics(sae)));
            result.put("sae_cfg", JSON.readTree(sae.config().toJson(sae.dtype().toString())));
            AtomicFile.write(json, JSON.writeValueAsString(result) + "\n");
            input.print("Wrote " + json);
        }
        if (csv != null) {
            Map<String, String> row = new LinkedHashMap<>();
            for (String key : new String[] {"unique_id", "sae_set", "sae_id"}) row.put(key, (String) result.get(key));
            config.forEach((key, value) -> row.put("eval_cfg." + key, String.valueOf(value)));
            metrics.forEach((group, values) -> values.forEach(
                    (metric, value) -> row.put("metrics." + group + "." + metric, String.valueOf(number(value)))));
            AtomicFile.write(csv, line(row.keySet()) + line(row.values()));
            input.print("Wrote " + csv);
        }
    }

    private static String line(Collection<String> cells) {
        return cells.stream()
                .map(cell -> cell.matches("[^\",\r\n]*") ? cell : '"' + cell.replace("\"", "\"\"") + '"')
                .collect(Collectors.joining(",", "", "\n"));
    }

    /** Replaces NaN by -1, as SAELens does. */
    private static double number(double value) {
        return Double.isNaN(value) ? -1 : value;
    }

    private static Map<String, Object> cleaned(Map<String, ?> values) {
        Map<String, Object> clean = new LinkedHashMap<>();
        values.forEach((key, value) -> clean.put(
                key,
                switch (value) {
                    case Map<?, ?> inner ->
                        cleaned(inner.entrySet().stream()
                                .collect(Collectors.toMap(
                                        entry -> (String) entry.getKey(),
                                        Map.Entry::getValue,
                                        (a, b) -> a,
                                        LinkedHashMap::new)));
                    case double[] many ->
                        Arrays.stream(many).map(EvalCommand::number).toArray();
                    case Double one -> number(one);
                    default -> value;
                }));
        return clean;
    }
}
