package io.github.panascope.cli;

import io.github.panascope.dashboard.FeatureStore;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** The command {@code merge}, which joins the features that several runs of {@code dashboard --rows A-B} collected. */
@Command(
        name = "merge",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description =
                "Joins folders of features that several processes or machines collected (dashboard --rows A-B --state"
                        + " DIR) into one, for `dashboard --state` to show. They stay as they are.")
final class MergeCommand implements Callable<Integer> {
    @Parameters(index = "0", paramLabel = "TO", description = "the folder to make, or to add to")
    private Path to;

    @Parameters(index = "1..*", arity = "1..*", paramLabel = "FROM", description = "folders of features")
    private List<Path> from;

    @Option(names = "--debug", description = "show stack traces")
    private boolean debug;

    @Override
    public Integer call() {
        Outputs.requireNamed("TO", to);
        for (Path each : from) Outputs.requireNamed("FROM", each);
        try (FeatureStore merged = FeatureStore.merged(to, from)) {
            System.out.println(to + " holds " + merged.rows() + " rows"
                    + (debug ? " of " + merged.identity().entries() : ""));
        }
        return 0;
    }
}
