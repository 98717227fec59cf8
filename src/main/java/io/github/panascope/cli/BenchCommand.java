package io.github.panascope.cli;

import io.github.panascope.InputException;
import io.github.panascope.Panascope;
import io.github.panascope.dashboard.DashboardConfig;
import io.github.panascope.dashboard.DashboardPage;
import io.github.panascope.dashboard.Dashboards;
import io.github.panascope.dashboard.FeatureCollector;
import io.github.panascope.dashboard.FeatureStore;
import io.github.panascope.dashboard.StoreIdentity;
import io.github.panascope.data.TextDataset;
import io.github.panascope.hub.Hub;
import io.github.panascope.internal.AtomicFile;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.lens.RowsAtOnce;
import io.github.panascope.metrics.L0;
import io.github.panascope.metrics.TutorialMetrics;
import io.github.panascope.sae.Sae;
import io.github.panascope.tokens.ChunkingStrategy;
import io.github.panascope.tokens.TokenDataset;
import io.github.panascope.tokens.Tokenizer;
import io.github.panascope.torch.DType;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.Shape;
import io.github.panascope.torch.Tensor;
import io.github.panascope.torch.TensorScope;
import io.github.panascope.torch.Torch;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import tools.jackson.databind.json.JsonMapper;

/** The command that times the tutorial's work on a model and an SAE with random weights of GPT-2 small's shape. */
@Command(
        name = "bench",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description =
                "Times the tutorial's work on random weights of GPT-2 small's shape with an SAE of 24,576 features"
                    + " (650 MB in a temporary folder). Machines differ and are busy: look at the ratios, to the rate"
                    + " of plain matrix products measured beside each.")
final class BenchCommand implements Callable<Integer> {
    static final int WIDTH = 768;
    static final int LAYERS = 12;
    static final int CONTEXT = 128;
    static final int L0 = 69;
    private static final int ELEVEN = 11;
    private static final int TEXT_BYTES = 5_000_000;
    private static final String PROMPT = "When John and Mary went to the shops, John gave the bag to";

    @Option(
            names = "--rows",
            paramLabel = "N",
            defaultValue = "32",
            description = "rows of 128 tokens for L0 and the losses (default: ${DEFAULT-VALUE})")
    private int rows;

    @Option(
            names = "--dashboard-rows",
            paramLabel = "N",
            defaultValue = "64",
            description = "rows for the dashboards (default: ${DEFAULT-VALUE})")
    private int dashboardRows;

    @Option(
            names = "--repeats",
            paramLabel = "N",
            defaultValue = "5",
            description = "of which the median is taken (default: ${DEFAULT-VALUE})")
    private int repeats;

    @Option(
            names = "--dtype",
            paramLabel = "float32|bfloat16",
            defaultValue = "float32",
            description = "of the model and the SAE (default: ${DEFAULT-VALUE})")
    private String dtypeName;

    @Option(
            names = "--device",
            paramLabel = "cpu|cuda|cuda:N|mps",
            defaultValue = "cpu",
            description = "where models and SAEs run (default: ${DEFAULT-VALUE})")
    private String deviceName;

    @Option(names = "--exact", description = "without fused operators and shortcuts")
    private boolean exact;

    @Option(
            names = "--roofline",
            description =
                    "also the arithmetic and bytes of each phase, and the share that it reaches of what this machine"
                            + " can do")
    private boolean roofline;

    @Option(
            names = "--only",
            paramLabel = "PART",
            split = ",",
            description =
                    "start, tokenize, cell, roofline or dashboards, alone or separated by commas (default: all but"
                            + " roofline)")
    private Set<Part> only;

    private enum Part {
        START,
        TOKENIZE,
        CELL,
        ROOFLINE,
        DASHBOARDS;

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    @Option(
            names = "--texts",
            paramLabel = "ID|FILE",
            description = "texts to tokenize, as --dataset of the tutorial (default: 5 MB made up)")
    private String texts;

    @Option(names = "--json", paramLabel = "FILE", description = "writes the numbers too")
    private Path json;

    @Option(names = "--debug", description = "show stack traces")
    private boolean debug;

    private BenchTimer timer;
    private DType dtype;
    private Device device;

    @Override
    public Integer call() {
        if (rows < 1 || dashboardRows < 1 || repeats < 1)
            throw new InputException("--rows, --dashboard-rows and --repeats should be at least 1.");
        if (!dtypeName.matches("float32|bfloat16"))
            throw new InputException("--dtype should be float32 or bfloat16, not '" + dtypeName + "'.");
        dtype = DType.ofName(dtypeName);
        Outputs.requireFile("--json", json);
        try {
            device = Device.parse(deviceName).requireUsable();
        } catch (IllegalArgumentException e) {
            throw new InputException("--device " + deviceName + ": " + e.getMessage() + ".", e);
        }
        timer = new BenchTimer(device, repeats);
        Path folder = null;
        try {
            folder = Files.createTempDirectory("panascope-bench");
            run(folder);
        } catch (IOException e) {
            throw new UncheckedIOException("the files to measure on cannot be written: " + e.getMessage(), e);
        } finally {
            if (folder != null) BenchCase.delete(folder);
        }
        if (json != null) AtomicFile.write(json, JsonMapper.shared().writeValueAsString(timer.results()));
        return 0;
    }

    private void run(Path folder) throws IOException {
        System.out.printf(
                Locale.ROOT,
                "panascope %s, libtorch %s, %s, %d threads, %s%s; medians of %d%n",
                Panascope.version(),
                Torch.version(),
                device
                        + (device.describe().name().isEmpty()
                                ? ""
                                : " (" + device.describe().name() + ")"),
                Torch.threads(),
                dtypeName,
                exact ? ", exact" : "",
                repeats);
        timer.put("threads", Torch.threads());
        timer.put("dtype", dtypeName);
        if (wants(Part.TOKENIZE)) tokenize();
        if (only != null && Set.of(Part.TOKENIZE).containsAll(only) && !roofline) return;
        BenchCase.writeModel(folder, LAYERS, WIDTH);
        writeSae(folder);
        if (wants(Part.START)) coldStart(folder);
        if (!wants(Part.CELL) && !wants(Part.ROOFLINE) && !wants(Part.DASHBOARDS)) return;
        try (var _ = TensorScope.open();
                HookedTransformer model = model(folder);
                Sae sae = sae(folder)) {
            Tensor tokens = tokens(Math.max(rows, dashboardRows));
            if (wants(Part.CELL)) cell(model, sae, tokens.slice(0, 0, rows));
            if (wants(Part.ROOFLINE)) new Roofline(timer, device, dtype).measure(model, sae, tokens);
            if (wants(Part.DASHBOARDS)) dashboards(model, sae, tokens, folder);
        }
    }

    private boolean wants(Part part) {
        return part == Part.ROOFLINE && roofline || (only == null ? part != Part.ROOFLINE : only.contains(part));
    }

    private HookedTransformer model(Path folder) {
        return HookedTransformer.fromPretrained(
                folder.toString(),
                HookedTransformer.Options.DEFAULT.device(device).dtype(dtype).exact(exact));
    }

    private Sae sae(Path folder) {
        return Sae.fromPretrained(
                folder.toString(),
                Sae.Options.DEFAULT.device(device).dtype(dtype).exact(exact));
    }

    /**
     * Writes an SAE with as many active features as the published SAE of GPT-2 small has. The threshold for that is
     * measured with a first SAE whose bias is 0.
     */
    private void writeSae(Path folder) {
        BenchCase.writeSae(folder, WIDTH, 0);
        double threshold;
        try (var _ = TensorScope.open();
                HookedTransformer model = model(folder);
                Sae sae = Sae.fromPretrained(folder.toString(), Sae.Options.DEFAULT.device(device))) {
            Tensor activation = model.forward(tokens(2))
                    .stopAtLayer(BenchCase.LAYER)
                    .to(DType.FLOAT32)
                    .slice(1, 1, CONTEXT);
            Tensor products =
                    activation.reshape(-1, WIDTH).sub(sae.weight("b_dec")).matmul(sae.weight("W_enc"));
            threshold = products.reshape(-1)
                    .topk(products.size(0) * L0)
                    .values()
                    .slice(0, products.size(0) * L0 - 1, products.size(0) * L0)
                    .item();
        }
        BenchCase.writeSae(folder, WIDTH, -threshold);
    }

    /** Returns random rows, int64 [rows, CONTEXT], that begin with the bos token. */
    private static Tensor tokens(int rows) {
        Random random = new Random(1);
        long[] ids = new long[rows * CONTEXT];
        for (int i = 0; i < ids.length; i++)
            ids[i] = i % CONTEXT == 0 ? BenchCase.VOCABULARY - 1 : random.nextInt(BenchCase.VOCABULARY - 1);
        return Tensor.of(ids, Shape.of(rows, CONTEXT));
    }

    // ------------------------------------------------------------------------------------------------- timed work

    private void cell(HookedTransformer model, Sae sae, Tensor tokens) {
        double[] l0 = new double[1];
        BenchTimer.Timing timing = timer.time(
                () -> l0[0] = TutorialMetrics.run(model, sae, tokens).l0().mean());
        timer.line("L0 and three losses", timing, String.format(Locale.ROOT, "%d rows, L0 %.1f", rows, l0[0]));
        double[] twice = new double[repeats];
        double[] both = new double[repeats];
        for (int i = 0; i < repeats; i++) {
            double once = timer.seconds(() -> BenchTimer.scoped(() -> TutorialMetrics.run(model, sae, tokens)));
            twice[i] = timer.seconds(() ->
                            BenchTimer.scoped(() -> TutorialMetrics.run(model, sae, Tensor.cat(0, tokens, tokens))))
                    / once;
            both[i] = timer.seconds(() ->
                            concurrently(() -> BenchTimer.scoped(() -> TutorialMetrics.run(model, sae, tokens(rows)))))
                    / once;
        }
        Arrays.sort(twice);
        Arrays.sort(both);
        System.out.printf(
                Locale.ROOT,
                "  %-28s %8.2f times as long  (%.2f to %.2f)%n",
                "twice the rows",
                twice[repeats / 2],
                twice[0],
                twice[repeats - 1]);
        System.out.printf(
                Locale.ROOT,
                "  %-28s %8.2f times as long  (%.2f to %.2f)  2 where they share all processors%n",
                "two runs at once",
                both[repeats / 2],
                both[0],
                both[repeats - 1]);
        timer.put("twice_the_rows", twice[repeats / 2]);
        timer.put("two_runs_at_once", both[repeats / 2]);
    }

    private static void concurrently(Runnable work) {
        CompletableFuture<Void> other =
                CompletableFuture.runAsync(work, task -> Thread.ofPlatform().start(task));
        work.run();
        other.join();
    }

    /**
     * Times tokenization. After the first run the tokenizer has the words in its cache, as those of other libraries do;
     * the time of the first run is reported too.
     */
    private void tokenize() {
        List<String> documents = texts == null ? madeUp() : new ArrayList<>();
        if (texts != null) TextDataset.of(texts, Hub.fromEnvironment()).forEach(documents::add);
        TokenDataset.Documents source = documents::forEach;
        long characters = documents.stream().mapToLong(String::length).sum();
        long[] count = new long[1];
        Runnable work = () -> count[0] = TokenDataset.tokenizeAndConcatenate(
                                source, Tokenizer.gpt2(), ChunkingStrategy.WHITESPACE_CHUNKS, CONTEXT)
                        .rowsInAll()
                * CONTEXT;
        Tokenizer.gpt2();
        double first = timer.seconds(work);
        BenchTimer.Timing timing = timer.time(work);
        timer.line(
                "tokenize and concatenate",
                timing,
                String.format(
                        Locale.ROOT,
                        "%.1f million characters, %.2f million tokens a second; the first time %.2f",
                        characters / 1e6,
                        count[0] / timing.seconds() / 1e6,
                        count[0] / first / 1e6));
        timer.put("tokenize_first", first);
        timer.put("tokens", count[0]);
    }

    /**
     * Makes up texts whose words are as frequent as in real ones: frequent words come early in the vocabulary, and the
     * word of rank n occurs with a frequency proportional to 1/n (Zipf).
     */
    private static List<String> madeUp() {
        Random random = new Random(2);
        List<String> words = Tokenizer.gpt2()
                .tokens(IntStream.range(256, BenchCase.VOCABULARY - 1).toArray())
                .stream()
                .filter(token -> token.startsWith(" "))
                .toList();
        List<String> documents = new ArrayList<>();
        for (int characters = 0; characters < TEXT_BYTES; ) {
            String text = IntStream.range(0, 300)
                    .mapToObj(i -> words.get((int) Math.pow(words.size(), random.nextDouble()) - 1))
                    .collect(Collectors.joining());
            documents.add(text);
            characters += text.length();
        }
        return documents;
    }

    /** Times a new process from its start to its end. */
    private void coldStart(Path folder) throws IOException {
        String java = ProcessHandle.current().info().command().orElse("java");
        List<String> command = new ArrayList<>(List.of(
                java,
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path"),
                Main.class.getName(),
                "prompt",
                "--model",
                folder.toString(),
                "--sae",
                folder.toString(),
                "--prompt",
                PROMPT,
                "--answer",
                "Mary",
                "--dtype",
                dtypeName));
        BenchTimer.Timing timing = timer.time(() -> {
            try {
                Process process = new ProcessBuilder(command)
                        .redirectErrorStream(true)
                        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                        .start();
                if (process.waitFor() != 0)
                    throw new IllegalStateException("panascope prompt ended with " + process.exitValue());
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        });
        timer.line("start to test_prompt", timing, "a new process, which runs it twice: with and without the SAE");
    }

    private void dashboards(HookedTransformer model, Sae sae, Tensor tokens, Path folder) {
        int[][] ids = new int[dashboardRows][];
        for (int row = 0; row < dashboardRows; row++)
            ids[row] = Arrays.stream(tokens.select(0, row).toLongs())
                    .mapToInt(id -> (int) id)
                    .toArray();
        int[] eleven = IntStream.range(0, ELEVEN).toArray();
        int[] all = IntStream.range(0, BenchCase.FEATURES).toArray();
        try (Sae folded = sae.foldWDecNorm()) {
            BenchTimer.Timing few = timer.time(() -> dashboards(model, folded, ids, eleven, folder));
            BenchTimer.Timing many = timer.time(() -> dashboards(model, folded, ids, all, folder));
            timer.line("dashboards of 11 features", few, dashboardRows + " rows");
            timer.line(
                    "dashboards of 24,576",
                    many,
                    String.format(
                            Locale.ROOT, "%d rows; %.2f times the 11", dashboardRows, many.seconds() / few.seconds()));
        }
    }

    private static void dashboards(HookedTransformer model, Sae sae, int[][] rows, int[] features, Path folder) {
        Path state = folder.resolve("features");
        try (FeatureStore store = FeatureStore.open(
                        state,
                        StoreIdentity.of(model, sae, "random", CONTEXT),
                        features,
                        sae.config().dIn());
                DashboardPage page = DashboardPage.open(
                        folder.resolve("page.html"),
                        new DashboardPage.Header("bench", Map.of(), null),
                        model.tokenizer())) {
            FeatureCollector.into(store, model, sae)
                    .shardRows(model.device().isCpu() ? 256 : 8 * RowsAtOnce.on(model.device(), CONTEXT))
                    .threads(Torch.threads())
                    .collect(row -> rows[(int) row], 0, rows.length);
            Dashboards.of(model, sae, store, DashboardConfig.DEFAULT).forEach(features, Torch.threads(), page);
        } finally {
            BenchCase.delete(state);
        }
    }
}
