package io.github.panascope.cli;

import io.github.panascope.hub.AtomicFile;
import io.github.panascope.hub.Dataset;
import io.github.panascope.hub.InputException;
import io.github.panascope.lens.HookNames;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.Hooks;
import io.github.panascope.lens.PythonText;
import io.github.panascope.lens.TestPrompt;
import io.github.panascope.lens.TokenDataset;
import io.github.panascope.lens.Tokenization;
import io.github.panascope.metrics.DownstreamLoss;
import io.github.panascope.metrics.SaeEvaluation;
import io.github.panascope.sae.Neuronpedia;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Torch;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import java.util.function.Supplier;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The tutorial, step by step as in the notebook. */
@Command(name = "tutorial", mixinStandardHelpOptions = true, sortOptions = false,
        description = "Walks SAELens's tutorial: loads an SAE and its model, tokenizes, L0 and its histogram, the three losses, test_prompt with and without the SAE, Neuronpedia.")
final class TutorialCommand implements Callable<Integer> {
    private static final int TOP_K = 10;
    /** Where the SAE does not say in which context it was trained. */
    private static final int DEFAULT_CONTEXT = 128;

    @Mixin private InputOptions input;
    @Mixin private DatasetOptions dataset;
    @Mixin private PromptOptions prompt;
    @Mixin private FeatureOptions features;

    @Option(names = "--rows", paramLabel = "N", defaultValue = "32", description = "rows of the dataset for L0 and the losses (default: ${DEFAULT-VALUE})")
    private int rows;

    @Option(names = "--tokenization", paramLabel = "character-chunks|whitespace-chunks|per-document", defaultValue = "character-chunks", description = "TransformerLens's algorithm until 2.17 (default), of 2.18, or of later 3.x")
    private String tokenization;

    @Option(names = "--out", paramLabel = "DIR", defaultValue = "panascope-out", description = "for metrics.json and l0_histogram.html (default: ${DEFAULT-VALUE})")
    private Path out;

    @Option(names = "--json", paramLabel = "FILE", description = "writes metrics.json here too")
    private Path json;

    private final Map<String, Double> seconds = new LinkedHashMap<>();

    @Override
    public Integer call() {
        Instant processStart = ProcessHandle.current().info().startInstant().orElse(Instant.now());
        checkOptions();
        Tokenization algorithm = Tokenizations.of(tokenization);
        Dataset named = dataset.isNamed() ? dataset.open(null, input.hub()) : null; // a complaint before anything takes time
        Torch.version(); // loads libtorch, which is part of starting up
        seconds.put("startup", since(processStart));
        Device device = input.chooseDevice();
        try (var _ = TensorScope.open(); Sae sae = timed("load_sae", () -> input.loadSae(device));
                HookedTransformer model = timed("load_model", () -> input.loadModel(device, sae))) {
            sae.requireFits(model);
            prompt.check(model);
            List<Integer> chosen = features.list(sae.config().dSae());
            int context = contextSize(sae, model);
            Dataset documents = named != null ? named : dataset.open(input.defaultDataset(), input.hub());
            String how = documents.isTokenized() ? "pre-tokenized" : algorithm.toString();
            TokenDataset tokens = timed("tokenize", () -> tokenize(documents, model, sae, algorithm, context));
            int used = tokens.rows();
            input.print("Tokenized " + tokens.documents() + " documents into " + tokens.rowsInAll() + " rows of " + context + " tokens (" + how + ")"
                    + (used < rows ? "; fewer than the " + rows + " rows asked for" : ""));
            SaeEvaluation evaluation = timed("metrics", () -> evaluate(model, sae, tokens, used));
            Metrics.Prompt result = timed("prompt", () -> prompt(model, sae));
            String list = neuronpedia(sae, chosen);
            seconds.put("total", since(processStart));
            write(new Metrics(input.modelName(sae), input.saeName(), sae.config().hookName(), device.toString().replace(":0", ""), sae.dtype().toString(), used, context,
                    how, tokens.rowsInAll(), evaluation.l0().mean(), evaluation.l0().histogram(), evaluation.loss().original(),
                    evaluation.loss().reconstructed(), evaluation.loss().zero(), result, list, versions(), seconds), evaluation);
        }
        return 0;
    }

    // ------------------------------------------------------------------------------------------------- the steps

    /** The rows that are used, of all that there are. */
    private TokenDataset tokenize(Dataset documents, HookedTransformer model, Sae sae, Tokenization algorithm, int context) {
        try (Progress progress = new Progress("Tokenizing documents", input.quiet())) {
            long[] done = {0};
            if (documents.isTokenized()) return TokenDataset.ofTokens(consumer -> documents.forEachTokens(counted(consumer, done, progress)), model.config().dVocab(), context, rows);
            return TokenDataset.tokenizeAndConcatenate(consumer -> documents.forEach(counted(consumer, done, progress)), model.tokenizer(), algorithm, context, sae.config().prependBos(), rows);
        }
    }

    private static <T> Consumer<T> counted(Consumer<T> consumer, long[] done, Progress progress) {
        return document -> {
            consumer.accept(document);
            progress.update(++done[0], 0);
        };
    }

    private SaeEvaluation evaluate(HookedTransformer model, Sae sae, TokenDataset tokens, int used) {
        SaeEvaluation evaluation;
        try (var _ = TensorScope.open(); Progress progress = new Progress("L0 and losses, rows", input.quiet())) {
            evaluation = SaeEvaluation.run(model, sae, tokens.batch(0, used), done -> progress.update(done, used));
        }
        input.print("average l0 " + evaluation.l0().mean());
        printLosses(evaluation.loss());
        input.print("CE loss score " + PythonText.fixed(evaluation.loss().score(), 4));
        return evaluation;
    }

    private Metrics.Prompt prompt(HookedTransformer model, Sae sae) {
        List<String> answer = List.of(prompt.answer);
        TestPrompt plain = TestPrompt.run(model, prompt.prompt, answer, Hooks.NONE, TOP_K);
        input.print(plain.format());
        try (var _ = TensorScope.open()) {
            Tensor tokens = model.toTokens(prompt.prompt);
            DownstreamLoss loss = SaeEvaluation.run(model, sae, tokens).loss();
            printLosses(loss);
            input.print("");
            TestPrompt reconstructed = TestPrompt.run(model, prompt.prompt, answer, reconstruction(model, sae, tokens, plain.positions().size()), TOP_K);
            input.print(reconstructed.format());
            return Metrics.Prompt.of(prompt, tokens.toLongs(), plain, loss, reconstructed);
        }
    }

    /**
     * As in the notebook's last cell the reconstruction of the prompt alone takes the place of prompt and answer, a position too short. That fits where all
     * that follows comes from it, the residual stream, and where a single token is asked for; elsewhere what is there is reconstructed.
     */
    private Hooks reconstruction(HookedTransformer model, Sae sae, Tensor tokens, int answerTokens) {
        String hook = sae.config().hookName();
        if (!HookNames.isBottleneck(hook) || !hook.equals(sae.config().hookNameOut()) || answerTokens > 1) {
            input.print("Reconstructing prompt and answer: the notebook's way, the prompt alone, fits a residual stream and an answer of one token.");
            return sae.asHooks();
        }
        var cached = model.forward(tokens).caching(hook::equals);
        cached.lossPerToken();
        Tensor activation = cached.cache().get(hook);
        Tensor reconstruction = sae.reconstruct(activation).to(activation.dtype());
        return Hooks.at(hook, (whole, name) -> reconstruction);
    }

    private String neuronpedia(Sae sae, List<Integer> chosen) {
        String list = Neuronpedia.quickList(sae.config(), chosen, "temporary_list").orElse(null);
        input.print(list != null ? list : "No Neuronpedia list: the SAE's configuration has no neuronpedia_id. Features: " + chosen);
        return list;
    }

    private void write(Metrics metrics, SaeEvaluation evaluation) {
        AtomicFile.write(out.resolve("metrics.json"), metrics.toJson());
        AtomicFile.write(out.resolve("l0_histogram.html"), L0Page.of(evaluation.l0(), metrics.sae(), metrics.hook()));
        if (json != null) AtomicFile.write(json, metrics.toJson());
        input.print("Wrote " + out.resolve("metrics.json") + ", " + out.resolve("l0_histogram.html") + (json == null ? "" : ", " + json));
    }

    // ------------------------------------------------------------------------------------------------- the rest

    private void printLosses(DownstreamLoss loss) {
        input.print("Orig " + loss.original());
        input.print("reconstr " + loss.reconstructed());
        input.print("Zero " + loss.zero());
    }

    private void checkOptions() {
        if (rows < 1) throw new InputException("--rows should be at least 1, not " + rows + ".");
        if (Files.exists(out) && !Files.isDirectory(out)) throw new InputException("--out " + out + " is a file, not a folder.");
        Path parent = out.toAbsolutePath();
        while (!Files.exists(parent)) parent = parent.getParent();
        if (!Files.isDirectory(parent) || !Files.isWritable(parent)) throw new InputException("--out " + out + " cannot be made: " + parent + " is " + (Files.isDirectory(parent) ? "not writable." : "a file."));
        if (json != null && Files.isDirectory(json)) throw new InputException("--json " + json + " is a folder, not a file.");
    }

    private static int contextSize(Sae sae, HookedTransformer model) {
        int context = sae.config().contextSize() > 0 ? sae.config().contextSize() : Math.min(DEFAULT_CONTEXT, model.config().nCtx());
        if (context > model.config().nCtx()) {
            throw new InputException("the SAE's context_size of " + context + " is longer than the model's n_ctx of " + model.config().nCtx() + ".");
        }
        if (context < 2) throw new InputException("the SAE's context_size should be at least 2, not " + context + ".");
        return context;
    }

    private static Map<String, String> versions() {
        Map<String, String> versions = new LinkedHashMap<>();
        versions.put("panascope", Version.number());
        versions.put("libtorch", Torch.version());
        versions.put("java", Runtime.version().toString());
        return versions;
    }

    private <T> T timed(String step, Supplier<T> work) {
        long start = System.nanoTime();
        T result = work.get();
        seconds.put(step, (System.nanoTime() - start) / 1e9);
        return result;
    }

    private static double since(Instant start) {
        return Duration.between(start, Instant.now()).toMillis() / 1e3;
    }
}
