package io.github.panascope.cli;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import io.github.panascope.InputException;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.internal.Suggestions;
import io.github.panascope.sae.Sae;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;

/** The command {@code saes}, which lists the registry of published SAEs. */
@Command(
        name = "saes",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description =
                "Lists and searches the published SAEs that --sae can name: all releases, or with --model or words to"
                        + " look for the SAEs themselves.")
final class SaesCommand implements Callable<Integer> {
    @Parameters(
            paramLabel = "WORD",
            arity = "0..*",
            description = "only SAEs whose name, architecture or Neuronpedia id holds every word")
    private List<String> words = List.of();

    @Option(names = "--model", paramLabel = "NAME", description = "only SAEs of this model, such as gpt2-small")
    private String model;

    @Option(
            names = "--registry",
            paramLabel = "FILE",
            description = "releases of your own, in the format of SAELens's pretrained_saes.yaml")
    private Path registry;

    @Option(names = "--json", description = "print JSON instead of a table")
    private boolean json;

    /** An SAE in the JSON output. Null values are left out. */
    @JsonInclude(JsonInclude.Include.NON_NULL)
    record Line(
            String sae,
            String release,
            String id,
            String model,
            @JsonProperty("repo_id") String repo,
            String path,
            String layout,
            String architecture,
            Double l0,
            @JsonProperty("variance_explained") Double varianceExplained,
            String neuronpedia,
            boolean supported,
            Map<String, String> links) {
        static Line of(SaeRegistry.Entry sae) {
            return new Line(
                    sae.name(),
                    sae.release(),
                    sae.id(),
                    sae.model(),
                    sae.repo(),
                    sae.path(),
                    sae.loader(),
                    sae.architecture(),
                    number(sae.l0()),
                    number(sae.varianceExplained()),
                    sae.neuronpediaId(),
                    Sae.supports(sae),
                    sae.links());
        }

        private static Double number(double value) {
            return Double.isNaN(value) ? null : value;
        }
    }

    @Override
    public Integer call() {
        SaeRegistry known =
                registry == null ? SaeRegistry.bundled() : SaeRegistry.bundled().with(registry);
        List<SaeRegistry.Entry> found = known.entries().filter(this::matches).toList();
        if (found.isEmpty()) throw nothing(known);
        if (json)
            System.out.println(JsonMapper.builder()
                    .enable(SerializationFeature.INDENT_OUTPUT)
                    .build()
                    .writeValueAsString(found.stream().map(Line::of).toList()));
        else if (model == null && words.isEmpty()) printReleases(found);
        else printSaes(found);
        return 0;
    }

    private boolean matches(SaeRegistry.Entry sae) {
        if (model != null && !sae.model().equalsIgnoreCase(model)) return false;
        String text = (sae.name() + " " + sae.architecture() + " " + sae.neuronpediaId() + " " + sae.model())
                .toLowerCase(Locale.ROOT);
        return words.stream().allMatch(word -> text.contains(word.toLowerCase(Locale.ROOT)));
    }

    private InputException nothing(SaeRegistry known) {
        List<String> models = known.entries()
                .map(SaeRegistry.Entry::model)
                .distinct()
                .sorted()
                .toList();
        if (model != null && models.stream().noneMatch(model::equalsIgnoreCase)) {
            return new InputException("the registry has no SAE of model '" + model + "'."
                    + Suggestions.didYouMean(model, models) + " It has SAEs of " + String.join(", ", models) + ".");
        }
        return new InputException("no SAE of the registry matches " + String.join(" ", words)
                + (model == null ? "." : " for model " + model + "."));
    }

    private static void printReleases(List<SaeRegistry.Entry> saes) {
        List<String[]> rows = new ArrayList<>();
        saes.stream()
                .collect(Collectors.groupingBy(SaeRegistry.Entry::release, TreeMap::new, Collectors.toList()))
                .forEach((release, members) -> {
                    SaeRegistry.Entry first = members.getFirst();
                    rows.add(new String[] {
                        release,
                        first.model(),
                        String.valueOf(members.size()),
                        String.valueOf(first.loader()),
                        first.repo(),
                        Sae.supports(first) ? "yes" : ""
                    });
                });
        print(List.of("RELEASE", "MODEL", "SAES", "LAYOUT", "REPOSITORY", "LOADS HERE"), rows);
        System.out.println(rows.size() + " releases, " + saes.size()
                + " SAEs. `panascope saes WORD...` or `--model NAME` shows the SAEs.");
    }

    private static void printSaes(List<SaeRegistry.Entry> saes) {
        List<String[]> rows = new ArrayList<>();
        for (SaeRegistry.Entry sae : saes) {
            rows.add(new String[] {
                sae.name(),
                sae.architecture() == null ? "" : sae.architecture(),
                number(sae.l0()),
                number(sae.varianceExplained()),
                sae.neuronpediaId() == null ? "" : sae.neuronpediaId(),
                Sae.supports(sae) ? "yes" : ""
            });
        }
        print(List.of("SAE", "ARCHITECTURE", "L0", "VAR. EXPL.", "NEURONPEDIA", "LOADS HERE"), rows);
        System.out.println(saes.size() + (saes.size() == 1 ? " SAE. " : " SAEs. ")
                + "An empty architecture is in the SAE's configuration file.");
    }

    private static String number(double value) {
        return Double.isNaN(value)
                ? ""
                : value == Math.rint(value) ? String.valueOf((long) value) : String.valueOf(value);
    }

    private static void print(List<String> head, List<String[]> rows) {
        int[] widths = new int[head.size()];
        for (int i = 0; i < widths.length; i++) {
            int column = i;
            widths[i] = Math.max(
                    head.get(i).length(),
                    rows.stream().mapToInt(row -> row[column].length()).max().orElse(0));
        }
        rows.addFirst(head.toArray(String[]::new));
        for (String[] row : rows) {
            StringBuilder line = new StringBuilder();
            for (int i = 0; i < row.length; i++)
                line.append(row[i]).append(" ".repeat(widths[i] - row[i].length() + 2));
            System.out.println(line.toString().stripTrailing());
        }
        rows.removeFirst();
    }
}
