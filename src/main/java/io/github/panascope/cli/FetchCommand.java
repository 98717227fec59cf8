package io.github.panascope.cli;

import io.github.panascope.InputException;
import io.github.panascope.data.TextDataset;
import io.github.panascope.hub.Hub;
import io.github.panascope.hub.HubRepo;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.lens.HookedTransformer;
import io.github.panascope.sae.Sae;
import io.github.panascope.sae.SaePlan;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
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
                    + " there already costs no request. The size of SAEs and of sharded models is said before they are"
                    + " downloaded, and what does not fit on the disk is refused. Each option can be given several"
                    + " times.")
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
            List<String> names = known.releases().contains(sae)
                    ? known.entries()
                            .filter(entry -> entry.release().equals(sae))
                            .map(SaeRegistry.Entry::name)
                            .toList()
                    : List.of(sae);
            announce(names, known);
            for (String one : names) report("SAE " + one, Sae.fetch(one, hub, known));
        }
        for (String dataset : datasets)
            report("dataset " + dataset, TextDataset.of(dataset, split, hub).files());
        return 0;
    }

    /** Says how much the files of SAEs are, before the first is downloaded. */
    private void announce(List<String> names, SaeRegistry known) {
        Map<String, List<String>> files = new LinkedHashMap<>();
        for (String name : names) {
            String[] parts = name.split("/", 3);
            boolean registered = known.knows(name);
            if (!registered && (parts.length < 3 || parts[0].isEmpty() || Files.isDirectory(Path.of(name)))) continue;
            String repo = registered ? known.find(name).repo() : parts[0] + "/" + parts[1];
            SaePlan plan = registered ? SaePlan.of(known.find(name)) : SaePlan.ofFolder(parts[2]);
            files.computeIfAbsent(repo, _ -> new ArrayList<>()).addAll(plan.allFiles());
        }
        files.forEach((repo, paths) -> hub.announce(HubRepo.model(repo), paths));
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
