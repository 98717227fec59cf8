package io.github.panascope.cli;

import io.github.panascope.InputException;
import io.github.panascope.data.TextDataset;
import io.github.panascope.internal.AtomicFile;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.metrics.SaeEvals;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.TensorScope;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

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

    @Option(names = "--include-special-tokens", description = "count positions of special tokens too")
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
        EvalReport report = new EvalReport(
                input.saeName(),
                name,
                context,
                rows,
                new EvalReport.Batches(batchSizePrompts, reconstructionBatches, sparsityBatches),
                !includeSpecialTokens,
                evals);
        report.lines().forEach(input::print);
        if (json != null) {
            AtomicFile.write(json, report.json(sae));
            input.print("Wrote " + json);
        }
        if (csv != null) {
            AtomicFile.write(csv, report.csv());
            input.print("Wrote " + csv);
        }
    }
}
