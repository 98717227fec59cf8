package io.github.panascope.cli;

import io.github.panascope.InputException;
import io.github.panascope.dashboard.DashboardConfig;
import io.github.panascope.dashboard.FeatureStore;
import io.github.panascope.dashboard.PromptDashboard;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import io.github.panascope.torch.Device;
import io.github.panascope.torch.TensorScope;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The command {@code dashboard}, which collects features in one pass over the text and writes their dashboards. */
@Command(
        name = "dashboard",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description =
                "Shows what features do: runs the model over rows of text once, keeping what all features were, then"
                    + " writes one page with the dashboards of those asked for. A run that was ended goes on where it"
                    + " was; more rows add to those that are there.")
final class DashboardCommand implements Callable<Integer> {
    /** The largest number of threads on a machine with few processors. More threads would only take memory. */
    private static final int MOST_THREADS = 64;

    @Mixin
    private InputOptions input;

    @Mixin
    private RowOptions text;

    @Mixin
    private FeatureOptions features;

    @Option(
            names = "--rows",
            paramLabel = "N|A-B",
            defaultValue = "1000",
            description = "rows of text: the first N, or from A to B, both included, to be merged with others (default:"
                    + " ${DEFAULT-VALUE})")
    private String rows;

    @Option(
            names = "--out",
            paramLabel = "FILE",
            defaultValue = "panascope-out/demo_feature_dashboards.html",
            description = "the page (default: ${DEFAULT-VALUE})")
    private Path out;

    @Option(
            names = "--state",
            paramLabel = "DIR",
            description = "where features are kept between runs (default: a folder in features, beside the page)")
    private Path state;

    @Option(
            names = "--json",
            paramLabel = "FILE",
            description = "writes the dashboards as SAEDashboard's save_json does")
    private Path json;

    @Option(names = "--neuronpedia", paramLabel = "DIR", description = "writes batch-N.json as Neuronpedia takes them")
    private Path neuronpedia;

    @Option(
            names = "--table",
            paramLabel = "FILE",
            description = "writes a row for each feature as Parquet, for DuckDB, pandas, polars and others")
    private Path table;

    @Option(
            names = "--prompt",
            paramLabel = "TEXT",
            description =
                    "shows above the features which of them matter most at each token of a text; without --features,"
                            + " the features are those active there")
    private String prompt;

    @Option(
            names = "--num-top-features",
            paramLabel = "N",
            defaultValue = "10",
            description = "features shown for each token of --prompt (default: ${DEFAULT-VALUE})")
    private int numTopFeatures;

    @Mixin
    private DashboardOptions dashboards;

    @Option(
            names = "--shard-rows",
            paramLabel = "N",
            description = "rows after which a run can go on when it was ended (default: 256, on a GPU eight times"
                    + " --rows-at-once)")
    private Integer shardRows;

    @Option(names = "--threads", paramLabel = "N", description = "default: as many as libtorch takes")
    private Integer threads;

    @Option(names = "--open", description = "opens the page in a browser")
    private boolean open;

    private long firstRow, endRow;

    @Override
    public Integer call() {
        parseRows();
        if (shardRows != null && shardRows < 1)
            throw new InputException("--shard-rows should be at least 1, not " + shardRows + ".");
        if (threads != null && threads < 1)
            throw new InputException("--threads should be at least 1, not " + threads + ".");
        int most = Math.max(MOST_THREADS, 4 * Runtime.getRuntime().availableProcessors());
        if (threads != null && threads > most)
            throw new InputException("--threads should be at most " + most + " here, not " + threads + ".");
        if (prompt != null && prompt.isEmpty()) throw new InputException("--prompt should not be empty.");
        if (numTopFeatures < 1)
            throw new InputException("--num-top-features should be at least 1, not " + numTopFeatures + ".");
        OutputFiles files = new OutputFiles(out, json, neuronpedia, table);
        files.require();
        Outputs.requireNamed("--state", state);
        if (state == null || !Files.isDirectory(state))
            Outputs.requireFolder("--state", state); // an existing folder may be read-only
        files.requireUnread(text.check(input), state);
        Device device = input.chooseDevice();
        try (var _ = TensorScope.open();
                Sae sae = input.loadSae(device);
                HookedTransformer model = input.loadModel(device, sae)) {
            sae.requireFits(model);
            int[] asked = features.of(sae.config().dSae());
            RowOptions.Rows rows = text.read(input, model, sae, endRow);
            DashboardConfig config = dashboards.of(model, rows.context());
            try (DashboardWriter writer = new DashboardWriter(input, model, sae, rows, threads)) {
                PromptDashboard seen = prompt == null ? null : writer.prompt(prompt, config, !features.given());
                run(writer, rows, seen == null || features.given() ? asked : seen.features(), config, files, seen);
            }
        }
        return 0;
    }

    private void parseRows() {
        if (!rows.matches("\\d{1,9}(-\\d{1,9})?"))
            throw new InputException("--rows should be a number, or a range such as 1000-1999, not '" + rows + "'.");
        String[] ends = rows.split("-");
        firstRow = ends.length == 1 ? 0 : Long.parseLong(ends[0]);
        endRow = ends.length == 1 ? Long.parseLong(ends[0]) : Long.parseLong(ends[1]) + 1;
        if (endRow <= firstRow) throw new InputException("--rows " + rows + " holds no row.");
    }

    private void run(
            DashboardWriter writer,
            RowOptions.Rows text,
            int[] chosen,
            DashboardConfig config,
            OutputFiles files,
            PromptDashboard seen) {
        int there = text.tokens().rows();
        String many = there + " rows of " + text.context() + " tokens";
        if (there <= firstRow)
            throw new InputException("the dataset has only " + many + "; --rows " + rows + " begins after them.");
        if (there < endRow) input.print("The dataset has " + many + ", fewer than asked for.");
        try (FeatureStore store = writer.open(state, out.toAbsolutePath().resolveSibling("features"), chosen, config)) {
            writer.collect(
                    store,
                    firstRow,
                    Math.min(endRow, there),
                    shardRows == null ? text.inShard(writer.device()) : shardRows);
            if (firstRow > 0) {
                input.print("Collected rows " + firstRow + " to " + (Math.min(endRow, there) - 1) + " in "
                        + store.folder() + "; `panascope merge` joins them with the others.");
                return;
            }
            writer.write(
                    store,
                    config,
                    chosen,
                    files,
                    seen == null ? null : new DashboardWriter.Prompt(seen, numTopFeatures),
                    null);
        }
        if (open) Browser.open(out.toUri(), input);
    }
}
