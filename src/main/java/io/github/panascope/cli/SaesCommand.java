package io.github.panascope.cli;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import io.github.panascope.InputException;
import io.github.panascope.hub.SaeRegistry;
import io.github.panascope.internal.Suggestions;
import io.github.panascope.sae.Sae;
import io.github.panascope.sae.SaePlan;
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
                "Lists and searches the published SAEs that --sae can name: all releases, or with words or options to"
                        + " look for, of which every one has to fit, the SAEs themselves.")
final class SaesCommand implements Callable<Integer> {
    @Parameters(
            paramLabel = "WORD",
            arity = "0..*",
            description = "only SAEs whose name, architecture or Neuronpedia id holds every word")
    private List<String> words = List.of();

    @Option(
            names = "--model",
            paramLabel = "NAME",
            description = "only SAEs of this model, such as gpt2-small; its owner on the hub need not be named")
    private String model;

    @Option(
            names = "--width",
            paramLabel = "N",
            description = "only SAEs of this many features, such as 16k or 24576, where the registry's names tell it")
    private String width;

    @Option(
            names = "--hook",
            paramLabel = "NAME",
            description = "only SAEs that read this hook point, such as blocks.20.hook_resid_post, or one that ends"
                    + " so, such as hook_resid_post")
    private String hook;

    @Option(names = "--neuronpedia", description = "only SAEs that have a page on Neuronpedia")
    private boolean neuronpedia;

    @Option(names = "--all", description = "list every SAE, also where a table of releases would be shorter")
    private boolean all;

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
            @JsonProperty("hook_name") String hook,
            @JsonProperty("d_sae") Integer width,
            Double l0,
            @JsonProperty("variance_explained") Double varianceExplained,
            String neuronpedia,
            boolean supported,
            Map<String, String> links) {
        static Line of(SaeRegistry.Entry sae) {
            SaePlan plan = SaePlan.of(sae);
            return new Line(
                    sae.name(),
                    sae.release(),
                    sae.id(),
                    sae.model(),
                    sae.repo(),
                    sae.path(),
                    sae.loader(),
                    sae.architecture(),
                    plan.hookName(),
                    plan.dSae() == 0 ? null : plan.dSae(),
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

    /** The number of SAEs up to which a table shows each of them unless {@code --all} asks for it. */
    private static final int MAX_ROWS = 500;

    /** The largest width that a column gets; a few longer names push their own row only. */
    private static final int MAX_COLUMN = 72;

    @Override
    public Integer call() {
        int features = width == null
                ? 0
                : SaePlan.width(width)
                        .orElseThrow(() -> new InputException(
                                "--width should be a number of features such as 16k or 24576, not '" + width + "'."));
        SaeRegistry known =
                registry == null ? SaeRegistry.bundled() : SaeRegistry.bundled().with(registry);
        List<SaeRegistry.Entry> found = known.entries()
                .filter(this::matches)
                .filter(sae -> matchesPlan(sae, features))
                .toList();
        if (found.isEmpty()) throw nothing(known);
        if (json)
            System.out.println(JsonMapper.builder()
                    .enable(SerializationFeature.INDENT_OUTPUT)
                    .build()
                    .writeValueAsString(found.stream().map(Line::of).toList()));
        else if (!all && (found.size() > MAX_ROWS || unfiltered())) printReleases(found);
        else printSaes(found);
        return 0;
    }

    private boolean unfiltered() {
        return model == null && width == null && hook == null && !neuronpedia && words.isEmpty();
    }

    private boolean matches(SaeRegistry.Entry sae) {
        if (model != null && !isModel(sae.model())) return false;
        if (neuronpedia && sae.neuronpediaId() == null) return false;
        String text = (sae.name() + " " + sae.architecture() + " " + sae.neuronpediaId() + " " + sae.model())
                .toLowerCase(Locale.ROOT);
        return words.stream().allMatch(word -> text.contains(word.toLowerCase(Locale.ROOT)));
    }

    private boolean matchesPlan(SaeRegistry.Entry sae, int features) {
        if (features == 0 && hook == null) return true;
        SaePlan plan = SaePlan.of(sae);
        if (features != 0 && plan.dSae() != features) return false;
        String there = plan.hookName();
        return hook == null || there != null && (there.equals(hook) || there.endsWith("." + hook));
    }

    private boolean isModel(String name) {
        return name.equalsIgnoreCase(model) || withoutOwner(name).equalsIgnoreCase(withoutOwner(model));
    }

    private static String withoutOwner(String name) {
        return name.substring(name.lastIndexOf('/') + 1);
    }

    private InputException nothing(SaeRegistry known) {
        List<String> models = known.entries()
                .map(SaeRegistry.Entry::model)
                .distinct()
                .sorted()
                .toList();
        if (model != null && models.stream().noneMatch(this::isModel)) {
            return new InputException("the registry has no SAE of model '" + model + "'."
                    + Suggestions.didYouMean(model, models) + " It has SAEs of " + String.join(", ", models) + ".");
        }
        List<String> asked = new ArrayList<>(words);
        if (model != null) asked.add("--model " + model);
        if (width != null) asked.add("--width " + width);
        if (hook != null) asked.add("--hook " + hook);
        if (neuronpedia) asked.add("--neuronpedia");
        return new InputException("no SAE of the registry matches " + String.join(" ", asked) + ".");
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
        System.out.println(rows.size() + (rows.size() == 1 ? " release, " : " releases, ") + saes.size()
                + " SAEs. `panascope saes WORD...`, --model, --width, --hook and --neuronpedia narrow them down; up to "
                + MAX_ROWS + " are listed one by one, and with --all every one.");
    }

    private static void printSaes(List<SaeRegistry.Entry> saes) {
        List<String[]> rows = new ArrayList<>();
        for (SaeRegistry.Entry sae : saes) {
            SaePlan plan = SaePlan.of(sae);
            rows.add(new String[] {
                sae.name(),
                sae.architecture() == null ? "" : sae.architecture(),
                plan.hookName() == null ? "" : plan.hookName(),
                plan.dSae() == 0 ? "" : String.valueOf(plan.dSae()),
                number(sae.l0()),
                number(sae.varianceExplained()),
                Sae.supports(sae) ? "yes" : "",
                sae.neuronpediaId() == null ? "" : sae.neuronpediaId()
            });
        }
        print(
                List.of("SAE", "ARCHITECTURE", "HOOK", "FEATURES", "L0", "VAR. EXPL.", "LOADS HERE", "NEURONPEDIA"),
                rows);
        System.out.println(saes.size() + (saes.size() == 1 ? " SAE. " : " SAEs. ")
                + "What is empty is in the SAE's configuration file.");
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
                    rows.stream()
                            .mapToInt(row -> row[column].length())
                            .filter(length -> length <= MAX_COLUMN)
                            .max()
                            .orElse(0));
        }
        rows.addFirst(head.toArray(String[]::new));
        for (String[] row : rows) {
            StringBuilder line = new StringBuilder();
            for (int i = 0; i < row.length; i++)
                line.append(row[i]).append(" ".repeat(Math.max(0, widths[i] - row[i].length()) + 2));
            System.out.println(line.toString().stripTrailing());
        }
        rows.removeFirst();
    }
}
