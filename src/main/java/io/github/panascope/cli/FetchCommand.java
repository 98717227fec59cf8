package io.github.panascope.cli;

import io.github.panascope.InputException;
import io.github.panascope.data.TextDataset;
import io.github.panascope.hub.Hub;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** The command {@code fetch}, which downloads files so that later commands run without a network. */
@Command(
        name = "fetch",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description =
                "Brings models, SAEs and datasets into the hub's cache, so that they load without a network. What is"
                        + " there already costs no request. Each option can be given several times.")
final class FetchCommand implements Callable<Integer> {
    @Option(names = "--model", paramLabel = "ID", description = "TransformerLens name or hub id")
    private List<String> models = List.of();

    @Option(
            names = "--sae",
            paramLabel = "RELEASE[/SAE_ID]",
            description = "an SAE, or all of a release; OWNER/REPO/PATH on the hub")
    private List<String> saes = List.of();

    @Option(names = "--dataset", paramLabel = "ID", description = "hub id")
    private List<String> datasets = List.of();

    @Option(
            names = "--split",
            paramLabel = "NAME",
            defaultValue = "train",
            description = "of the datasets that are split (default: ${DEFAULT-VALUE})")
    private String split;

    @Option(
            names = "--registry",
            paramLabel = "FILE",
            description = "releases of your own, in the format of SAELens's pretrained_saes.yaml")
    private Path registry;

    @Option(names = "--debug", description = "show stack traces")
    private boolean debug;

    @Option(names = "--quiet", description = "no progress and no comments")
    private boolean quiet;

    private Hub hub;

    @Override
    public Integer call() {
        if (models.isEmpty() && saes.isEmpty() && datasets.isEmpty())
            throw new InputException("name what to fetch with --model, --sae or --dataset.");
        hub = Hub.fromEnvironment().reporting(new Downloads(quiet));
        SaeRegistry known =
                registry == null ? SaeRegistry.bundled() : SaeRegistry.bundled().with(registry);
        for (String model : models) report("model " + model, HookedTransformer.fetch(model, hub));
        for (String sae : saes) {
            for (String one : known.releases().contains(sae)
                    ? known.entries()
                            .filter(entry -> entry.release().equals(sae))
                            .map(SaeRegistry.Entry::name)
                            .toList()
                    : List.of(sae)) {
                report("SAE " + one, Sae.fetch(one, hub, known));
            }
        }
        for (String dataset : datasets)
            report("dataset " + dataset, TextDataset.of(dataset, split, hub).files());
        return 0;
    }

    private void report(String what, List<Path> files) {
        if (quiet) return;
        long bytes = files.stream().mapToLong(FetchCommand::size).sum();
        System.out.printf(
                Locale.ROOT,
                "%s: %d file%s, %.1f MB, in %s%n",
                what,
                files.size(),
                files.size() == 1 ? "" : "s",
                bytes / 1e6,
                common(files));
    }

    private static long size(Path file) {
        try {
            return Files.size(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** {@return the deepest folder that contains all files} */
    private static Path common(List<Path> files) {
        Path folder = files.getFirst().toAbsolutePath().getParent();
        for (Path file : files) while (!file.toAbsolutePath().startsWith(folder)) folder = folder.getParent();
        return folder;
    }
}
